"""Enable, disable, stop, recover, home; recoveries without a person."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

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
from robot_rl.core.errors import ConfigError
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
    for k in range(1, 101):
        rig.arm = at(0.0005 * k)
        rig.step()
    np.testing.assert_allclose(target(rig.out), at(0.04))
    rig.arm = at(0.0495)
    np.testing.assert_allclose(target(rig.step(10)), at(0.04))


@pytest.mark.parametrize("way_m", [0.002, 0.009, 0.3])
def test_disabled_an_arm_that_is_put_elsewhere_is_not_called_back(way_m: float) -> None:
    rig = enabled()
    rig.follows = False
    assert rig.arbiter.disable(rig.t_s).done
    rig.step()
    rig.arm = at(way_m)
    np.testing.assert_array_equal(target(rig.step()), at(way_m))
    np.testing.assert_array_equal(target(rig.step(10)), at(way_m))


def test_in_a_fault_even_an_arm_that_jumps_stays_on_the_leash() -> None:
    rig = enabled()
    rig.follows = False
    rig.arbiter.stop(rig.t_s)
    rig.arm = at(0.05)
    np.testing.assert_allclose(target(rig.step(3)), at(0.04))


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


@pytest.mark.parametrize("ticks_between", [0, 1, 40])
def test_a_reflex_that_follows_the_force_limit_is_of_the_same_collision(ticks_between: int) -> None:
    rig = active(auto_recoveries_per_hour=1)
    rig.wrench = [0, 0, 90, 0, 0, 0]
    if ticks_between == 0:
        rig.robot_mode = RobotMode.REFLEX
    rig.step(3)
    assert "force_limit" in rig.names() and rig.arbiter.mode is Mode.FAULT
    rig.step(ticks_between)
    rig.robot_mode = RobotMode.REFLEX
    assert rig.step().recover_robot and rig.names() == ["force_limit", "reflex"]
    rig.robot_mode, rig.wrench = RobotMode.READY, np.zeros(6)
    assert rig.step().mode is Mode.HOLDING and not rig.out.faults


def test_a_force_fault_alone_or_long_before_a_reflex_waits_for_a_person() -> None:
    for ticks, mode in ((5, RobotMode.READY), (60, RobotMode.REFLEX)):
        rig = active(auto_recoveries_per_hour=5)
        rig.wrench = [0, 0, 90, 0, 0, 0]
        rig.step(ticks)
        rig.wrench, rig.robot_mode = np.zeros(6), mode
        assert not rig.step().recover_robot
        rig.robot_mode = RobotMode.READY
        assert rig.step(100).mode is Mode.FAULT and rig.names() == ["force_limit"]


def test_a_force_that_stays_after_the_recovery_is_a_fault_again() -> None:
    rig = active(auto_recoveries_per_hour=1)
    rig.wrench, rig.robot_mode = [0, 0, 90, 0, 0, 0], RobotMode.REFLEX
    assert rig.step(3).recover_robot
    rig.robot_mode = RobotMode.READY
    assert rig.step(5).mode is Mode.FAULT and rig.names() == ["force_limit"]


def test_release_without_a_source_is_of_whoever_has_the_role() -> None:
    rig = active()
    assert not rig.arbiter.release(rig.t_s, "operator").done
    assert not rig.arbiter.release(rig.t_s, "nobody").done
    assert rig.arbiter.release(rig.t_s, "policy").done and rig.arbiter.mode is Mode.HOLDING
    assert rig.step(200).mode is Mode.HOLDING


def test_limits_change_without_a_jump_and_without_forgetting() -> None:
    rig = active()
    rig.arbiter.configure(replace(rig.arbiter.config, slew_m_s=0.1, fault_after_s=2.0))
    before = target(rig.out)
    rig.send(at(0.1))
    assert abs(target(rig.step())[0] - before[0] - 0.001) < 1e-9 and rig.out.mode is Mode.ACTIVE
    assert rig.step(150).mode is Mode.HOLDING and rig.step(50).mode is Mode.FAULT
    rig.arbiter.configure(replace(rig.arbiter.config, max_force_n=99.0))
    assert rig.names() == ["command_timeout"]


def test_a_workspace_without_the_target_is_refused_while_the_arm_may_move() -> None:
    rig = active()
    away = replace(rig.arbiter.config, box_min_m=(0.5, -0.35, 0.0))
    with pytest.raises(ConfigError, match="outside of the new workspace"):
        rig.arbiter.configure(away)
    assert rig.arbiter.config.box_min_m[0] == 0.25
    rig.arbiter.disable(rig.t_s)
    rig.arbiter.configure(away)
    assert not rig.arbiter.enable(rig.t_s).done
    changes: list[dict[str, Any]] = [
        {"roles": ("policy",)},
        {"frame_id": "world"},
        {"q_min_rad": Q[:2], "q_max_rad": (3.0, 3.0)},
    ]
    for change in changes:
        with pytest.raises(ConfigError, match="start the arbiter anew"):
            rig.arbiter.configure(replace(rig.arbiter.config, **change))


def test_disabled_without_readings_the_target_stays() -> None:
    """Not the last reading of an arm that was moving: it has moved on since."""
    rig = active()
    rig.drive(at(0.1), 20)
    rig.follows, rig.measuring = False, False
    rig.step(30)
    stayed = target(rig.out)
    assert rig.names() == ["stale_measurement"] and rig.arbiter.recover(rig.t_s).done
    np.testing.assert_array_equal(target(rig.step(5)), stayed)
