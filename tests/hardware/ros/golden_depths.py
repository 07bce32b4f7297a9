"""The depths of simulation that `golden` compares: opened on one task, with the targets that reach the arm."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PoseStamped

from robot_rl.core.types import Array
from robot_rl.envs.cell_env import CellEnv
from robot_rl.envs.options import EnvOptions
from robot_rl.envs.tasks import make_task
from robot_rl.envs.tasks.base import Task
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.supervisor import RunningCell
from robot_rl.hardware.mujoco.devices import SimArm, make_sim_cell
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.client.cell import open_ros_cell
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import pose_of
from tests.hardware.ros.conftest import test_cell, wait_until

HZ = 10.0
# A command of a step that went by in silence for longer would be held.
PATIENCE_S = 0.1


class Tap:
    """The targets on their way to an arm: what its node hears, with when."""

    def __init__(self, config: CellConfig) -> None:
        self.arrivals: list[tuple[float, Array]] = []
        self._spinner = Spinner("tap", config)
        self._spinner.node.create_subscription(
            PoseStamped, names.TARGET_POSE, lambda m: self.arrivals.append((time.monotonic(), pose_of(m))), qos.COMMAND
        )

    def wait_for(self, target: Array) -> Array:
        """Wait until this target is the newest, on a busy machine past the end of a step; the newest then."""
        end_s = time.monotonic() + PATIENCE_S
        while not np.array_equal(self.arrivals[-1][1], target) and time.monotonic() < end_s:
            time.sleep(0.001)
        return self.arrivals[-1][1]

    def close(self) -> None:
        self._spinner.close()


class HeardArm(SimArm):
    """The simulated arm, which remembers what it was told.

    Attributes:
        heard: the newest target ``[7]``.
    """

    heard: Array

    def set_target(self, pose_base_tcp: Array) -> None:
        self.heard = np.array(pose_base_tcp)
        super().set_target(pose_base_tcp)


@dataclass(frozen=True)
class Depth:
    """A cell at one depth.

    Attributes:
        env: the environment on it.
        arrived: waits a little for this target to arrive ``[7]``; the target that the arm has then.
        tap: on the way there; None where there is none.
    """

    env: CellEnv
    arrived: Callable[[Array], Array]
    tap: Tap | None = None


def cell_config(depth: str, task: Task) -> CellConfig:
    """The bundled cell of a depth, holding a task, out of everybody's way."""
    if depth == "L1":
        return test_cell("sim", task=task.id)
    config = test_cell("emulated", task=task.id)
    held = any(o.mount == "hand" for o in task.objects)
    pid = os.getpid()
    address = f"127.200.{pid // 250 % 250}.{pid % 250 + 1}"
    robot = replace(config.robot, address=address, impedance=task.impedance)
    return replace(config, robot=robot if held else replace(robot, load_kg=0.0))


@contextmanager
def open_depth(depth: str, task_id: str) -> Iterator[Depth]:
    """Start a depth and stop it."""
    task = make_task(task_id)
    options = EnvOptions(hz=HZ, max_state_age_s=1.0)
    with ExitStack() as stack:
        if depth == "L0":
            cell, sim = make_sim_cell(task.objects, task.impedance)
            arm = HeardArm(sim)
            env = CellEnv(replace(cell, arm=arm), task, options)
            stack.callback(env.close)
            yield Depth(env, lambda _: arm.heard)
            return
        config = cell_config(depth, task)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(RunningCell(config, log_dir=folder).close)
        env = CellEnv(open_ros_cell(config, task.objects, timeout_s=60.0), task, options)
        stack.callback(env.close)
        tap = Tap(config)
        stack.callback(tap.close)
        wait_until(lambda: tap.arrivals, "a target of the arbiter")
        yield Depth(env, tap.wait_for, tap)
