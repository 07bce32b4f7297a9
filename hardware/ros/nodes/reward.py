"""Judges the cell from its topics and publishes the components of the reward."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from rclpy.context import Context
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from robot_rl.core.errors import DataError, RobotRlError
from robot_rl.core.protocols import RewardModel
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.messages import image_of, joints_of, pose_of, seconds_of, twist_of, wrench_of
from robot_rl.hardware.ros.node import CellNode, Health, Level
from robot_rl.hardware.ros.reward_message import reward_message

REWARD_HZ = 10.0
MAX_AGE_S = 0.5


class RewardNode(CellNode):
    """Asks a reward model ten times a second and publishes its answer as `robot_rl.hardware.ros.reward_message`.

    Nothing is published while what the model needs has not been heard for half a second, or when it does not answer.

    Args:
        config: the cell.
        scene: which objects there are; one that the hand holds is where the tool is.
        judge: the model.
        context: of the process.
    """

    def __init__(self, config: CellConfig, scene: Scene, judge: RewardModel, context: Context) -> None:
        super().__init__("reward", config, context)
        self._judge = judge
        self._arm = (
            Newest(self, PoseStamped, names.CURRENT_POSE, pose_of),
            Newest(self, TwistStamped, names.CURRENT_TWIST, twist_of),
            Newest(self, WrenchStamped, names.EXTERNAL_WRENCH, wrench_of),
        )
        self._joints = Newest(self, JointState, names.JOINT_STATES, partial(joints_of, n=7))
        self._gripper = Newest(self, JointState, names.GRIPPER_STATES, lambda m: float(joints_of(m, 1)[0][0]))
        self._width_target = Newest(self, Float64MultiArray, names.GRIPPER_TARGET, _one, qos.LATCHED)
        self._held = tuple(o.name for o in scene.objects if o.mount == "hand")
        self._objects = {
            o.name: Newest(self, PoseStamped, names.object_pose(o.name), pose_of)
            for o in scene.objects
            if o.mount != "hand"
        }
        self._frames = {c: Newest(self, ImageMessage, names.image(c), _frame) for c in judge.cameras}
        self._out = self.create_publisher(Float64MultiArray, names.REWARD, qos.STREAM_OUT)
        self._timer = self.create_timer(1.0 / REWARD_HZ, self._tick, autostart=False)
        self._last, self._trouble, self._published = {name: math.nan for name in judge.names}, "", 0

    def open(self) -> None:
        """Check that the cell has the cameras which the model needs.

        Raises:
            DataError: it lacks one.
        """
        missing = sorted(set(self._judge.cameras) - self.config.cameras.keys())
        if missing:
            raise DataError(f"the reward model needs cameras {', '.join(missing)}, which {self.config.name} lacks")

    def start(self) -> None:
        """Judge."""
        self._timer.reset()

    def halt(self) -> None:
        """Stop judging."""
        self._timer.cancel()

    def health(self) -> list[Health]:
        """The last judgement, or what is missing for one."""
        values = {**self._last, "published": self._published}
        return [Health(Level.WARN, self._trouble, values) if self._trouble else Health(Level.OK, "judging", values)]

    def _tick(self) -> None:
        try:
            arm = self._arm_state()
            frames = {name: self._fresh(topic) for name, topic in self._frames.items()}
            components = self._judge.evaluate(arm, self._gripper_state(arm.t_s), self._poses(arm), frames)
            if set(components) != set(self._judge.names) or not all(map(math.isfinite, components.values())):
                raise DataError(f"the reward model answers {components}, expected finite {list(self._judge.names)}")
        except RobotRlError as e:
            self._trouble = str(e)
            return
        self._trouble, self._last = "", components
        self._published += 1
        self._out.publish(reward_message(arm.t_s, components))

    def _arm_state(self) -> ArmState:
        pose, twist, wrench = (self._fresh(topic) for topic in self._arm)
        q_rad, dq_rad_s = self._fresh(self._joints)
        t_s = min(topic.read().t_s for topic in (*self._arm, self._joints))
        return ArmState(q_rad, dq_rad_s, pose, twist, wrench, t_s)

    def _gripper_state(self, t_s: float) -> GripperState:
        limit_m = self.config.gripper.max_width_m
        if self.config.gripper.provider == "none":
            return GripperState(0.0, 0.0, limit_m, t_s)
        width_m, target = self._fresh(self._gripper), self._width_target.newest
        return GripperState(width_m, width_m if target is None else target.value, limit_m, self._gripper.read().t_s)

    def _poses(self, arm: ArmState) -> dict[str, Array]:
        """Objects that were heard of; those that never move may have been heard of long ago."""
        seen = {name: topic.newest for name, topic in self._objects.items()}
        poses = {name: heard.value for name, heard in seen.items() if heard is not None}
        return {**poses, **dict.fromkeys(self._held, arm.pose_base_tcp)}

    def _fresh(self, topic: Newest[Any]) -> Any:
        heard = topic.read()
        if heard.age_s > MAX_AGE_S:
            raise DataError(f"nothing was heard on {topic.topic} for {heard.age_s:.1f} s")
        return heard.value


def _one(message: Float64MultiArray) -> float:
    if len(message.data) != 1:
        raise DataError(f"a gripper's target has {len(message.data)} values, expected 1")
    return float(message.data[0])


def _frame(message: ImageMessage) -> Frame:
    t_s = seconds_of(message.header.stamp)
    return Frame(image_of(message), t_s, round(t_s * 1e9))


def make_nodes(config: CellConfig, scene: Scene, context: Context, judge: RewardModel) -> list[CellNode]:
    """The reward node of a cell."""
    return [RewardNode(config, scene, judge, context)]
