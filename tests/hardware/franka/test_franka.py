from __future__ import annotations

from pathlib import Path

import pytest

from tests.hardware.franka.support import run_cases

pytest.importorskip("franky", reason="needs the extra franka: franky-control")


@pytest.mark.parametrize("cases", ["arm", "arm_faults", "hand"])
def test_against_the_emulated_robot(cases: str) -> None:
    run_cases(Path(__file__).with_name(f"cases_{cases}.py"))
