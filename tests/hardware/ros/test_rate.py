"""How steadily readings come."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from robot_rl.hardware.ros.nodes.rate import STALE_S, RateMeter


@given(st.lists(st.floats(0.001, 0.2), min_size=1, max_size=30))
def test_rate_and_worst_gap(gaps_s: list[float]) -> None:
    now = [100.0]
    meter = RateMeter(0.01, lambda: now[0])
    meter.tick(now[0])
    for gap_s in gaps_s:
        now[0] += gap_s
        meter.tick(now[0])
        meter.tick(now[0])  # the same reading again is none
    report = meter.report()
    assert math.isclose(report.hz, (len(gaps_s) + 1) / (now[0] - 100.0), rel_tol=1e-9)
    assert math.isclose(report.worst_gap_s, max(gaps_s), abs_tol=1e-9)
    assert not report.stale
    assert set(report.facts()) == {"state_hz", "worst_gap_ms"}


def test_a_stream_that_never_began_or_that_ended_is_stale() -> None:
    now = [100.0]
    meter = RateMeter(0.01, lambda: now[0])
    assert meter.report().stale
    meter.tick(now[0])
    now[0] += STALE_S + 0.1
    report = meter.report()
    assert report.stale
    assert math.isclose(report.age_s, STALE_S + 0.1)
    now[0] += 1.0
    again = meter.report()
    assert (again.hz, again.worst_gap_s) == (0.0, again.age_s)
    meter.start()
    assert math.isinf(meter.report().age_s)
