"""The table about the advisor counts what was said and what came of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.specs import ActionSpec
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.runtime.bench.advisor import HEAD, main, read_run, row, tally
from tests.runtime.test_advisor import HZ, SPEC, STILL, step


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A failure that stalls, a success that moves, and a take-over 0.5 s after a stall, held for 2 s."""
    stall = [step(0, i, STILL, end="time_out" if i == 39 else "") for i in range(40)]
    away = [step(1, i, np.array([0.01 * i, 0, 0]), end="success" if i == 29 else "") for i in range(30)]
    places = [STILL if i < 25 else np.array([0.01 * i, 0, 0]) for i in range(45)]
    helped = [step(2, i, at, helped=i >= 25, end="success" if i == 44 else "") for i, at in enumerate(places)]
    meta = EpisodeMeta("T", SPEC, ActionSpec(0.02, 0.1), versions={})
    for number, records in enumerate((stall, away, helped)):
        with EpisodeWriter(tmp_path / "episodes" / "a0" / f"{number:06d}.mcap", meta) as writer:
            for record in records:
                writer.append(record)
    return tmp_path


def test_what_was_said_and_what_came_of_it(run: Path) -> None:
    episodes = sorted(read_run(run), key=lambda e: e.records[0].episode_id)
    seen = tally(episodes, HZ)
    assert seen.spoken == {False: [True], True: [False]}
    assert seen.first_share == [pytest.approx(19 / 40)]
    assert seen.leads_s == [pytest.approx(0.6)]
    assert seen.holds == [(20, 5)]
    assert row("x", seen).count("|") == HEAD.splitlines()[0].count("|")


def test_it_prints_a_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run)]) == 0
    assert "1 of 1" in capsys.readouterr().out
    assert main([str(run / "absent")]) == 2
