"""One kill of each kind; `make faults` kills fifty times and does the rest of the matrix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cases_processes import kills


@pytest.mark.slow
def test_actor_learner_and_both_may_be_killed(tmp_path: Path) -> None:
    for row in kills(tmp_path, times=3):
        assert not row.wrong, row.line()
        assert row.audit is not None and row.audit.archived > 40
