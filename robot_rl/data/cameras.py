"""What an episode's pictures are: names, sizes, frames that repeat, and writing them as PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from robot_rl.core.errors import DataError, StorageError
from robot_rl.core.transition import Observation, StepRecord

FROZEN_FRAMES = 4
"""This many equal frames in a row while the state changes are no coincidence: sensors have noise."""


def observations(records: Sequence[StepRecord]) -> list[Observation]:
    """What was seen before each step, and after the last one if the episode ended."""
    seen = [r.obs for r in records]
    if records and records[-1].final_obs is not None:
        seen.append(records[-1].final_obs)
    return seen


def camera_shapes(records: Sequence[StepRecord]) -> dict[str, tuple[int, ...]]:
    """``(H, W, 3)`` of each camera in its first frame."""
    shapes: dict[str, tuple[int, ...]] = {}
    for obs in observations(records):
        for name, image in obs.images.items():
            shapes.setdefault(name, image.shape)
    return shapes


def frame_faults(records: Sequence[StepRecord]) -> Iterator[tuple[Literal["error", "warning"], str, str]]:
    """Missing frames, frames of another size, and cameras that stood still while the cell moved.

    Yields:
        Severity, name of the check, one sentence.
    """
    seen = observations(records)
    for name, shape in camera_shapes(records).items():
        missing = sum(name not in obs.images for obs in seen)
        if missing:
            yield "error", "camera", f"{missing} of {len(seen)} frames of camera {name!r} are missing"
            continue
        sizes = {obs.images[name].shape for obs in seen}
        if len(sizes) > 1:
            yield "error", "camera", f"camera {name!r} changes its size from {shape}: {sorted(sizes - {shape})}"
            continue
        start, length = _longest_repeat(seen, name)
        if length >= FROZEN_FRAMES:
            text = f"camera {name!r} shows the same frame {length} times from step {start} on while the state changes"
            yield "warning", "frozen camera", text


def write_frames(records: Sequence[StepRecord], folder: Path) -> list[Path]:
    """Write every frame as ``<folder>/<camera>_<step>.png``, without loss.

    Args:
        records: of one episode, with their pictures.
        folder: created if needed.

    Raises:
        DataError: the episode has no pictures.
        StorageError: the folder cannot be written.
    """
    from PIL import Image

    if not camera_shapes(records):
        raise DataError("the episode holds no camera frames to write")
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for step, obs in enumerate(observations(records)):
            for name, image in obs.images.items():
                paths.append(folder / f"{name}_{step:06d}.png")
                Image.fromarray(image).save(paths[-1])
    except OSError as e:
        raise StorageError(f"cannot write frames into {folder}: {e.strerror or e}") from e
    return paths


def _longest_repeat(seen: Sequence[Observation], name: str) -> tuple[int, int]:
    """First frame and length of the longest run of equal frames of a camera between which the state changed."""
    best, start, length = (0, 1), 0, 1
    for i, (before, after) in enumerate(pairwise(seen), 1):
        same = np.array_equal(before.images[name], after.images[name])
        if same and not np.array_equal(before.state, after.state):
            length += 1
        elif not same:
            start, length = i, 1
        if length > best[1]:
            best = start, length
    return best
