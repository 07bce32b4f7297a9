"""Event files are readable, and a disk that refuses them stops nothing."""

from __future__ import annotations

import os
import resource
import struct
from pathlib import Path

from tensorboardX.proto import event_pb2

from robot_rl.runtime.monitor.board import Board


def events(folder: Path) -> list[event_pb2.Event]:
    """Every event of the one file there; its framing is length, checksum, data, checksum."""
    (path,) = folder.iterdir()
    data, at, out = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        event = event_pb2.Event()
        event.ParseFromString(data[at + 12 : at + 12 + size])
        out.append(event)
        at += 16 + size
    return out


def test_scalars_come_back(tmp_path: Path) -> None:
    board = Board(tmp_path / "tb")
    board.scalars({"a/x": 1.5, "a/y": -2.0}, 7)
    board.scalars({"a/x": 2.5}, 8)
    board.close()
    board.close()
    first, *rest = events(tmp_path / "tb")
    assert first.file_version == "brain.Event:2"
    values = [(e.step, v.tag, v.simple_value) for e in rest for v in e.summary.value]
    assert values == [(7, "a/x", 1.5), (7, "a/y", -2.0), (8, "a/x", 2.5)]


def test_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    board = Board(tmp_path / "tb")
    descriptors = len(os.listdir("/proc/self/fd"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        for step in range(1000):
            board.scalars({"x": 1.0}, step)
        board.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(os.listdir("/proc/self/fd")) < descriptors


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "tb").write_text("in the way")
    board = Board(tmp_path / "tb")
    board.scalars({"x": 1.0}, 1)
    board.close()
