"""The judge finds what is lost, twice or not allowed; a judge who cannot convict proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.runtime.episode_files import EpisodeSink
from tests.faults.evidence import Audit, audit, moves_between
from tests.runtime.fakes import ACTIONS, SPEC, stream

ACTOR = """\
welcome 1 1 none 0
ack 1.1 1 none 10
moving 2 2
moved 2.1 2
wrote 2.2 2 run-a0-000000 0
moving 3 3
moved 3.1 3
wrote 3.2 3 run-a0-000000 1
ack 3.3 3 0:1 10
"""
LEARNER = """\
wrote 2.3 2 run-a0-000000 0
replayed 2.3 2 run-a0-000000 0
wrote 3.25 3 run-a0-000000 1
replayed 3.25 3 run-a0-000000 1
"""


def judge(folder: Path, actor: str, learner: str, archived: int = 2, spooled: int = 0, successor: str = "") -> Audit:
    (folder / "witness").mkdir()
    for pid, text in ((1, actor), (2, learner), (3, successor)):
        if text:
            (folder / "witness" / f"{pid}.log").write_text(text)
    for name, steps in (("archive", archived), ("spool", spooled)):
        sink = EpisodeSink(folder / name, EpisodeMeta("Point", SPEC, ACTIONS))
        (folder / name).mkdir()
        for r in stream([5])[:steps]:
            sink.append(r)
        sink.close()
    return audit(folder / "witness", folder / "archive", folder / "spool")


def test_nothing_lost(tmp_path: Path) -> None:
    result = judge(tmp_path, ACTOR, LEARNER)
    assert result == Audit(executed=2, written=2, archived=2) and not result.problems
    assert moves_between(tmp_path / "witness", 2.5, 4.0) == 1


@pytest.mark.parametrize(
    ("actor", "learner", "archived", "spooled", "problem"),
    [
        (ACTOR, LEARNER, 1, 2, "acked lost: 1"),
        (ACTOR.replace("0:1", "0:0"), LEARNER, 1, 0, "written lost: 1"),
        (ACTOR, LEARNER + LEARNER.splitlines()[1] + "\n", 2, 0, "duplicates: 1"),
        (ACTOR, LEARNER.replace("replayed 3.25 3 run-a0-000000 1\n", ""), 2, 0, "not replayed: 1"),
        (ACTOR.replace("none 10", "none 1"), LEARNER, 2, 0, "beyond: 1"),
        (ACTOR + "moving 4 4\nmoved 4.1 4\nmoving 5 5\n", LEARNER, 2, 0, "2 steps unlogged"),
    ],
)
def test_each_broken_promise(
    tmp_path: Path, actor: str, learner: str, archived: int, spooled: int, problem: str
) -> None:
    assert judge(tmp_path, actor, learner, archived, spooled).problems == [problem]


def test_the_step_that_was_running_may_be_lost_and_one_that_a_successor_logs_is_not(tmp_path: Path) -> None:
    dying = ACTOR + "moving 4 4\nmoved 4.1 4\nmoving 5 5\n"
    successor = "welcome 6 6 0:1 2\nwrote 6.1 6 run-a0-000000 2\nack 6.2 6 0:2 10\n"
    more = "wrote 6.2 6 run-a0-000000 2\nreplayed 6.2 6 run-a0-000000 2\n"
    result = judge(tmp_path, dying, LEARNER + more, 3, successor=successor)
    assert result.unlogged == 1 and not result.problems
