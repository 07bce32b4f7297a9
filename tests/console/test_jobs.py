"""Programs that the console starts can be watched and stopped, also by a console that came later."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from robot_rl.console.jobs import Jobs


def until(wanted: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60.0
    while not wanted():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.05)


def test_a_program_is_found_again_and_its_words_are_kept(tmp_path: Path) -> None:
    job = Jobs(tmp_path).start(["tasks"])
    assert Jobs(tmp_path).known() == [job]
    until(lambda: not job.running)
    assert "PickCube" in job.log.read_text() and job.tail(1)
    assert Jobs(tmp_path).running() == []


def test_a_running_program_is_stopped_as_by_ctrl_c(tmp_path: Path) -> None:
    out = tmp_path / "demos"
    job = Jobs(tmp_path).start(["demos", "record", "Reach", "--n", "5000", "--out", str(out)])
    until(lambda: any(out.glob("*.mcap")))
    (later,) = Jobs(tmp_path).running()
    later.stop()
    until(lambda: not job.running)
    assert "interrupted" in job.tail(3)


def test_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = jobs.start(["tasks"])
    (job.log.parent / "x.json").write_text("{")
    until(lambda: not job.running)
    assert [j.name for j in jobs.known()] == [job.name]
    job.stop()


def test_two_programs_of_one_second_have_logs_of_their_own(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    first, second = jobs.start(["tasks"]), jobs.start(["tasks"])
    assert first.log != second.log
    until(lambda: not (first.running or second.running))
