"""Frames are named, counted and written without loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robot_rl.core.errors import DataError, StorageError
from robot_rl.data.cameras import camera_shapes, observations, write_frames
from tests.data.episodes import CAMERAS, episode


def test_the_last_frame_counts_when_the_episode_ended() -> None:
    assert len(observations(episode(1, 4))) == 5
    assert len(observations(episode(1, 4, ended=False))) == 4
    assert observations([]) == []


def test_cameras_have_names_and_sizes() -> None:
    assert camera_shapes(episode(1, 2, images=True)) == CAMERAS
    assert camera_shapes(episode(1, 2)) == {}


def test_frames_are_written_without_loss(tmp_path: Path) -> None:
    records = episode(3, 2, images=True)
    paths = write_frames(records, tmp_path / "frames")
    assert len(paths) == 3 * len(CAMERAS) == len(list((tmp_path / "frames").iterdir()))
    for step, obs in enumerate(observations(records)):
        for name, image in obs.images.items():
            read = np.asarray(Image.open(tmp_path / "frames" / f"{name}_{step:06d}.png"))
            assert np.array_equal(read, image)


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no camera frames"):
        write_frames(episode(1, 2), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write frames into"):
        write_frames(episode(1, 2, images=True), tmp_path / "file")
