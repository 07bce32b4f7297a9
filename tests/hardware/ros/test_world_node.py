"""The world of cells whose robot is real, or emulated in another process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from geometry_msgs.msg import PoseStamped

from robot_rl.cli.node import make_scene
from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.cell.description import CellConfig, GripperConfig, RobotConfig, WorldConfig
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.server import FciServer, ServerOptions
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.messages import pose_of
from robot_rl.hardware.ros.node import Level
from robot_rl.hardware.ros.nodes.world import FixedStage, WorldNode, make_nodes
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until
from tests.hardware.ros.serving import Listener, serving

HERE = [0.5, 0.1, 0.02, 0.0, 0.0, 0.0, 1.0]
THERE = [0.4, -0.1, 0.02, 0.0, 0.0, 0.6, 0.8]


class Table:
    """A stage whose cube can be moved."""

    def __init__(self) -> None:
        self.cube, self.gone, self.closed = np.array(HERE), False, 0

    def poses(self) -> dict[str, Array]:
        if self.gone:
            raise DeviceError("no emulator answers")
        return {"cube": self.cube.copy()}

    def place(self, name: str, pose_base_object: Array) -> None:
        assert name == "cube"
        self.cube = pose_base_object.copy()

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener(test_cell())
    yield listener
    listener.close()


def test_publishes_places_and_resets(listener: Listener) -> None:
    config, table = test_cell("emulated", task="PickCube"), Table()
    scene = make_scene(config)
    poses, calls = listener.listen(PoseStamped, names.object_pose("cube")), Calls(listener.spinner, 20.0)
    with serving(config, lambda context: [WorldNode(config, scene, lambda: table, context)]) as (node,):
        wait_until(lambda: poses, "the cube")
        np.testing.assert_array_equal(pose_of(poses[-1]), HERE)
        assert poses[-1].header.frame_id == names.BASE_FRAME

        assert calls.trigger(names.WORLD_PLACE) == (False, "nothing to place: set the parameter place.NAME first")
        calls.set_parameters("world", {names.place_object("cube"): THERE})
        assert calls.trigger(names.WORLD_PLACE) == (True, "")
        np.testing.assert_allclose(table.cube, THERE, atol=1e-15)
        wait_until(lambda: np.allclose(pose_of(poses[-1]), THERE), "the new pose")
        assert not calls.trigger(names.WORLD_PLACE)[0], "what was placed is not placed again"

        assert calls.trigger(names.WORLD_RESET) == (True, "")
        np.testing.assert_allclose(table.cube, scene.start_objects["cube"], atol=1e-12)
        start = {names.start_object("cube"): THERE, names.START_WIDTH: 0.04, names.START_POSE: HERE}
        calls.set_parameters("world", start)
        assert calls.trigger(names.WORLD_RESET) == (True, "")
        np.testing.assert_allclose(table.cube, THERE, atol=1e-15)

        for bad in (THERE[:6], [*THERE[:6], 2.0], [float("nan"), *THERE[1:]]):
            with pytest.raises(DeviceError, match="refuses"):
                calls.set_parameters("world", {names.place_object("cube"): bad})

        table.gone = True
        wait_until(lambda: node.health()[0].level is Level.ERROR, "the loss to show")
        table.gone = False
        wait_until(lambda: node.health()[0].level is Level.OK, "the stage to come back")
    assert table.closed


def test_a_stage_that_comes_late(listener: Listener) -> None:
    config, table = test_cell("emulated", task="PickCube"), Table()
    table.gone = True
    poses = listener.listen(PoseStamped, names.object_pose("cube"))
    scene, asked = make_scene(config), threading.Event()

    def connect() -> Table:
        asked.set()
        return table

    with serving(config, lambda context: [WorldNode(config, scene, connect, context)]):
        assert asked.wait(20.0)
        table.gone = False
        wait_until(lambda: poses, "the cube")


def fixed_cell(**objects: tuple[float, ...]) -> CellConfig:
    return test_cell(
        robot=RobotConfig(provider="ros2_control"),
        gripper=GripperConfig(provider="none"),
        world=WorldConfig(provider="fixed", objects=objects),  # type: ignore[arg-type]
        supervision="operator",
        task="PickCube",
    )


def test_fixed_poses_reach_who_comes_late(listener: Listener, start_node: Callable[..., NodeProcess]) -> None:
    config = fixed_cell(cube=tuple(HERE))
    node = start_node(config, "world")
    ok, text = Calls(listener.spinner, 30.0).trigger(names.WORLD_RESET)
    assert not ok
    assert text == "nothing in this cell can move cube: put it there by hand"
    topic = names.object_pose("cube")
    latched, plain = (listener.listen(PoseStamped, topic, q) for q in (qos.LATCHED, qos.STREAM_IN))
    wait_until(lambda: latched and plain, "the cube")
    np.testing.assert_array_equal(pose_of(latched[-1]), HERE)
    assert node.close() == 0


def test_the_emulators_objects(listener: Listener, emulated_cube: str) -> None:
    config = test_cell("emulated", task="PickCube")
    config = replace(config, robot=replace(config.robot, address=emulated_cube))
    poses, calls = listener.listen(PoseStamped, names.object_pose("cube")), Calls(listener.spinner, 20.0)
    with serving(config, lambda context: make_nodes(config, make_scene(config), context)):
        wait_until(lambda: poses, "the cube")
        calls.set_parameters("world", {names.place_object("cube"): THERE})
        assert calls.trigger(names.WORLD_PLACE) == (True, "")
        wait_until(lambda: np.allclose(pose_of(poses[-1])[:2], THERE[:2], atol=1e-3), "the new pose")


@pytest.fixture
def emulated_cube() -> Iterator[str]:
    """Address of an emulator with a cube."""
    address = f"127.99.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
    server = FciServer(ArmPlant(make_task("PickCube").objects), ServerOptions(address=address))
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(lambda: not stop.is_set(),))
    thread.start()
    yield address
    stop.set()
    thread.join()
    server.close()


def test_a_cell_that_knows_no_poses(listener: Listener) -> None:
    config = fixed_cell()
    with serving(config, lambda context: make_nodes(config, make_scene(config), context)) as (node,):
        wait_until(lambda: node.active, "the node")
        assert listener.spinner.node.count_publishers(names.object_pose("cube")) == 0, "left to a tracker"


def test_a_pose_that_is_none() -> None:
    with pytest.raises(DeviceError, match="unit quaternion"):
        FixedStage({"cube": [0.0] * 7})
    config = replace(fixed_cell(cube=(0.0,) * 7))
    with pytest.raises(DeviceError, match="unit quaternion"):
        make_nodes(config, make_scene(config), None)  # type: ignore[arg-type]
