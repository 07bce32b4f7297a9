"""Numbers as a reader wants them, with a dash for what is not known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from robot_rl.core.types import Array

DASH = "–"  # noqa: RUF001


def number(row: Mapping[str, Any], key: str) -> float:
    """A number of a JSON row; NaN when it is missing or none."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def share(value: float, digits: int = 2) -> str:
    """A rate in [0, 1], or a dash."""
    return f"{value:.{digits}f}" if math.isfinite(value) else DASH


def seconds(value: float) -> str:
    """A duration in seconds, or a dash."""
    return f"{value:.1f} s" if math.isfinite(value) else DASH


def minutes(value: float) -> str:
    """A duration in minutes, or a dash."""
    return f"{value:.1f} min" if math.isfinite(value) else DASH


def last(values: Array) -> float:
    """The last finite value; NaN if there is none."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else math.nan
