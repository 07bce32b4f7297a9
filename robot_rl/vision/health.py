"""Pictures that nothing can be learnt from: black, frozen, of a sudden other size, or from the wrong camera.

The checks are cheap enough for every control step. What they find is a `DataError`: the acting loop cuts the episode at
the last sound step, and gives up when that happens again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Array, Float32, Image
from robot_rl.data.cameras import FROZEN_FRAMES

BLACK = 16
"""A picture without a value above it shows nothing: dark scenes are noisier and brighter than a covered lens."""
MOVED_M, TURNED_RAD = 0.01, 0.05
"""A tool that has moved so far since must show in a picture."""
MORE_ALIKE = 0.4
"""By how much two cameras' correlations with each other's usual picture must exceed those with their own, in sum."""
_EVERY_PIXEL = 4
_GRID = 4
Thumbnail = tuple[float, ...]
"""Mean colours of a grid of 4 x 4 fields, row by row, in [0, 1]: 48 numbers."""


def thumbnail(image: Image) -> Thumbnail:
    """A picture of at least 4 x 4 pixels in 48 numbers."""
    height, width = (n // _GRID for n in image.shape[:2])
    fields = image[: height * _GRID, : width * _GRID].reshape(_GRID, height, _GRID, width, 3)
    return tuple((fields.mean((1, 3)) / 255.0).ravel().tolist())


def usual_pictures(observations: Sequence[Observation], cameras: Sequence[str]) -> dict[str, Thumbnail]:
    """What each camera usually shows: the mean thumbnail of observations, three digits each.

    Raises:
        DataError: a picture is missing.
    """
    out: dict[str, Thumbnail] = {}
    for name in cameras:
        if not observations or any(name not in obs.images for obs in observations):
            raise DataError(f"there are observations without a picture of camera {name!r}: record with that camera")
        mean = np.mean([thumbnail(obs.images[name]) for obs in observations], axis=0)
        out[name] = tuple(round(value, 3) for value in mean.tolist())
    return out


class _Still(NamedTuple):
    """Since when a camera has shown the same frame."""

    frame: Image
    position_m: Float32 | None
    rotation_rad: Float32 | None
    length: int


class PictureWatch:
    """Looks at the pictures of one acting loop.

    Args:
        cameras: those that are learnt from.
        spec: layout of the state, in which the tool's position tells whether the robot moves.
        usual: what each camera usually shows, from `usual_pictures`; without it nobody can tell cameras apart.
    """

    def __init__(
        self, cameras: Sequence[str], spec: StateSpec, usual: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        self._cameras, self._spec = tuple(cameras), spec
        known = usual or {}
        self._usual: dict[str, Array] = {n: np.array(known[n], np.float64) for n in self._cameras if n in known}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._still: dict[str, _Still] = {}
        self._shown: dict[str, Array] = {}

    def begin(self) -> None:
        """An episode begins: what cameras showed before it does not count."""
        self._still.clear()

    def check(self, obs: Observation) -> None:
        """Look at the newest observation.

        Raises:
            DataError: a picture is missing, black, frozen, of another size than before, or cameras are swapped.
        """
        for name in self._cameras:
            image = obs.images.get(name)
            if image is None:
                raise DataError(f"there is no picture of camera {name!r}: is it unplugged?")
            expected = self._shapes.setdefault(name, image.shape)
            if image.shape != expected:
                raise DataError(
                    f"camera {name!r} gives pictures of {list(image.shape)}, it gave {list(expected)} before"
                )
            if image[::_EVERY_PIXEL, ::_EVERY_PIXEL].max(initial=0) < BLACK:
                raise DataError(f"camera {name!r} is black: is its lens covered, or the light off?")
            self._check_still(name, image, obs.state)
            self._shown[name] = np.array(thumbnail(image), np.float64)
        self._check_places()

    def _check_still(self, name: str, image: Image, state: Float32) -> None:
        position, rotation = (self._part(state, part) for part in ("tcp_position", "tcp_rotation"))
        before = self._still.get(name)
        if before is None or not np.array_equal(before.frame, image):
            self._still[name] = _Still(image, position, rotation, 1)
            return
        length = before.length + 1
        self._still[name] = before._replace(length=length)
        moved = _far(position, before.position_m, MOVED_M) or _far(rotation, before.rotation_rad, TURNED_RAD)
        if length >= FROZEN_FRAMES and moved:
            raise DataError(
                f"camera {name!r} has shown the same frame {length} times while the robot moved: it is frozen"
            )

    def _part(self, state: Float32, name: str) -> Float32 | None:
        where = self._spec.slices.get(name)
        return None if where is None else state[where]

    def _check_places(self) -> None:
        """Two cameras that look far more like each other's usual pictures than like their own have been swapped."""
        for one, other in combinations([n for n in self._cameras if n in self._usual], 2):
            own = self._likeness(one, one) + self._likeness(other, other)
            crossed = self._likeness(one, other) + self._likeness(other, one)
            if crossed > own + MORE_ALIKE:
                raise DataError(
                    f"the cameras {one!r} and {other!r} look swapped: each shows what the other showed in the "
                    "demonstrations; plug them in as they were, or change their serial numbers"
                )

    def _likeness(self, camera: str, place: str) -> float:
        """Correlation, which neither brightness nor contrast changes, in [-1, 1]."""
        shown, usual = (x - x.mean() for x in (self._shown[camera], self._usual[place]))
        return float(shown @ usual / max(float(np.linalg.norm(shown) * np.linalg.norm(usual)), 1e-9))


def _far(now: npt.NDArray[np.floating] | None, then: npt.NDArray[np.floating] | None, limit: float) -> bool:
    return now is not None and then is not None and float(np.linalg.norm(now - then)) > limit
