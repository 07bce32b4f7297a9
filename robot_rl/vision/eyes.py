"""What the networks see: the one way from an observation as it was read to views, for acting, learning and judging."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.specs import ViewSpec
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.core.types import Features, Image
from robot_rl.vision.frozen import FrozenEncoder
from robot_rl.vision.preprocess import PreprocessSpec, resized
from robot_rl.vision.shifts import shifted_copies

_REMEMBERED = 4


class _Seen(NamedTuple):
    frames: tuple[Image, ...]
    images: dict[str, Image]
    features: dict[str, Features]


class Eyes:
    """Resizes the pictures of some cameras and computes the features of a frozen encoder, once for each frame.

    A policy and a replay in the same process are given the same frame one after the other; the newest few are
    remembered, so that the second costs nothing.

    Args:
        cameras: which; others are left out of what is seen.
        image_px: side of the square that pictures are stretched to; those that have it are left as they are.
        encoder: closed with this object; None for pictures alone.
        copies: K, of each picture that the encoder is shown, see `robot_rl.vision.shifts`; acting needs one.

    Attributes:
        views: what the networks see of each camera.
    """

    def __init__(
        self, cameras: tuple[str, ...], image_px: int, encoder: FrozenEncoder | None = None, *, copies: int = 1
    ) -> None:
        self._cameras, self._encoder, self._copies = cameras, encoder, copies
        self._spec = PreprocessSpec(image_px)
        self.image_shapes = {name: (image_px, image_px, 3) for name in cameras}
        shape = (image_px, image_px, 3) if encoder is None else encoder.shape
        self.views = ViewSpec(tuple((name, shape) for name in cameras), "" if encoder is None else encoder.checksum)
        self._newest: deque[_Seen] = deque(maxlen=_REMEMBERED)

    @property
    def feature_shapes(self) -> dict[str, tuple[int, int, int, int]]:
        """``(K, h, w, C)`` by camera; empty without an encoder."""
        if self._encoder is None:
            return {}
        return {name: (self._copies, *self._encoder.shape) for name in self._cameras}

    def see(self, obs: Observation) -> Observation:
        """The observation with pictures as the networks take them, and features if there is an encoder.

        Raises:
            DataError: a picture is missing, or is none.
        """
        frames = tuple(self._frame(obs.images, name) for name in self._cameras)
        seen = self._remembered(frames)
        if seen is None:
            images = {name: self._resize(frame) for name, frame in zip(self._cameras, frames, strict=True)}
            seen = _Seen(frames, images, self._encode(images))
            self._newest.append(seen)
        return replace(obs, images=seen.images, features=seen.features)

    def see_record(self, record: StepRecord) -> StepRecord:
        """A step with its observations as `see` gives them.

        Raises:
            DataError: as `see`, naming step and episode.
        """
        try:
            final = None if record.final_obs is None else self.see(record.final_obs)
            return replace(record, obs=self.see(record.obs), final_obs=final)
        except DataError as e:
            raise DataError(f"step {record.step_index} of episode {record.episode_id!r}: {e}") from e

    def views_of(self, obs: Observation) -> dict[str, npt.NDArray[Any]]:
        """What a network sees of each camera when nothing is shifted: ``[h, w, c]`` by name, as `views` says.

        Raises:
            DataError: as `see`.
        """
        seen = self.see(obs)
        return {n: f[0] for n, f in seen.features.items()} if self.views.encoder else dict(seen.images)

    def check(self, record: StepRecord) -> None:
        """Check that a step has the pictures that are needed, without the work.

        Raises:
            DataError: naming the camera, step and episode.
        """
        try:
            for obs in (record.obs, record.final_obs):
                for name in self._cameras if obs is not None else ():
                    self._frame(obs.images, name)  # type: ignore[union-attr]
        except DataError as e:
            raise DataError(f"step {record.step_index} of episode {record.episode_id!r}: {e}") from e

    def close(self) -> None:
        """Free the encoder. May be called twice."""
        self._newest.clear()
        if self._encoder is not None:
            self._encoder.close()

    def _frame(self, images: Mapping[str, Image], name: str) -> Image:
        frame = images.get(name)
        if frame is None:
            raise DataError(f"its picture is missing, {unknown_name('camera', name, images)}")
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise DataError(f"camera {name!r} gives {frame.dtype}{list(frame.shape)}, expected uint8[H, W, 3]")
        return frame

    def _remembered(self, frames: tuple[Image, ...]) -> _Seen | None:
        for seen in self._newest:
            if all(a is b for a, b in zip(seen.frames, frames, strict=True)):
                return seen
        return None

    def _resize(self, frame: Image) -> Image:
        if frame.shape[:2] == (self._spec.size, self._spec.size):
            return frame
        image: Image = np.rint(resized(frame, self._spec)[0]).astype(np.uint8)
        return image

    def _encode(self, images: Mapping[str, Image]) -> dict[str, Features]:
        if self._encoder is None:
            return {}
        copies = np.concatenate([shifted_copies(image, self._copies) for image in images.values()])
        features = self._encoder.encode(copies)
        k = self._copies
        return {name: features[i * k : (i + 1) * k] for i, name in enumerate(images)}
