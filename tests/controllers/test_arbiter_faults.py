"""What latches, and that recovering moves nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from robot_rl.controllers import se3
from robot_rl.controllers.arbiter import (
    Command,
    Measurement,
    Mode,
    RobotMode,
    Verdict,
)
from tests.controllers.arbiter_rig import HOME, Q, active, at, enabled, still, target


def test_force_is_low_passed_before_it_counts() -> None:
    rig = active()
    rig.wrench = [0, 0, 34, 0, 0, 0]
    rig.drive(at(), 1)
    rig.wrench = np.zeros(6)
    assert rig.drive(at(), 5).mode is Mode.ACTIVE
    rig.wrench = [0, 0, 34, 0, 0, 0]
    rig.drive(at(), 5)
    assert rig.names() == ["force_limit"] and "34 N" in rig.out.faults[0].reason


def test_the_same_measurement_again_is_not_filtered_twice() -> None:
    rig = active()
    reading = Measurement(rig.t_s + 0.01, HOME, [0, 0, 34, 0, 0, 0], Q)
    for k in range(1, 9):
        assert rig.arbiter.tick(rig.t_s + k / 100, reading).mode is Mode.ACTIVE


def test_a_joint_near_its_limit_holds_until_the_arm_is_moved_home() -> None:
    rig = active()
    rig.q = (*Q[:5], 4.5, Q[6])
    out = rig.step()
    assert out.mode is Mode.HOLDING and out.limited == {"joint_margin"} and out.in_charge is None
    assert rig.send(at(0.1)) is Verdict.REFUSED
    assert rig.step(200).mode is Mode.HOLDING
    assert rig.arbiter.home(rig.t_s).done
    rig.q = Q
    rig.step(10)
    assert rig.arbiter.home_finished(rig.t_s, arrived=True).done
    assert rig.drive(at(), 1).mode is Mode.ACTIVE


def latching() -> list[tuple[str, dict[str, Any]]]:
    far = at(dy=0.37)
    tilted = se3.apply_tool_delta(HOME, [0, 0, 0, 0.75, 0, 0])
    return [
        ("joint_limit", {"q": (*Q[:5], 4.6, Q[6])}),
        ("bad_measurement", {"q": (math.nan, *Q[1:])}),
        ("bad_measurement", {"q": Q[:6]}),
        ("bad_measurement", {"arm": np.full(7, math.nan)}),
        ("bad_measurement", {"wrench": [math.inf] * 6}),
        ("force_limit", {"wrench": [0, 0, 0, 0, 14, 0]}),
        ("force_limit", {"wrench": [1e308] * 6}),
        ("outside_workspace", {"arm": far}),
        ("outside_workspace", {"arm": tilted}),
        ("reflex", {"robot_mode": RobotMode.REFLEX}),
        ("robot_unavailable", {"robot_mode": RobotMode.GUIDING}),
        ("robot_unavailable", {"robot_mode": RobotMode.UNAVAILABLE}),
        ("user_stop", {"robot_mode": RobotMode.USER_STOPPED}),
    ]


@pytest.mark.parametrize(("name", "change"), latching())
def test_what_is_wrong_with_the_arm_latches_and_recovering_does_not_move(name: str, change: dict[str, Any]) -> None:
    rig = active()
    good = {key: getattr(rig, key) for key in change}
    rig.follows = False
    for key, value in change.items():
        setattr(rig, key, value)
    rig.step(8)
    assert rig.names() == [name]
    mode = Mode.STOPPED if name == "user_stop" else Mode.FAULT
    for key, value in good.items():
        setattr(rig, key, value)
    rig.step()
    frozen = rig.out
    assert rig.send(at(0.1)) is Verdict.REFUSED
    assert not rig.arbiter.enable(rig.t_s).done and not rig.arbiter.home(rig.t_s).done
    assert rig.step(20).mode is mode and rig.names() == [name]
    assert rig.arbiter.recover(rig.t_s).done
    assert rig.send(at(0.1)) is Verdict.REFUSED
    assert rig.step(20).mode is Mode.DISABLED and not rig.out.faults
    assert still([frozen, rig.out])
    assert rig.arbiter.enable(rig.t_s).done
    assert rig.step().mode is Mode.HOLDING
    assert rig.drive(at(0.1), 1).mode is Mode.ACTIVE
    assert [fault.name for fault in rig.arbiter.history] == [name]


def test_a_silent_arm_is_a_fault_and_the_last_target_stays() -> None:
    rig = enabled(max_measurement_age_s=0.095)
    rig.follows = False
    before = rig.drive(at(0.1), 10)
    rig.measuring = False
    held = [rig.drive(at(0.1), 1) for _ in range(9)]
    assert {out.mode for out in held} == {Mode.ACTIVE}
    rig.drive(at(0.1), 1)
    assert rig.names() == ["stale_measurement"] and "0.1 s old" in rig.out.faults[0].reason
    assert still([before, rig.out, rig.step(50)])


def test_a_measurement_from_the_future_is_a_fault_and_an_old_one_is_ignored() -> None:
    rig = active()
    for age_s in (0.0, 0.05):
        old = Measurement(rig.t_s - age_s, at(0.1), np.zeros(6), Q)
        np.testing.assert_array_equal(target(rig.arbiter.tick(rig.t_s, old)), at())
    out = rig.arbiter.tick(rig.t_s, replace(old, t_s=rig.t_s + 1.0))
    assert [fault.name for fault in out.faults] == ["bad_measurement"]


@pytest.mark.parametrize("wrong", [0.02, -1e300, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("call", ["tick", "submit", "release"])
def test_a_clock_that_goes_back_is_a_fault(wrong: float, call: str) -> None:
    rig = active()
    if call == "tick":
        rig.arbiter.tick(wrong)
    elif call == "submit":
        assert rig.arbiter.submit(wrong, Command("policy", "actor", at(0.1), rig.t_s)) is Verdict.REFUSED
    else:
        rig.arbiter.release(wrong, "operator", "pad")
    assert rig.arbiter.mode is Mode.FAULT
    assert [fault.name for fault in rig.arbiter.history] == ["clock"]


def test_after_the_clock_went_back_the_new_time_counts() -> None:
    rig = active()
    rig.k = 1
    rig.step()
    assert rig.names() == ["clock"]
    rig.arbiter.recover(rig.t_s)
    rig.step()
    assert rig.arbiter.enable(rig.t_s).done
    assert rig.drive(at(), 200).mode is Mode.ACTIVE
