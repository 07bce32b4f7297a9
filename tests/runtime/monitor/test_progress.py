"""The progress line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from robot_rl.core.lateness import LatenessHistogram
from robot_rl.runtime.monitor.progress import Progress, RateMeter, Status

LATE = LatenessHistogram((99, 0, 0, 0, 0, 0, 0, 1), 1, 0.2)
STATUS = Status(1500, 20000, 0.65, 0.12, 30.0, 25.0, 3.98)


def test_the_line_says_everything() -> None:
    assert STATUS.text() == (
        "step 1,500/20,000 · success (last 20) 65% · interventions 12% · 25 steps/s · 30 updates/s · UTD 3.98 · "
        "12:20 left"
    )
    assert "success (last 20) - " in Status(0, 10, None, 0, 0, 0, 0).text()
    assert "? left" in Status(0, 10, None, 0, 0, 0, 0).text()


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"utd": 1.95, "utd_target": 2.0}, "UTD 1.95 of 2"),
        ({"utd": 1.99, "utd_target": 2.0}, "UTD 1.99 ·"),
        ({"utd": 3.1, "utd_target": 2.0}, "UTD 3.10 of 2"),
        ({"actors_wait": 0.3}, "acting waits 30% · 12:20 left"),
        ({"learner_waits": 1.04}, "learning waits 100% · 12:20 left"),
        ({"lateness": LATE}, "· late 0.5 ms, p99 1.0 ms, 1 missed · 12:20 left"),
    ],
)
def test_the_pace_is_shown_when_it_is_off(changes: dict[str, float], shown: str) -> None:
    assert shown in replace(STATUS, **changes).text()


def test_small_waits_are_not_shown() -> None:
    assert replace(STATUS, utd_target=4.0, actors_wait=0.04, learner_waits=0.4).text() == STATUS.text()


def test_work_on_stored_episodes_is_counted_in_updates() -> None:
    warming = replace(STATUS, env_steps=0, stored=(1200, 5000))
    assert warming.text() == "update 1,200/5,000 on stored episodes · 30 updates/s · 2:06 left"
    assert warming.share == 0.24
    assert (
        "update 0/5,000 on stored episodes · 0 updates/s · ? left"
        in replace(warming, stored=(0, 5000), updates_per_s=0.0).text()
    )
    assert STATUS.share == 0.075
    assert replace(STATUS, env_steps=0, total_steps=0).share == 0.0


def test_plain_lines_are_rare_and_can_be_forced(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("Reach", live=False)
    for _ in range(5):
        progress.show(STATUS)
    progress.show(STATUS, force=True)
    progress.note("a note")
    progress.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[0].startswith("Reach: step 1,500") and lines[2] == "a note"


def test_a_live_line_ends_without_a_trace_and_notes_stay(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("Reach", live=True)
    progress.show(STATUS)
    progress.note("a note")
    progress.close()
    progress.close()
    assert "a note" in capsys.readouterr().out


def test_rates_are_counts_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("robot_rl.runtime.monitor.progress.time.monotonic", lambda: now[0])
    meter = RateMeter(window_s=10.0)
    assert meter.rate(5) == 0.0
    for t in range(1, 40):
        now[0] = float(t)
        rate = meter.rate(5 + (10 * t if t < 20 else 200 + 2 * (t - 20)))
    assert rate == pytest.approx(2.0)
