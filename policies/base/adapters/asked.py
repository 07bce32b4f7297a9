"""What a base policy is asked and what it may answer: checked before it matters, alike for all adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import DataError, DeviceError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32, Image

MAX_PROPOSALS = 1024


class Asked(NamedTuple):
    """One question, oldest observation first.

    Attributes:
        state: rows ``float32[observations, n]``.
        noise: ``float32[proposals, steps, dimensions]``.
        pictures: ``uint8[observations, h, w, 3]`` by camera, those that the base looks at.
    """

    state: Float32
    noise: Float32
    pictures: dict[str, Image]

    @property
    def proposals(self) -> int:
        """How many plans are wanted."""
        return len(self.noise)


def ask(info: BaseInfo, seen: Sequence[Observation], noise: Float32) -> Asked:
    """The question that `robot_rl.core.base.BasePolicy.propose` was asked, stacked.

    Raises:
        DataError: number of observations, noise or a picture are not as `info` has them, or not finite.
    """
    if len(seen) != info.observations:
        raise DataError(f"the base {info.name} got {len(seen)} observations, expected {info.observations}")
    pictures: dict[str, Image] = {}
    for camera in info.cameras:
        if any(camera not in obs.images for obs in seen):
            raise DataError(f"the base {info.name} looks at camera {camera!r}, which is not in the observation")
        shapes = {obs.images[camera].shape for obs in seen}
        if len(shapes) == 1:
            pictures[camera] = np.stack([obs.images[camera] for obs in seen])
        else:
            raise DataError(f"pictures of camera {camera!r} have the shapes {sorted(shapes)}, expected one")
    if len({obs.state.shape for obs in seen}) != 1:
        raise DataError(f"the base {info.name} got state rows of different lengths")
    asked = Asked(np.stack([obs.state for obs in seen]), noise, pictures)
    check_question(info, asked)
    return asked


def check_question(info: BaseInfo, asked: Asked, state_size: int | None = None) -> None:
    """Check a question that was stacked here or came over a wire.

    Args:
        info: of the base that is asked.
        asked: the question.
        state_size: length of its state rows; None if any will do.

    Raises:
        DataError: naming what does not fit.
    """
    state, noise = asked.state, asked.noise
    size = state.shape[-1] if state_size is None and state.ndim == 2 else state_size
    _check("state", state, np.float32, (info.observations, size))
    _check("noise", noise, np.float32, (noise.shape[0] if noise.ndim else 0, *info.noise_shape))
    if not 1 <= len(noise) <= MAX_PROPOSALS:
        raise DataError(f"{len(noise)} proposals were asked for, expected 1 to {MAX_PROPOSALS}")
    if wrong := set(info.cameras) ^ set(asked.pictures):
        raise DataError(f"the base {info.name} looks at {sorted(info.cameras) or 'no camera'}, got or missed {wrong}")
    for camera, shape in info.cameras.items():
        _check(f"picture of camera {camera!r}", asked.pictures[camera], np.uint8, (info.observations, *shape))


def check_plans(info: BaseInfo, plans: npt.NDArray[Any], proposals: int, who: str) -> Float32:
    """What a base answered, if it can be executed.

    Raises:
        DeviceError: it has another shape, is not finite or leaves [-1, 1]; the sentence names `who`.
    """
    expected = (proposals, info.horizon, ACTION_SIZE)
    if plans.shape != expected or plans.dtype != np.float32:
        raise DeviceError(f"{who} answers with {plans.dtype}{list(plans.shape)}, expected float32{list(expected)}")
    if not np.isfinite(plans).all():
        raise DeviceError(f"{who} answers with actions that are not finite: do not use it")
    if np.abs(plans).max(initial=0.0) > 1.0:
        raise DeviceError(f"{who} answers with actions up to {np.abs(plans).max():g}, expected at most 1")
    return plans


def _check(what: str, array: npt.NDArray[Any], dtype: type[np.generic], shape: tuple[int | None, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise DataError(f"the {what} is {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}")
    if dtype == np.float32 and not np.isfinite(array).all():
        raise DataError(f"the {what} is not finite")
