"""Episodes begin where they should, whatever has happened to the cell before."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.core.protocols import Cell
from robot_rl.core.types import Array
from robot_rl.envs.tasks import make_task
from robot_rl.envs.tasks.base import Start, down_pose, flat_pose, yaw_of
from robot_rl.envs.tasks.peg_insert import TIP_M
from robot_rl.envs.tasks.socket import SOCKET_HEIGHT_M, depth_m, tip_of
from robot_rl.hardware.cell.description import WorldConfig
from robot_rl.hardware.cell.supervisor import RunningCell
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.client.arm import RosArm
from robot_rl.hardware.ros.client.cell import open_ros_cell
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.testing import WorldContract
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until
from tests.hardware.ros.golden_depths import cell_config
from tests.hardware.ros.kept import Kept

TASK = make_task("PickCube")


def begin(cell: Cell, seed: int = 0, task_id: str = "PickCube") -> Start:
    start = make_task(task_id).sample_start(np.random.default_rng(seed))
    cell.world.reset(start.pose_base_tcp, start.gripper_width_m, start.objects)
    return start


def distance_m(cell: Cell, pose: Array) -> float:
    return float(np.linalg.norm(cell.arm.state().pose_base_tcp[:3] - pose[:3]))


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Calls]:
    spinner = Spinner("operator", test_cell("sim"))
    yield Calls(spinner)
    spinner.close()


class TestSimulated:
    @pytest.fixture
    def start(self, start_node: Callable[..., NodeProcess]) -> Callable[..., NodeProcess]:
        self.config = test_cell("sim", task=TASK.id)
        return lambda name: start_node(self.config, name)

    @pytest.fixture
    def cell(self, start: Callable[..., NodeProcess]) -> Iterator[Cell]:
        self.sim, self.arbiter = start("sim"), start("arbiter")
        with closing(open_ros_cell(self.config, TASK.objects, timeout_s=60.0)) as cell:
            yield cell

    def test_after_faults_and_restarts_the_cell_recovers_by_itself(
        self, cell: Cell, start: Callable[..., NodeProcess], operator: Calls
    ) -> None:
        begin(cell)
        operator.trigger(names.STOP)
        wait_until(lambda: cell.arm.state().fault == "stop", "the stop")
        assert distance_m(cell, begin(cell, 1).pose_base_tcp) < 0.002
        for node, name in ((self.sim, "sim"), (self.arbiter, "arbiter")):
            node.kill(signal.SIGKILL)
            start(name)
            assert distance_m(cell, begin(cell, 2).pose_base_tcp) < 0.002
            assert cell.arm.state().fault is None

    def test_objects_of_another_task_are_refused_by_name(self, cell: Cell) -> None:
        start = begin(cell)
        with pytest.raises(DeviceError, match=r"unknown object 'socket'.*cube"):
            cell.world.reset(start.pose_base_tcp, 0.08, {"socket": start.objects["cube"]})


@pytest.mark.slow
@pytest.mark.skipif(find_spec("franky") is None, reason="the production driver needs the extra franka")
class TestEmulated(WorldContract):
    """An arm that has to travel, with a peg that may be deep in its socket when an episode ends."""

    task = make_task("PegInsert")

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        config = replace(cell_config("L2", TestEmulated.task), world=WorldConfig("emulator", home_every=3))
        with ExitStack() as stack:
            stack.callback(RunningCell(config, log_dir=tmp_path_factory.mktemp("cell")).close)
            cell = stack.enter_context(closing(open_ros_cell(config, TestEmulated.task.objects, timeout_s=60.0)))
            assert isinstance(cell.arm, RosArm)
            TestEmulated.cell = replace(cell, arm=Kept(cell.arm))
            yield

    cell: Cell

    def make(self) -> Cell:
        return self.cell

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def start(self) -> tuple[Array, float, dict[str, Array]]:
        start = self.task.sample_start(np.random.default_rng(0))
        return start.pose_base_tcp, start.gripper_width_m, start.objects

    def test_a_peg_is_pulled_out_of_its_socket(self) -> None:
        start, width_m, objects = self.start()
        seated = down_pose((0.5, 0.0, SOCKET_HEIGHT_M - 0.02 + TIP_M))
        self.cell.world.reset(seated, width_m, {"socket": flat_pose((0.5, 0.2, 0.0))})
        tool = self.cell.arm.state().pose_base_tcp
        self.cell.world.place("socket", flat_pose((tool[0], tool[1], 0.0), yaw_of(tool)))
        assert depth_m(tip_of(tool, TIP_M), self.cell.world.object_pose("socket")) > 0.015
        self.cell.world.reset(start, width_m, objects)
        assert distance_m(self.cell, start) < 0.003
        np.testing.assert_allclose(self.cell.world.object_pose("socket")[:3], objects["socket"][:3], atol=0.001)

    def test_a_jammed_arm_is_freed(self) -> None:
        start, width_m, objects = self.start()
        seated = down_pose((0.5, 0.0, SOCKET_HEIGHT_M - 0.01 + TIP_M))
        self.cell.world.reset(seated, width_m, {"socket": flat_pose((0.5, 0.2, 0.0))})
        tool = self.cell.arm.state().pose_base_tcp
        # The peg is in the middle of a wall, which pushes it out with all it has.
        self.cell.world.place("socket", flat_pose((tool[0] + 0.02, tool[1], 0.0), yaw_of(tool)))
        wait_until(lambda: self.cell.arm.state().fault is not None, "the robot to stop itself")
        self.cell.world.reset(start, width_m, objects)
        assert distance_m(self.cell, start) < 0.003
        assert self.cell.arm.state().fault is None
