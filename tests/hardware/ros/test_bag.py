"""Recordings open with the usual readers, stand alone, and survive kills and full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from mcap.reader import NonSeekingReader, make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from robot_rl.core.errors import StorageError
from robot_rl.hardware.ros.bag import PARTIAL, Bag, BagConfig, Sample, definition
from robot_rl.hardware.ros.messages import pose_message

STRING = "std_msgs/msg/String"
SMALL_DISK = BagConfig(min_free_bytes=0)


def text(topic: str, value: str, t_ns: int = 1, *, latched: bool = False) -> Sample:
    return Sample(topic, STRING, serialize_message(String(data=value)), t_ns, t_ns, latched)


def read(path: Path) -> list[tuple[str, str]]:
    """Topics and texts of a finished file."""
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        return [(c.topic, m.data) for _, c, _, m in reader.iter_decoded_messages(log_time_order=False)]


def read_cut(path: Path) -> list[str]:
    """Texts of an unfinished file, as far as it is complete."""
    texts = []
    with path.open("rb") as file:
        reader = NonSeekingReader(file, decoder_factories=[DecoderFactory()])
        try:
            for _, _, _, message in reader.iter_decoded_messages(log_time_order=False):
                texts.append(message.data)
        except Exception:  # the reader's way to say that the file ends
            return texts
    return texts


def test_round_trip(tmp_path: Path) -> None:
    bag = Bag(tmp_path / "new" / "folder", "cell", SMALL_DISK)
    assert bag.path.name.endswith(PARTIAL)
    pose = pose_message([1, 2, 3, 0, 0, 0, 1], "base", 5.0)
    bag.write(text("/cell/a", "one", 10))
    bag.write(Sample("/cell/pose", "geometry_msgs/msg/PoseStamped", serialize_message(pose), 20, 15))
    bag.write(text("/cell/b", "two", 30))
    bag.close()
    bag.close()
    with bag.path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        seen = [(c.topic, raw.log_time, raw.publish_time, m) for _, c, raw, m in reader.iter_decoded_messages()]
    assert [s[:3] for s in seen] == [("/cell/a", 10, 10), ("/cell/pose", 20, 15), ("/cell/b", 30, 30)]
    assert seen[1][3].pose.position.z == 3.0
    assert seen[1][3].header.frame_id == "base"


def test_files_rotate_and_each_stands_alone(tmp_path: Path) -> None:
    bag = Bag(tmp_path, "cell", BagConfig(max_bytes=2**16, min_free_bytes=0))
    bag.write(text("/cell/mode", "old", latched=True))
    bag.write(text("/cell/mode", "active", latched=True))
    noise = os.urandom(20_000).hex()
    for _ in range(12):
        bag.write(text("/cell/noise", noise))
        bag.flush()
    bag.close()
    files = sorted(tmp_path.glob("*.mcap"))
    assert len(files) > 2
    assert not list(tmp_path.glob(f"*{PARTIAL}"))
    assert sum(topic == "/cell/noise" for f in files for topic, _ in read(f)) == 12
    assert all(read(f)[0] == ("/cell/mode", "active") for f in files[1:])


WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from tests.hardware.ros.test_bag import SMALL_DISK, Bag, text
bag = Bag(Path(sys.argv[1]), "cell", SMALL_DISK)
for i in range(50):
    bag.write(text("/cell/a", str(i)))
bag.flush()
bag.write(text("/cell/a", "lost"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_without_warning(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (path,) = tmp_path.iterdir()
    assert path.name.endswith(PARTIAL)
    assert read_cut(path) == [str(i) for i in range(50)]


def test_a_disk_that_refuses_ends_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = Bag(tmp_path, "cell", SMALL_DISK)
    bag.write(text("/cell/a", "kept"))
    bag.flush()

    def full(fd: int, data: bytes, at: int) -> int:
        os.lseek(fd, at, os.SEEK_SET)
        if len(data) > 10:
            return os.write(fd, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        bag.write(text("/cell/a", "lost"))
        with pytest.raises(StorageError, match="No space left on device; what was written before is kept in"):
            bag.flush()
    assert bag.closed
    with pytest.raises(StorageError, match="has ended"):
        bag.write(text("/cell/a", "late"))
    bag.close()
    assert read_cut(bag.path) == ["kept"]


def test_it_ends_before_the_disk_is_full(tmp_path: Path) -> None:
    bag = Bag(tmp_path, "cell", BagConfig(min_free_bytes=2**60))
    bag.write(text("/cell/a", "kept"))
    with pytest.raises(StorageError, match="is complete"):
        bag.flush()
    assert read(bag.path) == [("/cell/a", "kept")]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        Bag(tmp_path / "file" / "folder", "cell")


def test_definitions() -> None:
    assert "float64 x" in definition("geometry_msgs/msg/PoseStamped")
    assert definition("unheard_of/msg/Thing") == ""
