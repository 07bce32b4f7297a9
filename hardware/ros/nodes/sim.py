"""The simulated cell: arm, gripper and world in one process, around one MuJoCo simulation in real time.

One timer, the arm's, paces the physics and all readings: a second one would wake the process twice as often, and what
is published together belongs to one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.context import Context
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import ConfigError, DeviceError, RobotRlError, unknown_name
from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.mujoco.realtime import RealtimePlant, placeable
from robot_rl.hardware.mujoco.realtime_devices import RealtimeArm, RealtimeGripper
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import pose_message
from robot_rl.hardware.ros.node import CellNode, Health, Level
from robot_rl.hardware.ros.nodes.arm import ArmNode
from robot_rl.hardware.ros.nodes.gripper import GripperNode
from robot_rl.hardware.ros.qos import QUIET, STREAM_OUT

EMULATED_MODE = "emulated_robot_mode"
OBJECTS_HZ = 50.0


class SimArmNode(ArmNode):
    """An arm node whose robot can be told to be in trouble.

    Its parameter ``emulated_robot_mode`` is what the robot says of itself: anything but ``ready`` and it holds and
    takes no target. A ``reflex`` is cleared by recovering, everything else by setting ``ready``.

    Args:
        config: of the cell.
        driver: of the simulated arm.
        context: of the process.
        others: publish what else there is to know of the cell; called `OBJECTS_HZ` times per second at most.
    """

    def __init__(
        self, config: CellConfig, driver: RealtimeArm, context: Context, others: Sequence[Callable[[], None]]
    ) -> None:
        super().__init__(config, lambda: driver, context)
        self._sim_driver, self._others = driver, others
        self._every, self._n = max(1, round(config.robot.state_hz / OBJECTS_HZ)), 0
        modes = ", ".join(m.value for m in RobotMode)
        self.on_change(EMULATED_MODE, self._emulate)
        self.declare_parameter(
            EMULATED_MODE, RobotMode.READY.value, ParameterDescriptor(description=f"what the robot says: {modes}")
        )

    def tick(self) -> None:
        """Publish the arm's state, and now and then the others'."""
        super().tick()
        self._n = (self._n + 1) % self._every
        if self._n == 0:
            self.publish_others()

    def show_anew(self) -> None:
        """The cell was put elsewhere: forget targets, publish all of its state now."""
        self.begin_anew(self.now_s())
        self.publish_state()
        self.publish_others()

    def publish_others(self) -> None:
        """Publish the rest of the cell's state now."""
        for publish in self._others:
            publish()

    def recovered(self) -> None:
        """Say so in the parameter."""
        self.set_parameters([Parameter(EMULATED_MODE, value=RobotMode.READY.value)])

    def _emulate(self, name: str) -> None:
        if name not in [m.value for m in RobotMode]:
            raise ConfigError(unknown_name("robot mode", name, [m.value for m in RobotMode]))
        self._sim_driver.emulate(RobotMode(name))


class SimWorldNode(CellNode):
    """Says where the objects are, and puts arm, gripper and objects where a new episode begins.

    Args:
        config: of the cell.
        scene: what it holds.
        plant: the simulation.
        context: of the process.
    """

    def __init__(self, config: CellConfig, scene: Scene, plant: RealtimePlant, context: Context) -> None:
        super().__init__("world", config, context)
        self._plant = plant
        self._show_anew: Callable[[], None] = self.publish_poses
        self._to_place: dict[str, Array] = {}
        self._poses = {
            o.name: self.create_publisher(PoseStamped, names.object_pose(o.name), STREAM_OUT, event_callbacks=QUIET)
            for o in scene.objects
        }
        self._movable = [o.name for o in placeable(scene.objects)]
        self._declare(scene)
        self.create_service(Trigger, names.WORLD_RESET, self._on_reset)
        self.create_service(Trigger, names.WORLD_PLACE, self._on_place)

    def publish_poses(self) -> None:
        """Publish the pose of every object now, if the node is active."""
        if not self.active:
            return
        try:
            with self._plant.lock:
                self._plant.advance()
                t_s = self._plant.wall_time_s(self._plant.sim.time_s)
                poses = {name: self._plant.cell.world.object_pose(name) for name in self._poses}
        except RobotRlError:
            return  # the arm's node says that the simulation is unstable
        for name, pose in poses.items():
            self._poses[name].publish(pose_message(pose, names.BASE_FRAME, t_s))

    def health(self) -> list[Health]:
        """How often it was reset."""
        return [Health(Level.OK, "active", {"objects": ", ".join(self._poses), "resets": self._plant.resets - 1})]

    def on_reset(self, show_anew: Callable[[], None]) -> None:
        """Have something called right after the cell was put elsewhere: it publishes what there is to know of it."""
        self._show_anew = show_anew

    def _declare(self, scene: Scene) -> None:
        self._pose_parameter(names.START_POSE, scene.start_base_tcp, "where the tool is when an episode begins")
        self.on_change(names.START_WIDTH, self._check_width)
        self.declare_parameter(
            names.START_WIDTH,
            float(scene.start_width_m),
            ParameterDescriptor(description="opening of the gripper in m when an episode begins"),
        )
        for name in self._movable:
            pose = scene.start_objects[name]
            self._pose_parameter(names.start_object(name), pose, f"where {name} is when an episode begins")
            self._pose_parameter(names.place_object(name), pose, f"where world/place puts {name}")
            self.on_change(names.place_object(name), partial(self._plan_place, name))

    def _pose_parameter(self, name: str, pose: Array, text: str) -> None:
        self.on_change(name, check_pose)
        self.declare_parameter(name, [float(v) for v in pose], ParameterDescriptor(description=f"{text}, in base"))

    def _check_width(self, width_m: float) -> None:
        if not 0.0 <= width_m <= self.config.gripper.max_width_m:
            raise ConfigError(f"{names.START_WIDTH} is {width_m}, expected 0 to {self.config.gripper.max_width_m:g} m")

    def _plan_place(self, name: str, pose: Array) -> None:
        self._to_place[name] = check_pose(pose)

    def _pose(self, name: str) -> Array:
        return np.array(self.get_parameter(name).value, np.float64)

    def _on_reset(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        objects = {name: self._pose(names.start_object(name)) for name in self._movable}
        try:
            width_m = float(self.get_parameter(names.START_WIDTH).value)
            self._plant.reset(self._pose(names.START_POSE), width_m, objects)
        except DeviceError as e:
            answer.success, answer.message = False, str(e)
            return answer
        self._show_anew()
        answer.success = True
        return answer

    def _on_place(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        if not self._to_place:
            answer.success, answer.message = False, "nothing to place: set the parameter place.NAME first"
            return answer
        with self._plant.lock:
            for name, pose in self._to_place.items():
                self._plant.cell.world.place(name, pose)
        self._to_place.clear()
        self.publish_poses()
        answer.success = True
        return answer


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> Sequence[CellNode]:
    """Arm, gripper and world of a simulated cell.

    Raises:
        ConfigError: the cell is not simulated.
    """
    if config.robot.provider != "sim":
        raise ConfigError(f"robot.provider is {config.robot.provider}: only a cell whose arm is sim has the node sim")
    plant = RealtimePlant(scene, config.imperfections, config.seed)
    world = SimWorldNode(config, scene, plant, context)
    grippers = (
        [GripperNode(config, lambda: RealtimeGripper(plant), context, state_hz=None)]
        if config.gripper.provider != "none"
        else []
    )
    others = [*(gripper.publish_state for gripper in grippers), world.publish_poses]
    arm = SimArmNode(config, RealtimeArm(plant), context, others)
    world.on_reset(arm.show_anew)
    return [arm, *grippers, world]
