"""Charts draw what they are given: in place, without inventing or losing extremes."""

import json
import math
import re
import xml.etree.ElementTree as ET
from html import unescape

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.evaluation.charts import BOTTOM, HEIGHT, TOP, Chart, Series, draw, format_number, nice_ticks, thin

finite = st.floats(-1e9, 1e9, allow_nan=False)


@given(finite, finite)
def test_ticks_cover_the_range_in_equal_round_steps(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-300) + 1e-6 * (ticks[-1] - ticks[0])
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    steps = np.diff(ticks)
    assert steps == pytest.approx(np.full(len(steps), steps[0]), rel=1e-6)
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5, 10)) < 1e-6


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=2000))
def test_thinning_keeps_ends_and_extremes(values: list[float]) -> None:
    y = np.array(values)
    keep = thin(np.arange(len(y), dtype=float), y, limit=100)
    assert keep[0] == 0 and keep[-1] == len(y) - 1 and (np.diff(keep) > 0).all()
    assert len(keep) <= max(102, min(len(y), 100))
    if np.isfinite(y).any():
        assert np.nanmax(y[keep]) == np.nanmax(y) and np.nanmin(y[keep]) == np.nanmin(y)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.25, "0.25"), (12345.0, "12.3k"), (2e6, "2M"), (3e-5, "3e-05"), (math.nan, "–")],  # noqa: RUF001
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert format_number(value) == text


def line_points(html: str) -> list[list[tuple[float, float]]]:
    path = re.search(r'class="line c1" d="([^"]+)"', html)
    assert path
    strokes = [s for s in path.group(1).split("M") if s]
    return [[(float(a), float(b)) for a, b in re.findall(r"([\d.]+) ([\d.]+)", s)] for s in strokes]


def test_points_lie_where_the_axes_say() -> None:
    x, y = np.array([0.0, 50.0, 100.0]), np.array([0.0, 0.5, 1.0])
    (points,) = line_points(draw(Chart("t", "x", "y", (Series("s", x, y),), percent=True)))
    bottom = HEIGHT - BOTTOM
    assert [p[1] for p in points] == pytest.approx([bottom, (bottom + TOP) / 2, TOP], abs=0.1)
    assert points[1][0] == pytest.approx((points[0][0] + points[2][0]) / 2, abs=0.1)


def test_gaps_stay_gaps() -> None:
    x, y = np.arange(5.0), np.array([1.0, 2.0, math.nan, 3.0, 4.0])
    assert [len(s) for s in line_points(draw(Chart("t", "x", "y", (Series("s", x, y),))))] == [2, 2]


def test_logarithmic_axis_leaves_out_what_has_no_logarithm() -> None:
    x, y = np.arange(4.0), np.array([0.1, 0.0, -1.0, 10.0])
    html = draw(Chart("t", "x", "y", (Series("s", x, y),), log=True))
    assert [len(s) for s in line_points(html)] == [1, 1]
    assert ">0.1<" in html and ">10<" in html


def test_nothing_to_draw_is_said() -> None:
    empty = Series("s", np.zeros(0), np.zeros(0))
    unknown = Series("u", np.arange(3.0), np.full(3, math.nan))
    html = draw(Chart("t", "x", "y", (empty, unknown)))
    assert "No data was recorded" in html and "<svg" not in html


@given(st.text(max_size=30), st.lists(st.floats(allow_infinity=True, allow_nan=True), min_size=1, max_size=30))
def test_any_text_and_any_numbers_give_well_formed_markup(text: str, values: list[float]) -> None:
    text = "".join(c for c in text if c.isprintable())
    x, y = np.arange(float(len(values))), np.array(values)
    dots = Series(text, x, y, dots=True, low=y, high=y, color=2)
    html = draw(Chart(text, text, text, (Series(text, x, y), dots), note=text))
    root = ET.fromstring(html)
    svg = root.find("svg")
    if svg is not None:
        for series in json.loads(unescape(svg.attrib["data-series"])):
            assert len(series["px"]) == len(series["py"]) == len(series["x"]) == len(series["y"])
            assert series["name"] == text
