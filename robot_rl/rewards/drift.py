"""Whether a camera still sees what a model was trained on: colours, sharpness, likeness, and whether it is alive.

Amber pictures are unlike the training pictures and worth a look; red ones cannot be judged, so a model that gets them
abstains. The measures are cheap enough for every control step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from robot_rl.core.types import Array, Float32, Image
from robot_rl.vision.preprocess import PreprocessSpec, resized

OK, AMBER, RED = 0, 1, 2
THUMBNAIL = PreprocessSpec(8)
REFERENCES = 256
# A colour that varies less than this in training would make every lamp an alarm, in levels of 255.
LEAST_STD = 6.0
AMBER_Z, RED_Z = 4.0, 8.0
AMBER_FAR, RED_FAR = 1.5, 3.0
FLAT_STD = 2.0
FROZEN_FRAMES, FROZEN_M = 5, 0.02


@dataclass(frozen=True)
class Watch:
    """What a camera's pictures looked like in training.

    Attributes:
        mean: of mean colour and contrast, and of the logarithm of sharpness ``[7]``.
        std: of these ``[7]``.
        thumbnails: some training pictures ``float32[K, 192]``, levels.
        far: distance to the nearest of them that a training picture hardly ever exceeds.
    """

    mean: Array
    std: Array
    thumbnails: Float32
    far: float

    def to_arrays(self, prefix: str) -> dict[str, npt.NDArray[np.float32]]:
        """For the file of a model."""
        return {
            f"{prefix}watch.mean": self.mean.astype(np.float32),
            f"{prefix}watch.std": self.std.astype(np.float32),
            f"{prefix}watch.thumbnails": self.thumbnails,
            f"{prefix}watch.far": np.array([self.far], np.float32),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[np.float32]], prefix: str) -> Watch | None:
        """Inverse of `to_arrays`; None if a model has none."""
        if f"{prefix}watch.mean" not in arrays:
            return None
        mean, std, thumbnails, far = (arrays[f"{prefix}watch.{n}"] for n in ("mean", "std", "thumbnails", "far"))
        return Watch(mean.astype(np.float64), std.astype(np.float64), thumbnails, float(far[0]))


def make_watch(images: Image, rng: np.random.Generator) -> Watch:
    """Learn what a camera's pictures look like.

    Args:
        images: of training ``uint8[N, H, W, 3]``, at least two.
        rng: chooses those that are kept.
    """
    measures = np.array([_measures(image) for image in images])
    thumbnails = _thumbnails(images)
    chosen = rng.permutation(len(images))[:REFERENCES]
    kept = thumbnails[chosen]
    squares = (thumbnails**2).sum(1)[:, None] - 2.0 * thumbnails @ kept.T + (kept**2).sum(1)
    distance = np.sqrt(np.maximum(np.sort(squares, axis=1)[:, :2], 0.0))
    # A kept picture is its own nearest one; its next nearest is what another picture of this kind would find.
    nearest = np.where(distance[:, 0] > 0.5, distance[:, 0], distance[:, -1])
    return Watch(measures.mean(0), measures.std(0), kept, max(float(np.quantile(nearest, 0.99)), 1.0))


@dataclass(frozen=True)
class Alive:
    """What is remembered of a camera within an episode.

    Attributes:
        digest: of the last picture.
        same: pictures in a row that were equal to the last byte.
        at_m: where the tool was when the first of them was seen ``(x, y, z)``.
    """

    digest: bytes = b""
    same: int = 0
    at_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


def check_picture(watch: Watch, image: Image) -> tuple[int, str]:
    """How far one picture is from those of training: `OK`, `AMBER` or `RED`, and why."""
    measures = _measures(image)
    if max(measures[3:6]) < FLAT_STD:
        return RED, "one flat colour"
    floor = np.array([LEAST_STD] * 6 + [0.5])
    z = np.abs(measures - watch.mean) / np.maximum(watch.std, floor)
    names = ("red", "green", "blue", "contrast in red", "contrast in green", "contrast in blue", "sharpness")
    worst = int(np.argmax(z))
    far = float(np.linalg.norm(_thumbnails(image[None])[0] - watch.thumbnails, axis=1).min()) / watch.far
    if z[worst] > RED_Z:
        return RED, f"{names[worst]} is unlike training"
    if far > RED_FAR:
        return RED, "unlike every training picture"
    if z[worst] > AMBER_Z or far > AMBER_FAR:
        return AMBER, f"{names[worst]} is unusual" if z[worst] > AMBER_Z else "unusual picture"
    return OK, ""


def check_alive(state: Alive, image: Image, tool_m: tuple[float, float, float]) -> tuple[Alive, bool]:
    """Whether a camera goes on showing the same picture while the tool moves: that one is frozen.

    Returns:
        The new state, and whether it is alive.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=8).digest()
    if digest != state.digest:
        return Alive(digest, 1, tool_m), True
    state = replace(state, same=state.same + 1)
    moved_m = float(np.linalg.norm(np.subtract(tool_m, state.at_m)))
    return state, not (state.same >= FROZEN_FRAMES and moved_m > FROZEN_M)


def _measures(image: Image) -> Array:
    """Mean and standard deviation of each colour in levels, and log of the variance of the Laplacian ``[7]``."""
    small = image[:: max(1, image.shape[0] // 64), :: max(1, image.shape[1] // 64)].astype(np.float32)
    grey = small.mean(2)
    laplace = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    flat = small.reshape(-1, 3)
    return np.array([*flat.mean(0), *flat.std(0), np.log(laplace.var() + 1e-3)], np.float64)


def _thumbnails(images: Image) -> Float32:
    return resized(images, THUMBNAIL).reshape(len(images), -1)
