"""Statistics of a dataset as LeRobot stores them: of every number, and of every channel of the pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.types import Image

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Stats = dict[str, Any]


def number_stats(values: npt.NDArray[Any]) -> Stats:
    """Statistics over the rows of ``[T]`` or ``[T, n]``: lists of length n, and ``count`` as ``[T]``."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    out = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    out |= dict(zip(QUANTILES, np.quantile(rows, list(QUANTILES.values()), axis=0), strict=True))
    return {name: value.tolist() for name, value in out.items()} | {"count": [len(rows)]}


class PictureStats:
    """Exact statistics of any number of pictures in little memory: how often each channel had each value."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._pictures = 0

    def add(self, image: Image) -> None:
        """Count a picture ``uint8[H, W, 3]``."""
        self._counts += [np.bincount(image[..., c].reshape(-1), minlength=256) for c in range(3)]
        self._pictures += 1

    def merge(self, other: PictureStats) -> None:
        """Count the pictures of another."""
        self._counts += other._counts
        self._pictures += other._pictures

    def describe(self) -> Stats:
        """Statistics of values scaled to [0, 1], each shaped ``[3, 1, 1]``, and ``count``, the number of pictures."""
        levels = np.arange(256) / 255.0
        total = self._counts.sum(1)
        mean = self._counts @ levels / total
        seen = self._counts > 0
        below = np.cumsum(self._counts, 1) / total[:, None]
        out = {
            "min": levels[seen.argmax(1)],
            "max": levels[255 - seen[:, ::-1].argmax(1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(self._counts @ levels**2 / total - mean**2, 0.0)),
        }
        out |= {name: levels[(below >= q).argmax(1)] for name, q in QUANTILES.items()}
        return {name: value.reshape(3, 1, 1).tolist() for name, value in out.items()} | {"count": [self._pictures]}
