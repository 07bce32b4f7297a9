"""Curves of the last minute in the browser's panel, one small chart for each group of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import viser

from robot_rl.core.errors import ConfigError
from robot_rl.core.types import Array

MAX_POINTS = 400
MAX_HZ = 50.0
HEIGHT_PX = 124
_FONT = "11px sans-serif"


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: by which it is fed, and in the legend.
        unit: for example ``ms``; may be empty.
        color: as in CSS.
        group: title of the chart that it shares with others of the group.
        limits: fixed range of the chart's axis, or None to follow the values; the first of a group counts.
    """

    name: str
    unit: str
    color: str
    group: str
    limits: tuple[float, float] | None = None


def decimate(t_s: Array, values: Array, bucket_s: float) -> tuple[Array, Array]:
    """Fewer points of some curves that look the same: of every stretch of time, the extremes of each curve.

    Stretches begin at multiples of their length, so that curves which scroll by do not flicker.

    Args:
        t_s: ascending times ``[n]``.
        values: of k curves ``[n, k]``; NaN where unknown.
        bucket_s: length of a stretch, positive.

    Returns:
        Times and values, at most two for each stretch; in it, each curve has its lower extreme and its upper one in the
        order in which they came.
    """
    bucket = np.floor(t_s / bucket_s)
    first = np.flatnonzero(np.diff(bucket, prepend=np.nan) != 0)
    count = np.diff(np.append(first, len(t_s)))
    if len(t_s) == 0 or count.max() <= 2:
        return t_s, values
    inside = np.arange(count.max()) < count[:, None]
    rows = np.where(inside, first[:, None] + np.arange(count.max()), first[:, None])
    spread = np.where(inside[:, :, None], values[rows], np.nan)
    low = np.where(np.isnan(spread), np.inf, spread).argmin(1)
    high = np.where(np.isnan(spread), -np.inf, spread).argmax(1)
    ends = np.stack([np.minimum(low, high), np.maximum(low, high)], axis=1)
    kept = np.take_along_axis(spread, ends, axis=1)
    # A stretch of one point needs no second one.
    wanted = np.stack([np.ones_like(count, bool), count > 1], axis=1)
    times = np.stack([t_s[first], t_s[first + count - 1]], axis=1)
    return times[wanted], kept[wanted]


class Strips:
    """Charts in a panel, newest values at the right.

    Args:
        gui: of a viser server or client; the charts go into the folder or tab that is open there.
        series: all curves; charts come in the order in which their groups occur.
        window_s: time shown.

    Raises:
        ConfigError: two series have the same name.
    """

    def __init__(self, gui: viser.GuiApi, series: Sequence[Series], window_s: float = 60.0) -> None:
        names = [s.name for s in series]
        if len(set(names)) < len(names):
            raise ConfigError(f"curves need names of their own, got {names}")
        groups = dict.fromkeys(s.group for s in series)
        self._charts = [_Chart(gui, [s for s in series if s.group == g], window_s) for g in groups]

    def add(self, t_s: float, values: Mapping[str, float]) -> None:
        """Take in values of one moment; nothing is sent before `refresh`.

        A chart of which no curve is named keeps what it has, so that each may have a pace of its own. A time before the
        last one of a chart begins that chart anew.

        Args:
            t_s: on any clock that goes on.
            values: by name of the series; NaN, or left out, where unknown. Other names are passed over.
        """
        for chart in self._charts:
            chart.add(t_s, values)

    def refresh(self) -> None:
        """Send the charts that have changed; for a few calls a second."""
        for chart in self._charts:
            chart.refresh()

    def clear(self) -> None:
        """Begin anew."""
        for chart in self._charts:
            chart.clear()

    def close(self) -> None:
        """Take the charts off the panel. May be called twice."""
        for chart in self._charts:
            chart.close()
        self._charts = []


class _Chart:
    """The ring of values of one group, and its plot."""

    def __init__(self, gui: viser.GuiApi, series: Sequence[Series], window_s: float) -> None:
        self._names = [s.name for s in series]
        self._window_s = window_s
        self._ring = np.full((int(MAX_HZ * window_s) + 1, 1 + len(series)), np.nan)
        self._count, self._changed = 0, False
        self._empty = (np.array([-window_s, 0.0]), *(np.full(2, np.nan) for _ in series))
        self._plot: viser.GuiUplotHandle | None = gui.add_uplot(data=self._empty, **_look(series, window_s))

    def add(self, t_s: float, values: Mapping[str, float]) -> None:
        if not any(name in values for name in self._names):
            return
        if self._count and t_s < self._ring[(self._count - 1) % len(self._ring), 0]:
            self.clear()
        row = [float(values.get(name, np.nan)) for name in self._names]
        self._ring[self._count % len(self._ring)] = [t_s, *row]
        self._count, self._changed = self._count + 1, True

    def refresh(self) -> None:
        if self._changed and self._plot is not None:
            self._changed = False
            self._plot.data = self._points()

    def clear(self) -> None:
        self._count, self._changed = 0, True

    def close(self) -> None:
        if self._plot is not None:
            self._plot.remove()
            self._plot = None

    def _points(self) -> tuple[Array, ...]:
        if not self._count:
            return self._empty
        size = len(self._ring)
        order = np.arange(max(0, self._count - size), self._count) % size
        rows = self._ring[order]
        rows = rows[rows[:, 0] >= rows[-1, 0] - self._window_s]
        t_s, values = decimate(rows[:, 0], rows[:, 1:], self._window_s / (MAX_POINTS // 2 - 1))
        return (t_s - rows[-1, 0], *(np.ascontiguousarray(column) for column in values.T))


def _look(series: Sequence[Series], window_s: float) -> dict[str, Any]:
    """How a chart looks: narrow enough for a panel of 300 pixels."""
    units = {s.unit for s in series}
    unit = f" ({units.pop()})" if len(units) == 1 and units != {""} else ""
    limits = next((s.limits for s in series if s.limits is not None), None)
    curves = [{"label": s.name, "stroke": s.color, "width": 1.5, "points": {"show": False}} for s in series]
    if limits is not None and len(series) == 1:
        curves[0]["fill"] = f"color-mix(in srgb, {series[0].color} 25%, transparent)"
    axis = {"font": _FONT, "ticks": {"size": 4}, "gap": 3}
    return {
        "title": series[0].group + unit,
        "series": ({"label": "s"}, *curves),
        "scales": {"x": {"time": False, "range": (-window_s, 0.0)}, "y": {} if limits is None else {"range": limits}},
        "axes": ({**axis, "size": 26}, {**axis, "size": 44}),
        "legend": {"show": len(series) > 1, "live": False},
        "height": HEIGHT_PX,
        "padding": (4, 10, 0, 0),
    }
