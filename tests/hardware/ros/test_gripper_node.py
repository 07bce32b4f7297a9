"""The gripper's node: in the simulated cell's process, and in front of a gripper that has stopped talking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from std_msgs.msg import Float64MultiArray

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import GripperState
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import numbers_message, pose_of, seconds_of
from robot_rl.hardware.ros.nodes.gripper import GripperNode, opening_of
from robot_rl.hardware.ros.qos import LATCHED
from tests.hardware.ros.conftest import test_cell, wait_until
from tests.hardware.ros.serving import serving
from tests.hardware.ros.sim_cell import Observer, SimCell, fresh_start


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimCell]:
    cell = SimCell(test_cell(), tmp_path_factory.mktemp("gripper"))
    yield cell
    assert cell.close() == 0, cell.process.text


@pytest.fixture
def seen(cell: SimCell) -> Observer:
    fresh_start(cell.observer)
    return cell.observer


def refused(seen: Observer) -> int:
    return int(seen.fact("gripper", "rejected")() or 0)


def target_m(seen: Observer) -> float:
    return float(seen.heard[names.GRIPPER_TARGET][-1].data[0])


def test_an_opening_is_reached_and_told(seen: Observer) -> None:
    seen.gripper.publish(numbers_message([0.03]))
    wait_until(lambda: abs(seen.width_m - 0.03) < 1e-3, "the fingers to move", 20.0)
    assert target_m(seen) == 0.03
    late: list[Float64MultiArray] = []
    seen.spinner.node.create_subscription(Float64MultiArray, names.GRIPPER_TARGET, late.append, LATCHED)
    wait_until(lambda: late, "the target to reach somebody who comes later", 20.0)
    assert list(late[0].data) == [0.03]
    state = seen.heard[names.GRIPPER_STATES][-1]
    assert list(state.name) == [names.GRIPPER_JOINT]
    assert len(state.velocity) == len(state.effort) == 0


def test_bad_commands_are_counted_and_change_nothing(seen: Observer) -> None:
    before, width_m = refused(seen), seen.width_m
    for values in ([], [0.01, 0.02], [np.nan], [-0.01], [0.2]):
        seen.gripper.publish(numbers_message(values))
        seen.pass_time(0.05)
    wait_until(lambda: refused(seen) >= before + 4, "the refusals in the diagnostics")
    assert seen.width_m == pytest.approx(width_m, abs=1e-3)


def test_verbs(seen: Observer) -> None:
    done, text = seen.calls.trigger(names.GRIPPER_GRASP)
    assert not done
    assert "nothing" in text
    assert seen.width_m < 0.002
    done, text = seen.calls.trigger(names.GRIPPER_OPEN)
    assert done, text
    assert seen.width_m > 0.078
    assert seen.calls.trigger(names.GRIPPER_HOME)[0]


def test_a_cube_is_grasped(seen: Observer) -> None:
    cube = pose_of(seen.heard[names.object_pose("cube")][-1])
    at_tool = seen.pose
    at_tool[:3] = cube[:3]
    before = {names.START_POSE: seen.pose.tolist(), names.START_WIDTH: 0.08}
    seen.calls.set_parameters("world", {names.START_POSE: at_tool.tolist(), names.START_WIDTH: 0.08})
    try:
        assert seen.calls.trigger(names.WORLD_RESET)[0]
        done, text = seen.calls.trigger(names.GRIPPER_GRASP)
        assert done, text
        assert "holds something" in text
    finally:
        seen.calls.set_parameters("world", before)


@given(st.floats(0.0, 0.08))
def test_every_opening_within_range_is_taken(width_m: float) -> None:
    assert opening_of(numbers_message([width_m]), 0.08) == width_m


@given(st.one_of(st.floats(max_value=-1e-5), st.floats(min_value=0.0801), st.just(np.nan)))
def test_no_other_is(width_m: float) -> None:
    with pytest.raises(DeviceError):
        opening_of(numbers_message([width_m]), 0.08)


class Silent:
    """A gripper that was heard once, long ago."""

    def state(self) -> GripperState:
        return GripperState(0.02, 0.02, 0.08, 1000.0)

    def command(self, width_m: float) -> None:
        raise DeviceError("the gripper does not answer")

    def home(self) -> None:
        raise DeviceError("the gripper does not answer")

    def health(self) -> Mapping[str, str]:
        return {"firmware": "3"}

    def close(self) -> None: ...


def test_an_old_reading_keeps_its_stamp_and_is_told() -> None:
    config = test_cell()
    config = replace(config, name=f"{config.name}_silent")
    with serving(config, lambda context: [GripperNode(config, Silent, context)]):
        seen = Observer(config)
        try:
            wait_until(lambda: seen.heard[names.GRIPPER_STATES], "readings")
            assert seconds_of(seen.heard[names.GRIPPER_STATES][-1].header.stamp) == 1000.0
            wait_until(lambda: any("old" in text for text, _ in seen.facts.get("gripper", [])), "the diagnosis")
            assert seen.fact("gripper", "firmware")() == "3"
            assert seen.calls.trigger(names.GRIPPER_HOME) == (False, "the gripper does not answer")
        finally:
            seen.close()
