"""The arbiter by example: targets within their limits, the documented times, settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.controllers import se3
from robot_rl.controllers.arbiter import (
    ArbiterConfig,
    Mode,
    Verdict,
)
from robot_rl.controllers.arbiter_bench import measure
from robot_rl.controllers.arbiter_modes import fault_table, transition_table
from robot_rl.core.config import from_dict, to_dict
from robot_rl.core.errors import ConfigError
from tests.controllers.arbiter_rig import HOME, Rig, active, at, enabled, still, target


def test_a_command_is_followed_at_the_slew_limit_until_reached() -> None:
    rig = enabled()
    out = rig.drive(at(0.02), 1)
    assert out.mode is Mode.ACTIVE and out.in_charge == "policy" and out.limited == {"slew", "reach"}
    np.testing.assert_allclose(target(out), at(0.0025))
    np.testing.assert_allclose(target(rig.drive(at(0.02), 10)), at(0.02))
    assert rig.out.limited == frozenset()


def test_a_blocked_arm_feels_no_more_than_the_reach() -> None:
    rig = enabled()
    rig.follows = False
    np.testing.assert_allclose(target(rig.drive(at(0.2), 50)), at(0.01), atol=1e-12)
    assert rig.out.limited >= {"reach"}


def test_targets_stay_in_the_box() -> None:
    rig = enabled()
    out = rig.drive(at(dz=-1.0), 200)
    assert target(out)[2] == 0.0 and out.limited >= {"box"} and out.mode is Mode.ACTIVE


def test_a_rotation_slews_too() -> None:
    rig = enabled()
    wish = se3.apply_tool_delta(HOME, [0, 0, 0, 0, 0, 0.5])
    rig.drive(wish, 20)
    assert math.isclose(se3.quat_angle(target(rig.out)[3:], HOME[3:]), 0.2, abs_tol=1e-9)


def test_silence_holds_after_a_fifth_of_a_second_and_latches_after_one() -> None:
    """Golden times, at 100 Hz: the command is of t = 0, far away, so that a target that is followed moves."""
    rig = Rig(fault_after_s=1.0, hold_after_s=0.2)
    assert rig.arbiter.enable(0.0).done
    assert rig.send(at(0.4)) is Verdict.ACCEPTED
    outputs = [rig.step() for _ in range(120)]
    modes = [out.mode for out in outputs]
    assert modes == [Mode.ACTIVE] * 19 + [Mode.HOLDING] * 80 + [Mode.FAULT] * 21
    assert len({float(target(out)[0]) for out in outputs[:19]}) == 19
    assert still(outputs[18:99])
    assert all(out.limited == {"command_age"} for out in outputs[19:99])
    fault = outputs[99].faults[0]
    assert (fault.name, fault.t_s) == ("command_timeout", 1.0) and "'policy' was silent for 1.0 s" in fault.reason


def test_a_late_fault_freezes_at_the_measured_pose() -> None:
    rig = enabled()
    rig.follows = False
    rig.drive(at(0.4), 20)
    assert target(rig.out)[0] > HOME[0]
    rig.step(19)
    assert rig.out.mode is Mode.HOLDING
    rig.arm = at(0.003)
    np.testing.assert_allclose(target(rig.step()), at(0.01), atol=1e-12)
    rig.step(90)
    assert rig.names() == ["command_timeout"]
    np.testing.assert_array_equal(target(rig.out), rig.arm)


def test_a_command_in_time_ends_the_hold() -> None:
    rig = active()
    assert rig.step(50).mode is Mode.HOLDING
    assert rig.drive(at(0.01), 1).mode is Mode.ACTIVE


def test_what_was_given_out_cannot_be_changed() -> None:
    rig = active()
    with pytest.raises(ValueError, match="read-only"):
        target(rig.out)[0] = 9.0


def test_a_long_pause_between_ticks_makes_no_jump() -> None:
    rig = enabled(max_measurement_age_s=1.0)
    rig.send(at(0.1))
    rig.k += 15
    assert target(rig.tick())[0] == pytest.approx(HOME[0] + 0.01)
    assert rig.arbiter.config.limits(15.0).slew_m == 0.25 * 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slew_m_s": 9.0}, "slew_m_s is 9"),
        ({"reach_m": math.nan}, "reach_m is nan"),
        ({"hold_after_s": 2.0}, "expected at most fault_after_s"),
        ({"box_min_m": (1.0, 0.0, 0.0)}, "workspace box"),
        ({"q_min_rad": (0.0,)}, "joint limits"),
        ({"q_min_rad": (), "q_max_rad": ()}, "joint limits"),
        ({"q_min_rad": (3.0,) * 7}, "joint limits"),
        ({"roles": ()}, "roles"),
        ({"roles": ("policy", "policy")}, "roles"),
        ({"auto_recoveries_per_hour": -1}, "auto_recoveries_per_hour"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ArbiterConfig(**change)


def test_settings_survive_plain_data() -> None:
    config = ArbiterConfig(slew_m_s=0.1, roles=("policy", "expert", "operator"))
    assert from_dict(ArbiterConfig, to_dict(config)) == config


def test_the_page_shows_the_tables_that_the_program_uses() -> None:
    page = (Path(__file__).parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")
    assert transition_table() in page and fault_table() in page


def test_the_bench_measures_ticks_that_follow() -> None:
    tick_s, command_s = measure(at(0.05), arm_follows=True, ticks=120)
    assert tick_s.shape == command_s.shape == (20,) and (tick_s > 0.0).any()
