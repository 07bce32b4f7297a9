"""Who may command the arm, and what becomes of bad commands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from robot_rl.controllers.arbiter import (
    Mode,
    Verdict,
)
from tests.controllers.arbiter_rig import active, at, still, target


def test_the_operator_wins_at_once_and_silence_is_no_hand_back() -> None:
    rig = active()
    pad = {"role": "operator", "source": "pad"}
    assert rig.send(at(0, 0.1), **pad) is Verdict.ACCEPTED
    assert rig.send(at(0, -0.1)) is Verdict.OUTRANKED
    assert target(rig.step())[1] > 0 and rig.out.in_charge == "operator"
    for _ in range(99):
        assert rig.send(at(0, -0.1)) in (Verdict.OUTRANKED, Verdict.REFUSED)
        rig.step()
    assert rig.names() == ["command_timeout"]
    assert target(rig.out)[1] > 0


def test_hand_back_waits_for_a_command_made_after_it() -> None:
    rig = active()
    rig.drive(at(0, 0.01), 5, role="operator", source="pad")
    assert not rig.arbiter.release(rig.t_s, "policy", "actor").done
    assert not rig.arbiter.release(rig.t_s, "operator", "other pad").done
    assert rig.arbiter.release(rig.t_s, "operator", "pad").done
    before = rig.t_s - 0.05
    held = rig.step()
    assert held.mode is Mode.HOLDING and held.in_charge is None
    assert rig.send(at(0, -0.1), t_s=before) is Verdict.BEFORE_HANDOVER
    assert still([held, rig.step()])
    assert rig.send(at(0, -0.1)) is Verdict.ACCEPTED
    assert target(rig.step())[1] < target(held)[1]


def test_a_released_arm_may_wait_for_ever() -> None:
    rig = active()
    rig.arbiter.release(rig.t_s, "policy", "actor")
    assert rig.step(500).mode is Mode.HOLDING


def test_two_commanders_of_one_role_are_a_fault() -> None:
    rig = active()
    assert rig.send(at(0.1), source="another actor") is Verdict.TWO_COMMANDERS
    assert still([rig.out, rig.step()])
    assert rig.names() == ["two_commanders"] and "another actor" in rig.out.faults[0].reason


def test_a_commander_that_was_restarted_is_not_a_second_one() -> None:
    rig = active()
    rig.step(20)
    assert rig.send(at(0.1), source="another actor", sequence=1) is Verdict.ACCEPTED


BAD: list[tuple[Verdict, dict[str, Any]]] = [
    (Verdict.NOT_A_POSE, {"pose_base_tcp": [0.45, 0, math.nan, 1, 0, 0, 0]}),
    (Verdict.NOT_A_POSE, {"pose_base_tcp": [0.45, 0, 0.3]}),
    (Verdict.NOT_A_POSE, {"pose_base_tcp": [10**400] * 7}),
    (Verdict.NOT_A_POSE, {"pose_base_tcp": "left"}),
    (Verdict.NOT_UNIT, {"pose_base_tcp": [0.45, 0, 0.3, 1, 0.1, 0, 0]}),
    (Verdict.NOT_UNIT, {"pose_base_tcp": [0.45, 0, 0.3, 0, 0, 0, 0]}),
    (Verdict.NOT_UNIT, {"pose_base_tcp": [0.45, 0, 0.3, 1e308, 1e308, 0, 0]}),
    (Verdict.WRONG_FRAME, {"frame_id": "world"}),
    (Verdict.UNKNOWN_ROLE, {"role": "passer-by"}),
    (Verdict.BAD_STAMP, {"t_s": math.nan}),
    (Verdict.FROM_FUTURE, {"t_s": 0.1}),
    (Verdict.STALE, {"t_s": -0.2}),
    (Verdict.OUT_OF_ORDER, {"sequence": 2}),
    (Verdict.OUT_OF_ORDER, {"t_s": -0.05}),
]


@pytest.mark.parametrize(("verdict", "change"), BAD)
def test_a_bad_command_changes_nothing_and_ten_in_a_row_latch(verdict: Verdict, change: dict[str, Any]) -> None:
    rig = active(fault_after_s=10.0, hold_after_s=10.0)
    rig.step(30)
    rig.send(at())
    good = rig.step()
    pose = change.get("pose_base_tcp", at(0.1))
    if "t_s" in change:
        change = {**change, "t_s": rig.t_s + change["t_s"]}
    rest = {k: v for k, v in change.items() if k != "pose_base_tcp"}
    for _ in range(9):
        assert rig.send(pose, **rest) is verdict
    assert still([good, rig.step()]) and rig.out.mode is Mode.ACTIVE
    assert rig.arbiter.counts[verdict.value] == 9
    assert rig.send(pose, **rest) is verdict
    rig.step()
    assert rig.names() == ["bad_commands"] and verdict.value in rig.out.faults[0].reason


def test_a_good_command_ends_a_row_of_bad_ones() -> None:
    rig = active()
    for _ in range(30):
        rig.send(at(0.1), frame_id="world")
        rig.drive(at(), 1)
    assert rig.out.mode is Mode.ACTIVE and rig.arbiter.counts["wrong_frame"] == 30


def test_a_rounded_quaternion_is_accepted_and_made_exact() -> None:
    rig = active()
    assert rig.send([*at()[:3], 0.9995, 0, 0, 0]) is Verdict.ACCEPTED
    assert math.isclose(np.linalg.norm(target(rig.step())[3:]), 1.0, abs_tol=1e-12)
