"""Lists read well, whatever is in them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from robot_rl.console.library import EpisodeEntry, RunSummary
from robot_rl.console.library_text import episode_label, runs_table

RUN = RunSummary(
    Path("runs/PickCube/2026-11-23_04-39-01_seed0"),
    run_id="259921d6",
    task="PickCube",
    start="2026-11-23T04:39:01+00:00",
    status="running",
    env_steps=8027,
    planned_steps=10_000,
    episodes=316,
    success=1.0,
    evaluated=0.89,
    corrected_min=1.8,
)


def test_a_run_is_a_row() -> None:
    lines = runs_table([RUN]).splitlines()
    assert lines[-1] == "| PickCube 11-23 04:39 (running) | 8.03k of 10k | 89 % | 1.8 min |"
    assert runs_table([]) == "No runs yet."
    assert runs_table([RUN] * 5, limit=2).endswith("and 3 older ones")


def test_a_damaged_run_says_what_is_wrong() -> None:
    broken = RunSummary(Path("runs/x_y"), problem="run.json is missing or damaged")
    assert runs_table([broken]).splitlines()[-1] == r"| x\_y | | run.json is missing or damaged | |"


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_name_breaks_the_table(name: str, task: str, status: str) -> None:
    odd = RunSummary(
        Path("runs") / (name.replace("/", "").replace("\0", "") or "x"), run_id="a", task=task, status=status
    )
    for run in (odd, RunSummary(odd.path, problem=task)):
        (row,) = runs_table([run]).split("\n")[2:]
        assert row.count("|") - row.count(r"\|") == 5


def test_an_episode_is_a_line() -> None:
    entry = EpisodeEntry(Path("000012.mcap"), "training", "a0", 12, 34, True, "success", 0.2)
    assert episode_label(entry) == "training a0 12: success, 34 steps, 20 % helped"
    assert episode_label(EpisodeEntry(Path("d/000003.mcap"), "demos", number=3)) == "demos 3"
    assert (
        episode_label(EpisodeEntry(Path("d/odd.mcap"), length=5, stop_reason="time_out"))
        == "odd.mcap: time_out, 5 steps"
    )
    assert episode_label(EpisodeEntry(Path("000001.mcap"), number=1, problem="no episode")) == "1: unreadable"
