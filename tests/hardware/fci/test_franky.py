from __future__ import annotations

from pathlib import Path

import pytest

from tests.hardware.franka.support import run_cases

pytest.importorskip("franky", reason="needs the extra franka: franky-control")


def test_the_unmodified_client_against_the_emulator() -> None:
    run_cases(Path(__file__).with_name("cases_franky.py"))
