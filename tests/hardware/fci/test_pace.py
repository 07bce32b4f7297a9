from __future__ import annotations

from robot_rl.hardware.fci.pace import Pace


def test_a_report_counts_and_begins_anew() -> None:
    pace = Pace(0.0)
    for _ in range(50):
        pace.wait()
        pace.done()
    report = pace.report()
    assert report.ticks == 50
    assert 0.0 <= report.work_ms[0] <= report.work_ms[1] <= report.work_ms[2]
    assert "50 ticks" in report.line()
    assert pace.report().ticks == 0


def test_waiting_for_others_is_not_work() -> None:
    pace = Pace(0.0)
    pace.wait()
    pace.done(waited_s=100.0)
    assert pace.report().work_ms[2] < 0.0
