"""Where the task's objects are, and who puts them back, in cells whose robot is not simulated in this process.

Provider ``emulator``: the objects of the FCI emulator. They are published as ``objects/<name>/pose``, and put where
parameters say by ``world/place`` and ``world/reset``; the arm, which has to be driven, is left alone.
Provider ``fixed``: poses of the description, or those that a tracker of the user's publishes instead; a person puts the
objects back, so both services refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy.typing as npt
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.context import Context
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError, RobotRlError
from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.messages import pose_message
from robot_rl.hardware.ros.node import CellNode, Health, Level

STAGE_HZ = 30.0
# A reader that takes best effort gets no latched message; it is served by the next repetition.
FIXED_HZ = 2.0


class Stage(Protocol):
    """Somebody who knows where objects are and may be able to move them."""

    def poses(self) -> Mapping[str, Array]:
        """`pose_base_object` by name.

        Raises:
            DeviceError: it cannot be asked.
        """
        ...

    def place(self, name: str, pose_base_object: Array) -> None:
        """Put an object at rest at a pose.

        Raises:
            DeviceError: it could not.
        """
        ...

    def close(self) -> None:
        """Let go."""
        ...


class FixedStage:
    """Objects that stand where the description says, and are only moved by people."""

    def __init__(self, poses: Mapping[str, npt.ArrayLike]) -> None:
        self._poses = {name: check_pose(pose) for name, pose in poses.items()}

    def poses(self) -> Mapping[str, Array]:
        """As described."""
        return self._poses

    def place(self, name: str, pose_base_object: Array) -> None:
        """Never.

        Raises:
            DeviceError: always.
        """
        raise DeviceError(f"nothing in this cell can move {name}: put it there by hand")

    def close(self) -> None:
        """Nothing to release."""


class WorldNode(CellNode):
    """Publishes a stage's objects and offers ``world/place`` and ``world/reset``.

    ``world/place`` puts objects where the parameters ``place.<name>`` that were set since its last call say;
    ``world/reset`` puts all of them where ``start.objects.<name>`` say. ``start.pose_base_tcp`` and
    ``start.gripper_width_m`` exist, so that a client need not know which world it talks to, and do nothing here.

    Args:
        config: the cell.
        scene: objects that can be placed, and where they start.
        open_stage: connects to the stage.
        context: of the process.
        hz: how often poses are published.
        quality: of their publishers.
    """

    def __init__(
        self,
        config: CellConfig,
        scene: Scene,
        open_stage: Callable[[], Stage],
        context: Context,
        *,
        hz: float = STAGE_HZ,
        quality: QoSProfile = qos.STREAM_OUT,
    ) -> None:
        super().__init__("world", config, context)
        self._open_stage, self._quality = open_stage, quality
        self._stage: Stage | None = None
        self._poses_out: dict[str, Publisher[Any]] = {}
        self._place: dict[str, Array] = {}
        self._start: dict[str, Array] = {}
        self._problem_now, self._failures, self._placed = "", 0, 0
        for parameter, value in ((names.START_POSE, [0.0] * 7), (names.START_WIDTH, 0.0)):
            self.declare_parameter(parameter, value, ParameterDescriptor(description="not used in this cell"))
        for name in (o.name for o in scene.objects if o.mount != "hand"):
            self._declare_poses(name, scene.start_objects[name])
        self.create_service(Trigger, names.WORLD_PLACE, self._on_place)
        self.create_service(Trigger, names.WORLD_RESET, self._on_reset)
        self._timer = self.create_timer(1.0 / hz, self._publish, autostart=False)

    def open(self) -> None:
        """Connect to the stage, and hear that it answers."""
        self._stage = self._open_stage()
        self._stage.poses()

    def start(self) -> None:
        """Publish poses."""
        self._timer.reset()

    def halt(self) -> None:
        """Stop publishing."""
        self._timer.cancel()

    def shut(self) -> None:
        """Leave the stage."""
        if self._stage is not None:
            self._stage.close()
            self._stage = None

    def health(self) -> list[Health]:
        """Whether the stage answers."""
        values = {"objects": ", ".join(self._poses_out), "placed": self._placed, "failures": self._failures}
        if self._problem_now:
            return [Health(Level.ERROR, self._problem_now, values)]
        return [Health(Level.OK, f"{len(self._poses_out)} objects", values)]

    def _publish(self) -> None:
        if self._stage is None:
            return
        try:
            poses = self._stage.poses()
        except RobotRlError as e:
            self._failures += 1
            if str(e) != self._problem_now:
                self.get_logger().error(str(e))
            self._problem_now = str(e)
            return
        self._problem_now = ""
        t_s = self.now_s()
        for name, pose in poses.items():
            if name not in self._poses_out:
                self._poses_out[name] = self.create_publisher(PoseStamped, names.object_pose(name), self._quality)
            self._poses_out[name].publish(pose_message(pose, names.BASE_FRAME, t_s))

    def _declare_poses(self, name: str, start: Array) -> None:
        text = ParameterDescriptor(description="pose x y z qx qy qz qw in the base frame")
        pose = [float(v) for v in start]
        self.on_change(names.start_object(name), partial(_keep_pose, self._start, name))
        self.declare_parameter(names.start_object(name), pose, text)
        # only what is set from now on is to be placed
        self.declare_parameter(names.place_object(name), pose, text)
        self.on_change(names.place_object(name), partial(_keep_pose, self._place, name))

    def _on_place(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        wanted = dict(self._place)
        self._place.clear()
        if not wanted:
            answer.success, answer.message = False, "nothing to place: set the parameter place.NAME first"
            return answer
        return self._put(wanted, answer)

    def _on_reset(self, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        return self._put(self._start, answer)

    def _put(self, wanted: Mapping[str, Array], answer: Trigger.Response) -> Trigger.Response:
        """Place objects, and publish them before the answer."""
        if not self.active or self._stage is None:
            answer.success, answer.message = False, "the world node is not active"
            return answer
        answer.success, answer.message = True, ""
        try:
            for name, pose in wanted.items():
                self._stage.place(name, pose)
                self._placed += 1
        except RobotRlError as e:
            answer.success, answer.message = False, str(e)
        self._publish()
        return answer


def _keep_pose(poses: dict[str, Array], name: str, value: Any) -> None:
    poses[name] = check_pose(value)


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> list[CellNode]:
    """The world node of a cell.

    Raises:
        DeviceError: a pose of the description is no pose.
    """
    if config.world.provider == "emulator":
        from robot_rl.hardware.fci.stage import EmulatorStage

        return [WorldNode(config, scene, partial(EmulatorStage, config.robot.address), context)]
    fixed = FixedStage(config.world.objects)
    return [WorldNode(config, scene, lambda: fixed, context, hz=FIXED_HZ, quality=qos.LATCHED)]
