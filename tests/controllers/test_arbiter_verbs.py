"""Enable, disable, stop, recover, home; recoveries without a person."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robot_rl.controllers.arbiter import (
    Mode,
    Output,
    RobotMode,
    SafetyArbiter,
    Verdict,
)
from robot_rl.controllers.arbiter_modes import ENABLED, TRANSITIONS, Event
from tests.controllers.arbiter_rig import HOME, Q, Rig, active, at, enabled, target


def test_home_refuses_commands_and_gives_out_no_target() -> None:
    rig = active()
    assert rig.arbiter.home(rig.t_s).done
    out = rig.step(300)
    assert out.mode is Mode.HOMING and out.pose_base_tcp is None and out.in_charge is None
    assert rig.send(at(0.1)) is Verdict.REFUSED
    assert not rig.arbiter.home(rig.t_s).done and not rig.arbiter.enable(rig.t_s).done
    rig.arm = at(0.1)
    rig.step()
    assert rig.arbiter.home_finished(rig.t_s, arrived=True).done
    out = rig.step(300)
    assert out.mode is Mode.HOLDING
    np.testing.assert_array_equal(target(out), at(0.1))
    assert not rig.arbiter.home_finished(rig.t_s, arrived=True).done


def test_a_motion_home_that_fails_or_never_ends_is_a_fault() -> None:
    rig = active()
    rig.arbiter.home(rig.t_s)
    assert not rig.arbiter.home_finished(rig.t_s, arrived=False).done
    rig.step()
    assert rig.names() == ["home_failed"]
    rig = active(home_timeout_s=0.5)
    rig.arbiter.home(rig.t_s)
    assert rig.step(49).mode is Mode.HOMING
    rig.step()
    assert rig.names() == ["home_failed"]


def test_the_arm_is_watched_on_its_way_home() -> None:
    rig = active()
    rig.arbiter.home(rig.t_s)
    rig.arm = at(0.4)
    assert rig.step().mode is Mode.HOMING
    rig.wrench = [0, 60, 0, 0, 0, 0]
    rig.step(3)
    assert rig.names() == ["force_limit"]
    np.testing.assert_array_equal(target(rig.out), at(0.4))


@pytest.mark.parametrize("state", ["disabled", "holding", "active", "homing", "fault"])
def test_stop_works_in_every_mode(state: str) -> None:
    rig = Rig() if state == "disabled" else enabled() if state == "holding" else active()
    if state == "homing":
        rig.arbiter.home(rig.t_s)
    if state == "fault":
        rig.robot_mode = RobotMode.REFLEX
        rig.step()
        rig.robot_mode = RobotMode.READY
    assert rig.arbiter.mode.value == state
    assert rig.arbiter.stop(rig.t_s, "smoke").done
    assert rig.step().mode is Mode.STOPPED and rig.out.faults[-1].reason == "smoke"
    assert rig.arbiter.recover(rig.t_s).done and rig.arbiter.mode is Mode.DISABLED


def test_no_recovery_while_a_stop_is_pressed() -> None:
    rig = active()
    assert rig.arbiter.set_estop(rig.t_s, pressed=True).done
    assert rig.step().mode is Mode.STOPPED
    assert "e-stop" in rig.arbiter.recover(rig.t_s).message
    rig.robot_mode = RobotMode.USER_STOPPED
    rig.step()
    assert rig.arbiter.set_estop(rig.t_s, pressed=False).done
    assert "user stop" in rig.arbiter.recover(rig.t_s).message
    rig.robot_mode = RobotMode.READY
    assert rig.step().mode is Mode.STOPPED and rig.names() == ["estop", "user_stop"]
    assert rig.arbiter.recover(rig.t_s).done


def test_disable_freezes_and_a_pushed_arm_drags_the_target_along() -> None:
    rig = enabled()
    rig.follows = False
    rig.drive(at(0.1), 10)
    assert rig.arbiter.disable(rig.t_s).done
    np.testing.assert_array_equal(target(rig.step()), HOME)
    rig.arm = at(0.05)
    np.testing.assert_allclose(target(rig.step()), at(0.04))
    rig.arm = at(0.045)
    np.testing.assert_allclose(target(rig.step(10)), at(0.04))


def test_nothing_can_be_enabled_blindly() -> None:
    arbiter = SafetyArbiter()
    assert arbiter.tick(0.0).pose_base_tcp is None
    assert "measurement" in arbiter.enable(0.0).message
    for change in ({"arm": at(0.4)}, {"q": [9.0] * 7}, {"robot_mode": RobotMode.GUIDING}):
        rig = Rig()
        for key, value in change.items():
            setattr(rig, key, value)
        rig.step()
        answer = rig.arbiter.enable(rig.t_s)
        assert not answer.done and answer.message.startswith("cannot enable: ")
        assert rig.step().mode is Mode.DISABLED
    rig = Rig()
    assert not rig.arbiter.enable(math.nan).done


def reflex(rig: Rig) -> Output:
    rig.robot_mode = RobotMode.REFLEX
    return rig.step(5)


def test_reflexes_are_recovered_by_themselves_only_as_often_as_configured() -> None:
    rig = active(auto_recoveries_per_hour=2)
    for _ in range(2):
        assert reflex(rig).recover_robot and rig.out.mode is Mode.FAULT
        rig.robot_mode = RobotMode.READY
        assert rig.step().mode is Mode.HOLDING and not rig.out.faults and not rig.out.recover_robot
        assert rig.drive(at(), 5).mode is Mode.ACTIVE
    assert not reflex(rig).recover_robot
    rig.robot_mode = RobotMode.READY
    assert rig.step(50).mode is Mode.FAULT
    assert rig.arbiter.counts["reflex"] == 3
    rig.k += 3600 * 100
    rig.step()
    rig.arbiter.recover(rig.t_s)
    rig.arbiter.enable(rig.t_s)
    assert reflex(rig).recover_robot


def test_no_recovery_by_itself_after_a_stop_or_beside_another_fault() -> None:
    rig = active(auto_recoveries_per_hour=5)
    reflex(rig)
    rig.robot_mode = RobotMode.USER_STOPPED
    assert not rig.step().recover_robot
    rig.robot_mode = RobotMode.READY
    assert rig.step(100).mode is Mode.STOPPED
    rig = active(auto_recoveries_per_hour=5)
    rig.robot_mode, rig.q = RobotMode.REFLEX, [9.0] * 7
    assert not rig.step().recover_robot
    rig.robot_mode, rig.q = RobotMode.READY, Q
    assert rig.step(100).mode is Mode.FAULT and rig.names() == ["reflex", "joint_limit"]


def test_the_table_has_no_short_cut() -> None:
    into_active = {pair for pair, mode in TRANSITIONS.items() if mode is Mode.ACTIVE}
    assert into_active == {(Mode.HOLDING, Event.COMMAND), (Mode.ACTIVE, Event.COMMAND)}
    out_of_stop = {(e, n) for (m, e), n in TRANSITIONS.items() if m is Mode.STOPPED and n is not m}
    assert out_of_stop == {(Event.RECOVER, Mode.DISABLED)}
    out_of_fault = {(e, n) for (m, e), n in TRANSITIONS.items() if m is Mode.FAULT and n is not m}
    assert out_of_fault == {
        (Event.STOP, Mode.STOPPED), (Event.RECOVER, Mode.DISABLED), (Event.AUTO_RECOVER, Mode.HOLDING),
    }  # fmt: skip
    assert all(TRANSITIONS[mode, Event.STOP] is Mode.STOPPED for mode in Mode)
    assert all(TRANSITIONS[mode, Event.FAULT] is Mode.FAULT for mode in ENABLED)
