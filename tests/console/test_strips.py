"""Curves: what is kept of them, and when a chart is sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import viser
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.console.strips import HEIGHT_PX, MAX_POINTS, Series, Strips, decimate
from robot_rl.core.errors import ConfigError

SERIES = (
    Series("Q", "", "#1971c2", "Value"),
    Series("success", "", "#2f9e44", "Reward"),
    Series("process", "", "#e03131", "Reward"),
    Series("operator", "", "#f08c00", "Operator", (0.0, 1.0)),
    Series("lag", "ms", "#495057", "Lag"),
)


@pytest.fixture
def server() -> Iterator[viser.ViserServer]:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


def charts(server: viser.ViserServer) -> list[viser.GuiUplotHandle]:
    children = server.gui._container_handle_from_uuid["root"]._children.values()
    return [child for child in children if isinstance(child, viser.GuiUplotHandle)]


curves = st.integers(1, 400).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(0.0, 3.0), min_size=n, max_size=n),
        st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=n, max_size=n),
    )
)


@given(curves, st.floats(0.1, 20.0))
def test_extremes_of_every_stretch_are_kept(drawn: tuple[list[float], list[float]], bucket_s: float) -> None:
    t_s = np.cumsum(drawn[0])
    values = np.stack([np.array(drawn[1]), -np.arange(len(t_s), dtype=float)], axis=1)
    few_s, few = decimate(t_s, values, bucket_s)
    assert len(few_s) == len(few) <= len(t_s) and (np.diff(few_s) >= 0).all()
    bucket, few_bucket = np.floor(t_s / bucket_s), np.floor(few_s / bucket_s)
    assert set(few_bucket) == set(bucket)
    dense = len(few) < len(t_s)
    for b in set(bucket):
        assert not dense or (few_bucket == b).sum() <= 2
        for column in range(2):
            full, kept = values[bucket == b, column], few[few_bucket == b, column]
            if np.isnan(full).all():
                assert np.isnan(kept).all()
            else:
                assert np.nanmin(kept) == np.nanmin(full) and np.nanmax(kept) == np.nanmax(full)


def test_extremes_come_in_their_order() -> None:
    t_s = np.array([0.0, 0.1, 0.2, 0.3])
    falling, rising = np.array([0.0, 9.0, -9.0, 0.0]), np.array([0.0, -9.0, 9.0, 0.0])
    _, kept = decimate(t_s, np.stack([falling, rising], axis=1), 1.0)
    np.testing.assert_array_equal(kept, [[9.0, -9.0], [-9.0, 9.0]])


def test_a_curve_that_scrolls_by_keeps_its_shape() -> None:
    """What is shown of an old stretch does not depend on what came since."""
    t_s = np.arange(0.0, 100.0, 0.03)
    values = np.random.default_rng(0).normal(size=(len(t_s), 1))
    early = decimate(t_s[:2000], values[:2000], 0.3)
    late = decimate(t_s, values, 0.3)
    n = len(early[0]) - 2
    np.testing.assert_array_equal(early[0][:n], late[0][:n])
    np.testing.assert_array_equal(early[1][:n], late[1][:n])


def test_one_chart_for_each_group(server: viser.ViserServer) -> None:
    Strips(server.gui, SERIES)
    shown = charts(server)
    assert [c.title for c in shown] == ["Value", "Reward", "Operator", "Lag (ms)"]
    assert [len(c.series) - 1 for c in shown] == [1, 2, 1, 1]
    assert all(c.height == HEIGHT_PX for c in shown)
    assert shown[2].scales is not None and shown[2].scales["y"]["range"] == (0.0, 1.0)
    with pytest.raises(ConfigError, match="names of their own"):
        Strips(server.gui, [*SERIES, SERIES[0]])


def test_the_last_minute_is_shown_in_few_points(server: viser.ViserServer) -> None:
    strips = Strips(server.gui, SERIES, window_s=60.0)
    for k in range(5000):
        strips.add(1000.0 + 0.02 * k, {"Q": np.sin(k / 300.0) + 50.0 * (k == 4900), "success": 0.0, "process": 1.0})
    strips.refresh()
    t_s, q = charts(server)[0].data
    assert t_s[-1] == 0.0 and t_s[0] >= -60.0 and t_s[0] < -59.0
    assert len(t_s) <= MAX_POINTS and (np.diff(t_s) >= 0).all()
    assert q.max() > 49.0
    assert len(charts(server)[1].data) == 3
    assert np.isnan(charts(server)[3].data[1]).all()


def test_a_chart_is_sent_only_when_it_changed(server: viser.ViserServer) -> None:
    strips = Strips(server.gui, SERIES)
    value, reward, _, lag = charts(server)
    strips.add(1.0, {"Q": 0.5, "lag": 20.0, "nobody's": 1.0})
    before = value.data, reward.data, lag.data
    strips.refresh()
    assert value.data is not before[0] and lag.data is not before[2]
    assert reward.data is before[1]
    sent = value.data
    strips.refresh()
    assert value.data is sent


def test_what_is_left_out_is_unknown(server: viser.ViserServer) -> None:
    strips = Strips(server.gui, SERIES)
    strips.add(1.0, {"success": 1.0})
    strips.add(2.0, {"success": 0.0, "process": 0.5})
    strips.refresh()
    _, success, process = charts(server)[1].data
    np.testing.assert_array_equal(success, [1.0, 0.0])
    np.testing.assert_array_equal(process, [np.nan, 0.5])


def test_time_that_jumps_back_begins_anew(server: viser.ViserServer) -> None:
    strips = Strips(server.gui, SERIES)
    for t_s in (100.0, 101.0, 5.0):
        strips.add(t_s, {"Q": t_s})
    strips.refresh()
    np.testing.assert_array_equal(charts(server)[0].data[1], [5.0])
    strips.clear()
    strips.refresh()
    assert np.isnan(charts(server)[0].data[1]).all()


def test_charts_go(server: viser.ViserServer) -> None:
    strips = Strips(server.gui, SERIES)
    strips.close()
    strips.close()
    assert charts(server) == []
    strips.add(1.0, {"Q": 1.0})
    strips.refresh()
