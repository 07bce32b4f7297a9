"""Lag is the time from an offer to the acknowledgement that covers it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.runtime.transport.lag import Lag


@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.integers(0, 3)), min_size=1, max_size=50))
def test_it_is_that_of_the_newest_record_covered(turns: list[tuple[float, int]]) -> None:
    now_s, covered, known = 0.0, 0, 0.0
    lag, offered = Lag(lambda: now_s), {}
    for place, (dt_s, newly) in enumerate(turns, 1):
        now_s += dt_s
        offered[place] = now_s
        lag.offered((0, place))
        now_s += 0.5
        before, covered = covered, min(place, covered + newly)
        known = now_s - offered[covered] if covered > before else known
        assert lag.acknowledged((0, covered) if covered else None) == pytest.approx(known)
