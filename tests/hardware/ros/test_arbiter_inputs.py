"""Names of publishers, and limits from parameters, without a graph."""

from __future__ import annotations

import math
from typing import Any

import pytest
from rclpy.parameter import Parameter

from robot_rl.controllers.arbiter import ArbiterConfig, RobotMode
from robot_rl.core.errors import ConfigError
from robot_rl.hardware.ros.nodes.arbiter_inputs import Sources, robot_mode_of
from robot_rl.hardware.ros.nodes.arbiter_limits import changed_limits


def info(number: int | None, gid: bytes = b"") -> dict[str, Any]:
    return {"publication_sequence_number": number, "publisher_gid": {"data": gid}}


def test_a_publisher_is_named_by_its_id() -> None:
    sources = Sources()
    assert sources.name("policy", info(7, b"\x01\x02")) == ("0102", 7)
    assert sources.name("policy", info(3, b"\x01\x03")) == ("0103", 3)
    assert sources.name("policy", info(None, b"\x01\x03")) == ("0103", None)


def test_without_ids_a_number_that_does_not_rise_is_of_somebody_else() -> None:
    sources = Sources()
    names = [sources.name("policy", info(number))[0] for number in (1, 2, 5, 1, 2, 2)]
    assert names == ["publisher 0"] * 3 + ["publisher 1"] * 2 + ["publisher 2"]
    assert sources.name("operator", info(1)) == ("publisher 0", 1)
    assert Sources().name("policy", {"publication_sequence_number": 2**64 - 1}) == ("publisher 0", None)


def test_an_unknown_mode_of_the_robot_is_no_ready_one() -> None:
    assert {mode.value: robot_mode_of(mode.value) for mode in RobotMode} == {mode.value: mode for mode in RobotMode}
    assert robot_mode_of("fine") is RobotMode.UNAVAILABLE


def test_limits_change_together_or_not_at_all() -> None:
    limits = ArbiterConfig()
    both = [Parameter("limits.hold_after_s", value=2.0), Parameter("limits.fault_after_s", value=3.0)]
    assert changed_limits(limits, both).fault_after_s == 3.0
    with pytest.raises(ConfigError, match="hold_after_s"):
        changed_limits(limits, both[:1])
    assert changed_limits(limits, [Parameter("autostart", value=True)]) is limits
    for corner in ([0.1, 0.2], [0.1, 0.2, math.inf], [9.0, 9.0, 9.0]):
        with pytest.raises(ConfigError):
            changed_limits(limits, [Parameter("limits.box_min_m", value=corner)])
