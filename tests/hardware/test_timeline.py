"""Readings and commands under way: never from the future, never out of order, lost as often as asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.hardware.imperfect.timeline import Channel, Commands, Readings, Timeline
from tests.hardware.imperfect_cells import ByHand


@settings(max_examples=60, deadline=None)
@given(
    delay_s=st.floats(0.0, 0.3),
    jitter_s=st.floats(0.0, 0.3),
    drop=st.floats(0.0, 1.0),
    hz=st.floats(5.0, 200.0),
    seed=st.integers(0, 2**32),
    pauses_s=st.lists(st.floats(0.001, 0.5), min_size=1, max_size=25),
)
def test_readings_never_come_from_the_future_nor_run_backwards(
    delay_s: float, jitter_s: float, drop: float, hz: float, seed: int, pauses_s: list[float]
) -> None:
    timeline = Timeline(ByHand())
    readings = Readings(timeline, Channel(delay_s, jitter_s, drop), hz, timeline.now_s)
    readings.restart(np.random.default_rng(seed))
    seen = [readings.latest()]
    for pause_s in pauses_s:
        timeline.sleep_until(timeline.now_s() + pause_s)
        taken_s = readings.latest()
        age_s = timeline.now_s() - taken_s
        assert taken_s >= seen[-1] and age_s >= 0.0
        assert taken_s == seen[0] or age_s >= delay_s - 1e-9
        if drop == 0.0:
            assert age_s <= delay_s + jitter_s + 1.0 / hz + 1e-9 or taken_s == seen[0]
        seen.append(taken_s)
    assert timeline.now_s() == pytest.approx(sum(pauses_s))


@settings(max_examples=60, deadline=None)
@given(
    delay_s=st.floats(0.0, 0.3),
    jitter_s=st.floats(0.0, 0.3),
    drop=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**32),
    gaps_s=st.lists(st.floats(0.0, 0.2), max_size=25),
)
def test_commands_arrive_in_order_and_in_time(
    delay_s: float, jitter_s: float, drop: float, seed: int, gaps_s: list[float]
) -> None:
    timeline, arrived, sent_s = Timeline(ByHand()), [], []
    commands = Commands[int](
        timeline, Channel(delay_s, jitter_s, drop), lambda n: arrived.append((n, timeline.now_s()))
    )
    commands.restart(np.random.default_rng(seed))
    for n, gap_s in enumerate(gaps_s):
        timeline.sleep_until(timeline.now_s() + gap_s)
        sent_s.append(timeline.now_s())
        commands.send(n)
    timeline.sleep_until(timeline.now_s() + 1.0)
    numbers = [n for n, _ in arrived]
    assert numbers == sorted(set(numbers))
    assert all(delay_s - 1e-9 <= t_s - sent_s[n] <= delay_s + jitter_s + 1e-9 for n, t_s in arrived)
    if drop == 1.0 or not gaps_s:
        assert arrived == []
    elif drop == 0.0:
        assert numbers[-1] == len(gaps_s) - 1, "nothing overtakes the last one"


def test_as_many_are_lost_as_was_asked_for() -> None:
    channel, rng = Channel(0.0, 0.0, 0.1), np.random.default_rng(0)
    lost = sum(channel.travel_s(rng) is None for _ in range(5000))
    assert 420 < lost < 580


def test_a_long_pause_on_a_wall_clock_does_not_have_to_be_made_up_for() -> None:
    clock = ByHand()
    timeline, taken = Timeline(clock), []

    def take() -> float:
        taken.append(clock.now_s())
        return taken[-1]

    readings = Readings(timeline, Channel(0.0, 0.0), 100.0, take)
    readings.latest()
    clock.t_s = 3600.0  # the program did something else, without sleeping on this clock
    assert readings.latest() == 3600.0
    assert len(taken) < 5
