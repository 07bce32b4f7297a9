"""The reward node: what it publishes is what the task says, and nothing when it cannot know."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from geometry_msgs.msg import PoseStamped, TwistStamped, WrenchStamped
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from robot_rl.cli.node import make_judge, make_scene
from robot_rl.core.errors import DataError
from robot_rl.core.protocols import RewardModel
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.envs.judge import TaskJudge
from robot_rl.envs.tasks import make_task
from robot_rl.envs.tasks.base import Snapshot
from robot_rl.hardware.cell.description import CameraConfig, CellConfig
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import (
    image_message,
    joints_message,
    numbers_message,
    pose_message,
    twist_message,
    wrench_message,
)
from robot_rl.hardware.ros.node import Level
from robot_rl.hardware.ros.nodes.reward import RewardNode
from robot_rl.hardware.ros.reward_message import reward_message, reward_of
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until
from tests.hardware.ros.serving import Listener, serving

HIGH = np.array([0.5, 0.0, 0.15, 1.0, 0.0, 0.0, 0.0])
ON_TABLE = np.array([0.5, 0.1, 0.02, 0.0, 0.0, 0.0, 1.0])


class Say:
    """Publishes the readings of a cell at 50 Hz."""

    def __init__(self, config: CellConfig) -> None:
        self.spinner = Spinner("cell", config)
        self.cube, self.gripper, self.silent = HIGH.copy(), (0.038, 0.0), False
        node = self.spinner.node
        self._out = {
            kind: node.create_publisher(kind, topic, qos.STREAM_OUT)
            for kind, topic in (
                (PoseStamped, names.CURRENT_POSE),
                (TwistStamped, names.CURRENT_TWIST),
                (WrenchStamped, names.EXTERNAL_WRENCH),
                (JointState, names.JOINT_STATES),
                (ImageMessage, names.image("wrist")),
            )
        }
        self._cube = node.create_publisher(PoseStamped, names.object_pose("cube"), qos.STREAM_OUT)
        self._width = node.create_publisher(JointState, names.GRIPPER_STATES, qos.STREAM_OUT)
        self._target = node.create_publisher(Float64MultiArray, names.GRIPPER_TARGET, qos.LATCHED)
        self._target.publish(numbers_message([self.gripper[1]]))
        node.create_timer(0.02, self._tick)

    def close(self) -> None:
        self.spinner.close()

    def _tick(self) -> None:
        if self.silent:
            return
        t_s = time.time()
        self._out[PoseStamped].publish(pose_message(HIGH, names.BASE_FRAME, t_s))
        self._out[TwistStamped].publish(twist_message(np.zeros(6), names.BASE_FRAME, t_s))
        self._out[WrenchStamped].publish(wrench_message(np.zeros(6), names.TCP_FRAME, t_s))
        self._out[JointState].publish(joints_message(names.JOINT_NAMES, np.zeros(7), t_s))
        self._out[ImageMessage].publish(image_message(np.full((4, 4, 3), 7, np.uint8), "wrist", t_s))
        self._cube.publish(pose_message(self.cube, names.BASE_FRAME, t_s))
        self._width.publish(joints_message((names.GRIPPER_JOINT,), (self.gripper[0],), t_s))


@pytest.fixture(scope="module")
def say() -> Iterator[Say]:
    say = Say(test_cell())
    yield say
    say.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener(test_cell())
    yield listener
    listener.close()


def test_the_process_judges_by_the_task(say: Say, listener: Listener, start_node: Callable[..., NodeProcess]) -> None:
    rewards = listener.listen(Float64MultiArray, names.REWARD)
    say.cube = ON_TABLE
    node = start_node(test_cell(reward=True), "reward", "--task", "PickCube")
    wait_until(lambda: rewards, "a judgement")
    t_s, components = reward_of(rewards[-1])
    assert abs(time.time() - t_s) < 5.0
    assert components["success"] == 0.0
    assert 0.0 < components["progress"] < 0.6
    say.cube = HIGH
    wait_until(lambda: reward_of(rewards[-1])[1] == {"success": 1.0, "progress": 1.0}, "the success")
    assert node.close() == 0


def test_nothing_is_published_of_old_readings(say: Say, listener: Listener) -> None:
    config = test_cell()
    rewards, judge = listener.listen(Float64MultiArray, names.REWARD), make_judge(config)
    with serving(config, lambda c: [RewardNode(config, make_scene(config), judge, c)]) as (node,):
        wait_until(lambda: rewards, "a judgement")
        say.silent = True
        wait_until(lambda: node.health()[0].level is Level.WARN, "the silence to be noticed")
        assert "nothing was heard on current_pose" in node.health()[0].text
        count = len(rewards)
        time.sleep(0.3)
        assert len(rewards) == count
        say.silent = False
        wait_until(lambda: len(rewards) > count, "judgements again")


class Brightness:
    """A model that looks at pictures."""

    names = ("bright",)
    cameras = ("wrist",)
    answer = 0.0

    def evaluate(
        self, arm: ArmState, gripper: GripperState, objects: Mapping[str, Array], frames: Mapping[str, Frame]
    ) -> dict[str, float]:
        return {"bright": float(frames["wrist"].image.mean()) + self.answer}


def test_a_model_that_looks_at_pictures(say: Say, listener: Listener) -> None:
    config, judge = test_cell(cameras={"wrist": CameraConfig()}), Brightness()
    rewards = listener.listen(Float64MultiArray, names.REWARD)
    with serving(config, lambda c: [RewardNode(config, make_scene(config), judge, c)]) as (node,):
        wait_until(lambda: rewards, "a judgement")
        assert reward_of(rewards[-1])[1] == {"bright": 7.0}
        judge.answer = math.nan
        wait_until(lambda: "expected finite ['bright']" in node.health()[0].text, "the refusal")


def test_a_camera_that_the_cell_lacks(say: Say) -> None:
    config = test_cell()
    with serving(config, lambda c: [RewardNode(config, make_scene(config), Brightness(), c)]) as (node,):
        wait_until(lambda: "needs cameras wrist" in node._problem, "the complaint")
        assert not node.active


@pytest.mark.parametrize("name", ["Reach", "PickCube", "PegInsert", "GraspInsert"])
def test_the_judge_says_what_the_task_says(name: str) -> None:
    task = make_task(name)
    judge, start = TaskJudge(task), task.sample_start(np.random.default_rng(1))
    assert isinstance(judge, RewardModel)
    arm = ArmState(np.zeros(7), np.zeros(7), start.pose_base_tcp, np.zeros(6), np.zeros(6), 0.0)
    gripper = GripperState(0.02, 0.0, 0.08, 0.0)
    objects = {o.name: start.objects.get(o.name, start.pose_base_tcp) for o in task.objects}
    now = Snapshot(arm, gripper, objects)
    expected = {"success": float(task.success(now)), "progress": task.progress(now)}
    assert judge.evaluate(arm, gripper, objects, {}) == expected
    if objects:
        with pytest.raises(DataError, match="not known"):
            judge.evaluate(arm, gripper, {}, {})


words = st.text(st.characters(categories=("Ll", "Nd"), include_characters="_"), min_size=1).filter(lambda w: w != "t_s")


@given(st.floats(0.0, 4e9), st.dictionaries(words, st.floats(allow_nan=False), max_size=5))
def test_round_trip(t_s: float, components: dict[str, float]) -> None:
    back_s, back = reward_of(reward_message(t_s, components))
    assert back_s == t_s
    assert list(back.items()) == list(components.items())


def test_what_is_no_reward() -> None:
    message = reward_message(1.0, {"success": 1.0})
    message.data = [1.0]
    with pytest.raises(DataError, match="expected t_s"):
        reward_of(message)
    with pytest.raises(DataError):
        reward_of(Float64MultiArray())
    with pytest.raises(DataError, match="without spaces"):
        reward_message(1.0, {"a b": 1.0})
