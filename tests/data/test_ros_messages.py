"""Readers that know nothing of this project understand the files; no bytes make a wrong record of a message."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Source, StepRecord
from robot_rl.data.episode_log import EpisodeWriter
from robot_rl.data.rewards import COMPONENTS
from robot_rl.data.ros_definitions import camera_of, image_topic, stamp_ns
from robot_rl.data.ros_messages import messages_for
from tests.data.episodes import CAMERAS, META, SPEC, episode

MESSAGES = messages_for(SPEC)


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, list[StepRecord]]:
    records = episode(3, 3, terminated=True, interventions=[1], images=True)
    with EpisodeWriter(tmp_path / "3.mcap", META) as writer:
        for record in records:
            writer.append(record)
    return tmp_path / "3.mcap", records


def test_foxgloves_reader_decodes_every_topic(file: tuple[Path, list[StepRecord]]) -> None:
    path, records = file
    topics: dict[str, list] = {}
    with open(path, "rb") as opened:
        for decoded in make_reader(opened, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
            topics.setdefault(decoded.channel.topic, []).append(decoded)
    cameras = [image_topic(name) for name in CAMERAS]
    assert {name: len(found) for name, found in topics.items()} == {
        "/step": 3,
        "/final_state": 1,
        **dict.fromkeys(cameras, 4),
    }
    for record, message in zip(records, topics["/step"], strict=True):
        step = message.decoded_message
        assert [*step.state.position, *step.state.width] == record.obs.state.tolist()
        assert step.action_executed == record.action_executed.tolist()
        told = {name: getattr(step.rewards, name) for name in COMPONENTS}
        assert {name: value for name, value in told.items() if not np.isnan(value)} == record.rewards
        assert (step.step_index, step.terminated, step.truncated) == (
            record.step_index,
            record.terminated,
            record.truncated,
        )
        assert Source(step.source) is record.source and step.stop_reason == record.stop_reason
        assert step.header.stamp.sec == int(record.t_wall_s)
        assert message.message.log_time == stamp_ns(record.t_wall_s)
    final = records[-1].final_obs
    assert final is not None
    seen = [*(r.obs for r in records), final]
    for name in CAMERAS:
        for obs, message in zip(seen, topics[image_topic(name)], strict=True):
            picture = message.decoded_message
            shape = picture.height, picture.width, 3
            assert picture.encoding == "rgb8" and picture.step == 3 * picture.width
            assert (np.frombuffer(bytes(picture.data), np.uint8).reshape(shape) == obs.images[name]).all()
    state = topics["/final_state"][0].decoded_message.state
    assert [*state.position, *state.width] == final.state.tolist()


def test_rosbags_opens_the_file_as_a_bag(file: tuple[Path, list[StepRecord]]) -> None:
    path, records = file
    with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as bag:
        assert {c.topic: c.msgtype for c in bag.connections} == {
            "/step": "robot_rl_msgs/msg/Step",
            "/final_state": "robot_rl_msgs/msg/FinalState",
            **{image_topic(name): "sensor_msgs/msg/Image" for name in CAMERAS},
        }
        decoded = [(c.topic, bag.deserialize(data, c.msgtype)) for c, _, data in bag.messages()]
    steps = [message for topic, message in decoded if topic == "/step"]
    assert [step.step_index for step in steps] == [0, 1, 2]
    assert all((s.action_policy == r.action_policy).all() for s, r in zip(steps, records, strict=True))
    assert sum(topic == image_topic("side") for topic, _ in decoded) == 4


def test_an_absent_reward_component_is_nan_to_others(tmp_path: Path) -> None:
    rewards = dict.fromkeys(COMPONENTS, 0.5)
    step = MESSAGES.read_step(MESSAGES.step(StepRecord(**{**vars(episode(0, 2)[0]), "rewards": rewards})))
    assert {name: getattr(step.rewards, name) for name in COMPONENTS} == rewards
    record = StepRecord(**{**vars(episode(0, 2)[0]), "rewards": {"process": -0.0}})
    step = MESSAGES.read_step(MESSAGES.step(record))
    assert np.isnan(step.rewards.success) and str(step.rewards.process) == "-0.0"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_message_is_refused_or_still_a_valid_record(data: st.DataObject) -> None:
    good = bytearray(MESSAGES.step(episode(0, 2)[0]))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(DataError):
        MESSAGES.record(MESSAGES.read_step(bytes(good)), "Toy", {}, None).validate()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    for read in (MESSAGES.read_step, MESSAGES.read_final_state, MESSAGES.read_image):
        with pytest.raises(DataError):
            read(b"\0\1\0\0" + data[:8])
        with contextlib.suppress(DataError):
            read(b"\0\1\0\0" + data)


@settings(max_examples=100, deadline=None)
@given(st.integers(4, 60), st.integers(1, 255))
def test_a_changed_picture_is_refused_or_has_as_many_bytes(at: int, flip: int) -> None:
    data = bytearray(MESSAGES.image("side", np.zeros((3, 4, 3), np.uint8), 0))
    data[at] ^= flip
    with contextlib.suppress(DataError):
        assert MESSAGES.read_image(bytes(data)).size == 36


@pytest.mark.parametrize(
    "name", ["", "1st", "a b", "a__b", "a_", "a/b", "kamera\N{LATIN SMALL LETTER U WITH DIAERESIS}"]
)
def test_cameras_that_cannot_name_a_topic_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="cannot name a topic"):
        image_topic(name)


def test_a_topic_leads_back_to_its_camera() -> None:
    assert camera_of(image_topic("wrist_1")) == "wrist_1"
    assert camera_of("/step") is None


@pytest.mark.parametrize(
    ("t_wall_s", "expected_ns"), [(-1.0, 0), (float("nan"), 0), (1.5, 1_500_000_000), (1e300, (2**31 - 1) * 10**9)]
)
def test_stamps_stay_in_the_range_of_ros(t_wall_s: float, expected_ns: int) -> None:
    assert stamp_ns(t_wall_s) == expected_ns
