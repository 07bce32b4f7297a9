"""Two learner processes and one actor process on a point: whichever is killed, nothing is lost or counted twice."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.runtime.config import PaceConfig, TrainConfig
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.learner.checkpoint import latest_checkpoint
from robot_rl.runtime.learner.resets import RESETS
from robot_rl.runtime.pair import pair_configs
from robot_rl.runtime.pair_processes import train_in_processes
from robot_rl.runtime.run_folder import RunFolder
from robot_rl.runtime.stop import StopFlag
from tests.runtime.runs import archived, async_config, make_run, rows

ACTOR, LEARNER = "tests.runtime.pair_point", "tests.runtime.pair_member"
TOTAL = 200


def two_runs(folder: Path, **changes: Any) -> tuple[tuple[TrainConfig, TrainConfig], tuple[RunFolder, RunFolder]]:
    pace = PaceConfig(learning_starts=20, publish_every=3, slack=10)
    values = {"task": "Point", "pair": "Back", "env_steps": TOTAL // 2, "pace": pace, "checkpoint_every": 30, **changes}
    configs = pair_configs(async_config(folder, **values))
    first, second = (make_run(config, demo_steps=0) for config in configs)
    return configs, (first, second)


def go(
    configs: Sequence[TrainConfig],
    runs: Sequence[RunFolder],
    stop: StopFlag | None = None,
    said: list[str] | None = None,
    **changes: Any,
) -> bool:
    names = {"actor_module": ACTOR, "learner_module": LEARNER, "resumed": False, "accept_loss": False, **changes}
    note = print if said is None else said.append
    return train_in_processes(configs, runs, stop or StopFlag(), note, **names)


def steps_of(run: RunFolder) -> int:
    return int(run.info()["counters"].get("env_steps", 0))


def check(runs: Sequence[RunFolder], total: int = TOTAL) -> None:
    """Both logs hold every step once, as their counters and tables say, and the two take turns."""
    assert total <= sum(steps_of(run) for run in runs) <= total + 1
    for run in runs:
        logged = archived(run)
        assert set(logged.values()) == {1} and len(logged) == steps_of(run)
        table = rows(run.path / "episodes.csv")
        assert [int(r["episode"]) for r in table] == list(range(len(table)))
        assert {r.task for r in read_records(run.episodes / "a0")} == {run.config().task}
        assert latest_checkpoint(run.checkpoints)
        assert not spooled(run), "what is acknowledged is kept once"


def spooled(run: RunFolder) -> list[Path]:
    """What the actor still keeps for the learners."""
    return list(run.path.glob("spool/**/*.mcap*"))


def turns(runs: Sequence[RunFolder]) -> list[tuple[int, str]]:
    """Whose episode it was and how it ended, in order of time."""
    episodes: dict[str, tuple[float, int, str]] = {}
    for index, run in enumerate(runs):
        for r in read_records(run.episodes / "a0"):
            began_s = episodes.get(r.episode_id, (r.t_wall_s,))[0]
            episodes[r.episode_id] = began_s, index, r.stop_reason
    return [(index, how) for _, index, how in sorted(episodes.values())]


class When(StopFlag):
    """Does something once, as soon as a condition holds."""

    def __init__(self, condition: Callable[[], bool], action: Callable[[StopFlag], None]) -> None:
        super().__init__()
        self._condition, self._action, self.done = condition, action, False
        self._asked = False

    @property
    def requested(self) -> bool:  # type: ignore[override]
        if not self.done and self._condition():
            self.done = True
            self._action(self)
        return self._asked

    @requested.setter
    def requested(self, value: bool) -> None:
        self._asked = value


def kill_child(*words: str) -> None:
    """Kill the child of this process whose command has these words."""
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if all(word in command for word in words):
                os.kill(int(pid), signal.SIGKILL)


def follows_the_rule(played: Sequence[tuple[int, str]]) -> bool:
    """The other one after a success, the same again after a failure; after an interruption anyone may begin."""
    return all(
        how == "interrupted" or following == (1 - index if how == "success" else index)
        for (index, how), (following, _) in pairwise(played)
    )


def test_both_train_in_turn_through_a_stop_and_a_killed_actor(tmp_path: Path) -> None:
    configs, runs = two_runs(tmp_path)
    assert not go(configs, runs, When(lambda: all(steps_of(run) >= 20 for run in runs), StopFlag.set))
    assert [run.info()["status"] for run in runs] == ["interrupted", "interrupted"]
    for run in runs:
        assert len(archived(run)) == steps_of(run), "the checkpoint at the end has all that was logged"
        assert not spooled(run), "the actor's last steps were taken, too"
    assert follows_the_rule(turns(runs))
    counted = [run.info()[RESETS] for run in runs]
    had = sum(map(steps_of, runs))
    said: list[str] = []
    kill = When(lambda: sum(len(archived(run)) for run in runs) > had + 20, lambda _: kill_child(ACTOR))
    assert go(configs[::-1], runs[::-1], kill, said, resumed=True), "either folder may be given"
    assert said == ["the actor a0 died with exit code -9 and was started again"]
    check(runs)
    assert [run.info()["status"] for run in runs] == ["finished", "finished"]
    assert sum(run.info()[RESETS] for run in runs) > sum(counted), "counted on"


@pytest.mark.slow
def test_a_killed_learner_goes_on_where_it_was_and_loses_nothing(tmp_path: Path) -> None:
    configs, runs = two_runs(tmp_path)
    before: list[Counter[Any]] = []

    def kill(_: StopFlag) -> None:
        before.extend(archived(run) for run in runs)
        for run in runs:
            kill_child(LEARNER, str(run.path))

    said: list[str] = []
    assert go(configs, runs, When(lambda: all(steps_of(run) >= 20 for run in runs), kill), said)
    names = ("Back", "Point")
    assert sorted(said) == [f"the learner of {name} died with exit code -9 and was started again" for name in names]
    check(runs)
    assert follows_the_rule(turns(runs)), "the actor saw nothing of it"
    for had, run in zip(before, runs, strict=True):
        assert set(had) <= set(archived(run)), "what was on the learner's disk still is"


@pytest.mark.slow
def test_an_actor_that_cannot_go_on_says_why_and_both_learners_save(tmp_path: Path) -> None:
    configs, runs = two_runs(tmp_path)
    with pytest.raises(DeviceError, match="the actor a0 died 4 times in 10 minutes, .*no_such_module"):
        go(configs, runs, actor_module="tests.runtime.no_such_module")
    assert all(latest_checkpoint(run.checkpoints) for run in runs)


def test_a_learner_that_cannot_go_on_says_why(tmp_path: Path) -> None:
    configs, runs = two_runs(tmp_path)
    runs[1].run_file.write_text("{}")
    with pytest.raises(DeviceError, match=r"^/.*run\.json does not describe a run"):
        go(configs, runs)
