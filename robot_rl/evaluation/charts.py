"""Line charts as inline SVG that follow the page's colours, so that one page reads well in light and in dark."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from robot_rl.core.types import Array

WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 40
MAX_POINTS = 400
# A diverged loss would make the axis arithmetic overflow.
LARGEST = 1e100


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: in the legend.
        x: positions ``[n]``, increasing.
        y: values ``[n]``; a value that is not finite interrupts the line.
        dots: draw marks instead of a line.
        low: lower ends of error bars or of a band ``[n]``, or None.
        high: upper ends, or None.
        color: index into the page's palette, 1 to 6.
        dashed: draw the line dashed, as something to compare with.
    """

    name: str
    x: Array
    y: Array
    dots: bool = False
    low: Array | None = None
    high: Array | None = None
    color: int = 1
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """A titled set of curves over one axis.

    Attributes:
        title: above the chart.
        x_label: with unit.
        y_label: with unit.
        series: curves; those without a finite value are left out.
        percent: values are shares in [0, 1], shown as per cent on a fixed axis.
        log: logarithmic vertical axis; values that are not positive interrupt the line.
        zero: the vertical axis includes zero.
        note: one line below the chart.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    percent: bool = False
    log: bool = False
    zero: bool = False
    note: str = ""


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round positions covering at least [low, high], 1, 2 or 5 times a power of ten apart."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high - low <= 1e-12 * max(1.0, abs(low), abs(high)):
        pad = abs(low) * 0.1 or 0.5
        low, high = low - pad, high + pad
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((m * power for m in (1.0, 2.0, 5.0) if m * power >= raw * 0.999), 10.0 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * k for k in range(first, last + 1)]


def format_number(value: float) -> str:
    """A short label: ``12k``, ``0.35``, ``3e-05``."""
    size = abs(value)
    if not math.isfinite(value):
        return "–"  # noqa: RUF001
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    if size and size < 1e-3:
        return f"{value:.0e}"
    return f"{value:.4g}"


def thin(x: Array, y: Array, limit: int = MAX_POINTS) -> npt.NDArray[np.intp]:
    """Indices of at most about `limit` points that keep the first, the last and the extremes of every stretch."""
    n = len(x)
    if n <= limit:
        return np.arange(n, dtype=np.intp)
    keep = {0, n - 1}
    for part in np.array_split(np.arange(n), limit // 2):
        finite = part[np.isfinite(y[part])]
        if finite.size:
            keep |= {int(finite[np.argmin(y[finite])]), int(finite[np.argmax(y[finite])])}
        else:
            keep.add(int(part[0]))
    return np.array(sorted(keep), np.intp)


def draw(chart: Chart) -> str:
    """A ``<figure>`` with the chart, or with a sentence when there is nothing to draw."""
    shown = tuple(s for s in chart.series if _visible(s, chart).any())
    caption = f"<h3>{escape(chart.title)}</h3>"
    note = f'<p class="note">{escape(chart.note)}</p>' if chart.note else ""
    if not shown:
        return f'<figure class="chart">{caption}<p class="empty">No data was recorded.</p>{note}</figure>'
    axes = _Axes.of(chart, shown)
    bodies = "".join(_series(s, axes, chart) for s in shown)
    legend = _legend(shown) if len(shown) > 1 else ""
    data = escape(json.dumps([_hover(s, axes, chart) for s in shown]), quote=True)
    return (
        f'<figure class="chart">{caption}{legend}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}" data-series="{data}">'
        f'{axes.svg(chart)}{bodies}<g class="cursor"></g></svg>{note}</figure>'
    )


@dataclass(frozen=True)
class _Axes:
    x_ticks: list[float]
    y_ticks: list[float]
    x_max: float

    @staticmethod
    def of(chart: Chart, shown: Sequence[Series]) -> _Axes:
        xs = np.concatenate([s.x[np.isfinite(s.x)] for s in shown])
        drawn = [v for s in shown for v in (s.y, s.low, s.high) if v is not None]
        ys = _scaled(np.concatenate(drawn), chart)
        ys = ys[np.isfinite(ys)]
        if chart.percent:
            y_ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        elif chart.log:
            y_ticks = _decades(float(ys.min()), float(ys.max()))
        else:
            low, high = float(ys.min()), float(ys.max())
            y_ticks = nice_ticks(min(low, 0.0), max(high, 0.0)) if chart.zero else nice_ticks(low, high)
        x_ticks = nice_ticks(0.0, float(xs.max()), 6)
        # The axis ends with the data: the room up to the next round number would look like a run that stopped early.
        x_max = max(float(xs.max()), 1e-9)
        return _Axes([t for t in x_ticks if 0.0 <= t <= x_max], y_ticks, x_max)

    def px(self, x: Array) -> Array:
        return np.asarray(LEFT + (WIDTH - LEFT - RIGHT) * x / self.x_max)

    def py(self, y: Array) -> Array:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return np.asarray(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / (high - low))

    def svg(self, chart: Chart) -> str:
        out = []
        bottom = HEIGHT - BOTTOM
        for t in self.y_ticks:
            y = float(self.py(np.array(t)))
            label = f"{t:.0%}" if chart.percent else format_number(10.0**t if chart.log else t)
            out.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            out.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 3.5:.1f}" text-anchor="end">{label}</text>')
        for t in self.x_ticks:
            x = float(self.px(np.array(t)))
            out.append(f'<path class="axis" d="M{x:.1f} {bottom}v4"/>')
            out.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{format_number(t)}</text>'
            )
        middle = (LEFT + WIDTH - RIGHT) / 2
        out.append(f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>')
        out.append(
            f'<text class="label" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(chart.x_label)}</text>'
        )
        side = (TOP + bottom) / 2
        out.append(
            f'<text class="label" transform="translate(12 {side}) rotate(-90)" text-anchor="middle">'
            f"{escape(chart.y_label)}</text>"
        )
        return "".join(out)


def _visible(s: Series, chart: Chart) -> npt.NDArray[np.bool_]:
    return np.isfinite(s.x) & np.isfinite(_scaled(s.y, chart))


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    step = max(1, -(-(last - first) // 5))
    return [float(v) for v in range(first, last + step, step)]


def _scaled(y: Array, chart: Chart) -> Array:
    """Values as drawn: on a logarithmic axis their logarithm; NaN where there is none or it is absurdly large."""
    value = np.where(np.abs(y) < LARGEST, y, np.nan)
    if not chart.log:
        return np.where(np.abs(value) < 1.0 / LARGEST, 0.0, value)
    return np.where(value > 0, np.log10(np.where(value > 0, value, 1.0)), np.nan)


def _series(s: Series, axes: _Axes, chart: Chart) -> str:
    y = _scaled(s.y, chart)
    keep = np.arange(len(y)) if s.dots else thin(s.x, y)
    x, y = axes.px(s.x[keep]), axes.py(y[keep])
    parts = []
    if s.low is not None and s.high is not None:
        low, high = axes.py(_scaled(s.low, chart)[keep]), axes.py(_scaled(s.high, chart)[keep])
        parts.append(_bars(x, low, high, s.color) if s.dots else _band(x, low, high, s.color))
    if s.dots:
        ok = np.isfinite(x) & np.isfinite(y)
        parts += [
            f'<circle class="c{s.color}" cx="{a:.1f}" cy="{b:.1f}" r="3.6"/>' for a, b in zip(x[ok], y[ok], strict=True)
        ]
    else:
        parts.append(f'<path class="line{" dashed" if s.dashed else ""} c{s.color}" d="{_path(x, y)}"/>')
    return "".join(parts)


def _path(x: Array, y: Array) -> str:
    out, pen_down = [], False
    for a, b in zip(x, y, strict=True):
        if not (math.isfinite(a) and math.isfinite(b)):
            pen_down = False
            continue
        out.append(f"{'L' if pen_down else 'M'}{a:.1f} {b:.1f}")
        pen_down = True
    # A lone point has no length; a zero-length stroke with round caps still shows.
    return "".join(out) + ("h0" if len(out) == 1 else "")


def _bars(x: Array, low: Array, high: Array, color: int) -> str:
    rows = [(a, b, c) for a, b, c in zip(x, low, high, strict=True) if math.isfinite(a + b + c)]
    return "".join(f'<path class="bar c{color}" d="M{a:.1f} {b:.1f}V{c:.1f}"/>' for a, b, c in rows)


def _band(x: Array, low: Array, high: Array, color: int) -> str:
    ok = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    if ok.sum() < 2:
        return ""
    upper = [f"{a:.1f} {b:.1f}" for a, b in zip(x[ok], high[ok], strict=True)]
    lower = [f"{a:.1f} {b:.1f}" for a, b in zip(x[ok][::-1], low[ok][::-1], strict=True)]
    return f'<path class="band c{color}" d="M{"L".join(upper + lower)}Z"/>'


def _legend(shown: Sequence[Series]) -> str:
    marks = ["dot" if s.dots else "dash thin" if s.dashed else "dash" for s in shown]
    items = "".join(
        f'<li><i class="{mark} c{s.color}"></i>{escape(s.name)}</li>' for mark, s in zip(marks, shown, strict=True)
    )
    return f'<ul class="legend">{items}</ul>'


def _hover(s: Series, axes: _Axes, chart: Chart) -> dict[str, object]:
    y = _scaled(s.y, chart)
    keep = thin(s.x, y)
    keep = keep[np.isfinite(s.x[keep]) & np.isfinite(y[keep])]
    return {
        "name": s.name,
        "color": s.color,
        "px": [round(float(v), 1) for v in axes.px(s.x[keep])],
        "py": [round(float(v), 1) for v in axes.py(y[keep])],
        "x": [format_number(float(v)) for v in s.x[keep]],
        "y": [f"{v:.1%}" if chart.percent else format_number(float(v)) for v in s.y[keep]],
    }
