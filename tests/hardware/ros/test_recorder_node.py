"""The recorder: everything said in the cell is in the file, whenever it was said and however it ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from mcap.reader import NonSeekingReader, make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.event_handler import PublisherEventCallbacks
from sensor_msgs.msg import Image as ImageMessage
from std_msgs.msg import String

from robot_rl.core.errors import ConfigError
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.bag import PARTIAL, BagConfig
from robot_rl.hardware.ros.messages import image_message, pose_message, text_message
from robot_rl.hardware.ros.node import Level
from robot_rl.hardware.ros.nodes.recorder import RecorderNode, make_nodes
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until
from tests.hardware.ros.serving import Listener, serving

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


class Talk:
    """A cell that says something on a latched, a reliable and a best-effort topic."""

    def __init__(self) -> None:
        self.listener = Listener(test_cell(), "talk")
        node = self.listener.spinner.node
        self._mode = node.create_publisher(String, names.MODE, qos.LATCHED)
        self._mode.publish(text_message("said long ago"))
        self._poses = node.create_publisher(PoseStamped, names.CURRENT_POSE, qos.STREAM_OUT)
        self._images = node.create_publisher(ImageMessage, names.image("wrist"), qos.STREAM_IN)
        self._stranger = node.create_publisher(String, "/elsewhere/chat", 10)
        self.said = 0
        node.create_timer(0.02, self._tick)

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens to everything."""
        return self._poses.get_subscription_count() > 0 and self._images.get_subscription_count() > 0

    def close(self) -> None:
        self.listener.close()

    def _tick(self) -> None:
        self.said += 1
        self._poses.publish(pose_message([self.said, 0, 0, 0, 0, 0, 1], names.BASE_FRAME, time.time()))
        self._images.publish(image_message(PICTURE, "wrist", time.time()))
        self._stranger.publish(text_message("not ours"))


@pytest.fixture
def talk() -> Iterator[Talk]:
    talk = Talk()
    yield talk
    talk.close()


def hear(talk: Talk) -> None:
    """Let the recorder hear a good deal, and flush it."""
    wait_until(lambda: talk.is_heard, "the recorder")
    said = talk.said
    wait_until(lambda: talk.said > said + 70, "some talk")


def read(path: Path) -> dict[str, list[object]]:
    """Messages by topic, as far as the file is complete."""
    messages: dict[str, list[object]] = {}
    with path.open("rb") as file:
        make = NonSeekingReader if path.name.endswith(PARTIAL) else make_reader
        reader = make(file, decoder_factories=[DecoderFactory()])
        try:
            for _, channel, _, message in reader.iter_decoded_messages(log_time_order=False):
                messages.setdefault(channel.topic, []).append(message)
        except Exception:
            assert path.name.endswith(PARTIAL)
    return messages


def check(messages: dict[str, list[object]]) -> None:
    space = f"/{test_cell().name}"
    poses = messages[f"{space}/{names.CURRENT_POSE}"]
    counted = [int(m.pose.position.x) for m in poses]  # type: ignore[attr-defined]
    assert counted == list(range(counted[0], counted[0] + len(counted))), "reliable, so nothing is missing"
    (mode,) = messages[f"{space}/{names.MODE}"]
    assert mode.data == "said long ago"  # type: ignore[attr-defined]
    images = messages[f"{space}/{names.image('wrist')}"]
    assert bytes(images[-1].data) == PICTURE.tobytes()  # type: ignore[attr-defined]
    assert "/elsewhere/chat" not in messages


@pytest.mark.slow
def test_ended_and_killed(talk: Talk, tmp_path: Path, start_node: Callable[..., NodeProcess]) -> None:
    config = test_cell(record=tmp_path / "bags")
    first = start_node(config, "recorder")
    hear(talk)
    assert first.close() == 0
    (finished,) = (tmp_path / "bags").iterdir()
    assert finished.suffix == ".mcap"
    check(read(finished))

    second = start_node(config, "recorder")
    wait_until(lambda: talk.is_heard, "the second recorder")
    hear(talk)
    second.kill(signal.SIGKILL)
    second.process.wait()
    (cut,) = (tmp_path / "bags").glob(f"*{PARTIAL}")
    check(read(cut))


def test_a_disk_without_room_ends_the_recording_alone(talk: Talk, tmp_path: Path) -> None:
    config = test_cell()
    diagnostics = talk.listener.listen(DiagnosticArray, names.DIAGNOSTICS, 10)
    full = BagConfig(min_free_bytes=2**60)
    with serving(config, lambda context: [RecorderNode(config, tmp_path, context, full)]) as (node,):
        wait_until(lambda: node.active and node.health()[0].level is Level.ERROR, "the end")
        assert "recording ended" in node.health()[0].text
        assert node.active, "it goes on to say so"
        wait_until(lambda: any("recording ended" in s.message for d in diagnostics for s in d.status), "diagnostics")
    assert [p.suffix for p in tmp_path.iterdir()] == [".mcap"]


def test_a_folder_that_is_not_there_yet(talk: Talk, tmp_path: Path) -> None:
    """As a disk that is mounted later."""
    config, blocker = test_cell(), tmp_path / "disk"
    blocker.touch()
    with serving(config, lambda context: [RecorderNode(config, blocker / "bags", context)]) as (node,):
        wait_until(lambda: node._problem, "the complaint")
        blocker.unlink()
        wait_until(lambda: node.active, "the recorder")
        hear(talk)
    check(read(next((blocker / "bags").iterdir())))


def test_a_publisher_that_is_less_obliging(talk: Talk, tmp_path: Path) -> None:
    """A second publisher, best effort, joins a reliable topic: both are recorded from then on."""
    config = test_cell()
    with serving(config, lambda context: [RecorderNode(config, tmp_path, context)]):
        hear(talk)
        node = talk.listener.spinner.node
        other = node.create_publisher(
            PoseStamped,
            names.CURRENT_POSE,
            qos.STREAM_IN,
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
        )
        wait_until(lambda: other.get_subscription_count(), "the recorder")
        for _ in range(50):
            other.publish(pose_message([-1, 0, 0, 0, 0, 0, 1], names.BASE_FRAME, time.time()))
            time.sleep(0.01)
    poses = read(next(tmp_path.iterdir()))[f"/{config.name}/{names.CURRENT_POSE}"]
    assert any(m.pose.position.x == -1.0 for m in poses)  # type: ignore[attr-defined]
    assert any(m.pose.position.x > 0.0 for m in poses)  # type: ignore[attr-defined]


def test_without_a_folder() -> None:
    with pytest.raises(ConfigError, match="folder that recordings go to"):
        make_nodes(test_cell(), None, None)  # type: ignore[arg-type]
