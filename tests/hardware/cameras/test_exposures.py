from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.hardware.cameras.exposures import TICK_S, DeviceTime, Numbering, RateLimit, capture_time

SEEDS = st.integers(0, 999)


@given(SEEDS, st.floats(-1e6, 1e6), st.floats(0.0, 0.05), st.floats(0.0, 0.2))
def test_device_time_is_late_by_the_shortest_transport(
    seed: int, offset_s: float, least_s: float, more_s: float
) -> None:
    rng = np.random.default_rng(seed)
    clock, taken_s = DeviceTime(), np.arange(60) / 30
    travel_s = least_s + more_s * rng.random(60)
    shortest_s = np.inf
    for t_s, way_s in zip(taken_s, travel_s, strict=True):
        out_s = clock.to_system(t_s + offset_s, t_s + way_s)
        shortest_s = min(shortest_s, way_s)
        assert out_s <= t_s + way_s + 1e-9
        assert out_s - t_s == pytest.approx(shortest_s, abs=1e-8)


def test_device_time_follows_a_clock_that_drifts() -> None:
    clock, errors = DeviceTime(window_s=10.0), []
    for n in range(3000):
        taken_s = n / 30
        errors.append(clock.to_system(taken_s * (1 - 50e-6), taken_s + 0.004) - taken_s)
    # Without forgetting, 100 s at 50 ppm would make 5 ms on top of the transport's 4.
    assert max(errors) <= 0.0041
    assert min(errors) >= 0.0034


def test_device_time_begins_anew_when_the_device_does() -> None:
    clock = DeviceTime()
    assert clock.to_system(5000.0, 100.0) == 100.0
    assert clock.to_system(0.5, 103.0) == 103.0
    assert clock.to_system(1.5, 104.2) == pytest.approx(104.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-10, 10), st.floats(0, 0.1), st.booleans()), max_size=60))
def test_numbers_and_times_only_go_up(shots: list[tuple[int, float, float, bool]]) -> None:
    numbering, now_s = Numbering(), 0.0
    last_number, last = None, (-1, -np.inf)
    for number, age_s, later_s, again in shots:
        now_s += later_s + 2 * TICK_S
        if again:
            numbering.restart()
            last_number = None
        place = numbering.place(number, now_s - age_s, now_s)
        if number == last_number:
            assert place is None
            continue
        assert place is not None
        assert place[0] > last[0]
        assert last[1] < place[1] <= now_s
        last_number, last = number, place


def test_a_gap_stays_a_gap() -> None:
    numbering = Numbering()
    places = [numbering.place(n, float(n), 100.0) for n in (7, 8, 11, 2, 3)]
    assert [p[0] for p in places if p] == [0, 1, 4, 5, 6]


@given(st.floats(0, 1e9), st.floats(allow_nan=True))
def test_a_capture_time_is_plausible(arrival_s: float, claimed_s: float) -> None:
    t_s = capture_time(claimed_s, arrival_s)
    assert t_s == arrival_s or (t_s == claimed_s and arrival_s - 10.0 <= t_s <= arrival_s)


def test_a_plausible_capture_time_is_believed() -> None:
    assert capture_time(99.9, 100.0) == 99.9
    assert capture_time(0.4, 100.0) == 100.0
    assert capture_time(100.1, 100.0) == 100.0
    assert capture_time(None, 100.0) == 100.0


@given(st.floats(1.0, 60.0), st.floats(5.0, 60.0), SEEDS)
def test_a_rate_limit_keeps_its_rate_and_is_even(limit_hz: float, stream_hz: float, seed: int) -> None:
    rng, limit = np.random.default_rng(seed), RateLimit(limit_hz)
    t_s = np.arange(400) / stream_hz + 0.2 / stream_hz * rng.random(400)
    passed = [t for t in t_s if limit.passes(t)]
    expected = min(limit_hz, stream_hz) * (t_s[-1] - t_s[0])
    assert len(passed) == pytest.approx(expected, rel=0.02, abs=2.0)
    assert np.diff(passed, prepend=t_s[0]).max() <= 1.5 / limit_hz + 1.3 / stream_hz


def test_a_rate_limit_forgets_a_pause() -> None:
    limit = RateLimit(10.0)
    assert [limit.passes(t) for t in (0.0, 0.02, 0.1, 5.0, 5.02, 5.04, 5.1)] == [
        True,
        False,
        True,
        True,
        False,
        False,
        True,
    ]
