"""A running cell on ROS 2 as the devices of one environment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack

from robot_rl.core.errors import ConfigError, DeviceError, unknown_name
from robot_rl.core.protocols import Camera, Cell, Gripper
from robot_rl.core.scene import SceneObject
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.client.arbiter import POLICY, ArbiterClient
from robot_rl.hardware.ros.client.arm import RosArm
from robot_rl.hardware.ros.client.camera import RosCamera
from robot_rl.hardware.ros.client.clock import WallClock
from robot_rl.hardware.ros.client.gripper import NoGripper, RosGripper
from robot_rl.hardware.ros.client.readiness import Readiness
from robot_rl.hardware.ros.client.world import RosWorld
from robot_rl.hardware.ros.executor import Spinner

_POLL_S = 0.02


def open_ros_cell(
    config: CellConfig, objects: tuple[SceneObject, ...], cameras: tuple[str, ...] = (), timeout_s: float = 30.0
) -> Cell:
    """Join a cell as its policy. Returns once everything that an environment needs has been heard.

    Args:
        config: the cell, as its nodes were started with.
        objects: of the task; the cell must publish the poses of all that the hand does not hold.
        cameras: which of the cell's.
        timeout_s: how long to wait for nodes that are just starting.

    Returns:
        A cell that is not in lock-step, on Unix time; `Cell.close` leaves the graph and keeps the nodes running.

    Raises:
        ConfigError: the cell has no camera of that name.
        DeviceError: something was not heard; names what, and what to start.
    """
    for name in cameras:
        if name not in config.cameras:
            raise ConfigError(unknown_name("camera", name, config.cameras))
    with ExitStack() as undo:
        spinner = Spinner(f"client_{os.getpid()}", config)
        undo.callback(spinner.close)
        calls, clock = Calls(spinner), WallClock()
        arbiter = ArbiterClient(spinner, calls)
        arm = RosArm(spinner, calls, arbiter, config.limits.home_timeout_s)
        gripper: Gripper = NoGripper(clock, config.gripper.max_width_m)
        if config.gripper.provider != "none":
            gripper = RosGripper(spinner, config.gripper.max_width_m)
        pictures = {name: RosCamera(spinner, name, config.cameras[name].shape) for name in cameras}
        readiness = Readiness(config, arm, arbiter)
        world = RosWorld(config, objects, spinner, calls, arm, gripper, arbiter, clock, readiness)

        def missing() -> list[str]:
            quiet = [*arm.unheard, *world.unheard]
            quiet += [names.image(name) for name, camera in pictures.items() if not camera.heard]
            quiet += [names.GRIPPER_STATES] if isinstance(gripper, RosGripper) and not gripper.heard else []
            quiet += [names.MODE] if arbiter.mode is None else []
            return quiet + _not_offered(spinner, config)

        _wait_for(missing, config, timeout_s)
        undo.pop_all()
    shown: dict[str, Camera] = {**pictures}
    by_person = config.world.provider == "fixed"
    unseen = frozenset(config.world.objects) if by_person else frozenset[str]()
    return Cell(arm, gripper, clock, world, shown, lockstep=False, placed_by_person=by_person, unseen=unseen)


def _wait_for(missing: Callable[[], list[str]], config: CellConfig, timeout_s: float) -> None:
    end_s = time.monotonic() + timeout_s
    while rest := missing():
        if time.monotonic() > end_s:
            raise DeviceError(
                f"the cell {config.name} on domain {config.network.domain_id} was not complete within {timeout_s:g} s: "
                f"nothing on {', '.join(rest)}; start it with robot-rl cell up, or look at what its nodes print"
            )
        time.sleep(_POLL_S)


def _not_offered(spinner: Spinner, config: CellConfig) -> list[str]:
    there = {name for name, _ in spinner.node.get_service_names_and_types()}
    wanted = [names.ENABLE, names.RECOVER, names.HOME, names.release(POLICY)]
    if config.world.provider != "fixed":
        wanted.append(names.WORLD_RESET)
    return [name for name in wanted if f"/{config.name}/{name}" not in there]
