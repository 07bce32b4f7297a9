"""Whatever arrives is refused with a reason or is well-formed: a short round, and 100,000 in `make faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.core.config import from_dict, parse_yaml
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.config import TrainConfig
from tests.faults.fuzz import Outcome, fuzz_files, fuzz_messages, fuzz_records


def check(outcome: Outcome, inputs: int) -> None:
    assert not outcome.findings
    assert outcome.inputs == inputs == outcome.refused + outcome.accepted
    assert outcome.refused > 0 and outcome.accepted > 0
    assert outcome.grown_mib < 64


def test_malformed_messages() -> None:
    check(fuzz_messages(1000), 1000)


def test_malformed_records() -> None:
    check(fuzz_records(1000), 1000)


def test_malformed_files_yield_a_beginning_of_the_episode(tmp_path: Path) -> None:
    check(fuzz_files(60, tmp_path), 60)


ALIASES = ", ".join(f"&a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x, x'}]" for i in range(9))


@pytest.mark.parametrize("text", [f"task: [{ALIASES}]", "task: " + "[" * 5000, "task: 2020-13-45", "task: &a [*a]"])
def test_a_hostile_configuration_is_refused_in_few_words(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(TrainConfig, parse_yaml(text, "the learner's configuration"))
    assert len(str(caught.value)) < 2000
