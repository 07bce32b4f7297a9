"""States and actions brought to [-1, 1] by their least and greatest values; the same code for numpy and torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.types import Float32

A = TypeVar("A")


def to_unit(x: A, center: Any, half: Any, clip: float) -> A:
    """``(x - center) / half`` within ``[-clip, clip]``; arrays of numpy or of torch, with equal bits."""
    values: Any = x
    out: A = ((values - center) / half).clip(-clip, clip)
    return out


def from_unit(y: A, center: Any, half: Any) -> A:
    """``y half + center``; arrays of numpy or of torch, with equal bits."""
    values: Any = y
    out: A = values * half + center
    return out


@dataclass(frozen=True, eq=False)
class Normaliser:
    """Brings each value to [-1, 1].

    Attributes:
        center: value that becomes 0 ``[n]``.
        half: half of the range that becomes [-1, 1] ``[n]``, positive.
        clip: greatest magnitude that is let through.
    """

    center: Float32
    half: Float32
    clip: float = 1.0

    def __post_init__(self) -> None:
        """Check the arrays.

        Raises:
            DataError: they are not finite, of different shapes, or a range is not positive.
        """
        if self.center.ndim != 1 or self.half.shape != self.center.shape:
            raise DataError(f"a normaliser of shapes {self.center.shape} and {self.half.shape}, expected [n] twice")
        if not (np.isfinite(self.center).all() and np.isfinite(self.half).all() and (self.half > 0).all()):
            raise DataError("a normaliser must be finite and its ranges positive")
        if not self.clip > 0:
            raise DataError(f"a normaliser clips at {self.clip}, expected a positive number")

    @staticmethod
    def fit(
        rows: npt.NDArray[np.floating], floor: npt.ArrayLike, *, clip: float = 1.0, outliers: float = 0.0
    ) -> Normaliser:
        """Of the rows of a data set.

        Args:
            rows: ``[N, n]``, N at least 1.
            floor: least range ``greatest - least`` of each value, in its own unit; one number or ``[n]``, positive.
            clip: greatest magnitude of a normalised value.
            outliers: share of the rows left outside at either end.

        Raises:
            DataError: there are no rows, or one is not finite.
        """
        if rows.ndim != 2 or not len(rows):
            raise DataError(f"got rows of shape {rows.shape} to normalise, expected [N, n] with at least one row")
        if not np.isfinite(rows).all():
            raise DataError(
                f"the data are not finite in columns {np.flatnonzero(~np.isfinite(rows).all(0)).tolist()}: "
                "leave out the episodes concerned"
            )
        low, high = np.quantile(rows.astype(np.float64), [outliers, 1.0 - outliers], axis=0)
        half = np.maximum(high - low, np.asarray(floor, np.float64)) / 2.0
        return Normaliser(((low + high) / 2.0).astype(np.float32), half.astype(np.float32), clip)

    @cached_property
    def checksum(self) -> str:
        """Short hash of everything that decides about the result."""
        digest = hashlib.sha256(np.float64(self.clip).tobytes())
        for array in (self.center, self.half):
            digest.update(array.astype("<f4").tobytes())
        return digest.hexdigest()[:16]

    def normalise(self, x: Float32) -> Float32:
        """Values ``[..., n]`` in their units to [-clip, clip]."""
        return to_unit(x, self.center, self.half, self.clip)

    def restore(self, y: Float32) -> Float32:
        """Inverse of `normalise` for what was not clipped."""
        return from_unit(y, self.center, self.half)

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """For a file of weights."""
        clip = np.array([self.clip], np.float64)
        return {f"{prefix}/center": self.center, f"{prefix}/half": self.half, f"{prefix}/clip": clip}

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Normaliser:
        """Inverse of `arrays`.

        Raises:
            DataError: one is missing or does not describe a normaliser.
        """
        try:
            center, half, clip = (arrays[f"{prefix}/{part}"] for part in ("center", "half", "clip"))
        except KeyError as e:
            raise DataError(f"the weights lack {e.args[0]!r}, so there is no normaliser") from e
        if center.dtype != np.float32 or half.dtype != np.float32 or clip.shape != (1,):
            raise DataError(f"the arrays {prefix}/... do not describe a normaliser")
        return Normaliser(center, half, float(clip[0]))
