"""A person at a terminal takes over from a running actor: real processes, a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from robot_rl.cli.correct import Session, StatusLine, describe
from robot_rl.core.marks import END, PAUSE
from robot_rl.core.transition import Source
from robot_rl.core.types import TeleopState
from robot_rl.runtime.attend.messages import ActorStatus
from tests.runtime.transport.stub_learner import StubLearner, policy_arrays

ROOT = Path(__file__).parents[2]
SPAWN = [sys.executable, "-m"]


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, *argv: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(argv, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, env=os.environ)
        os.close(slave)
        self.text = ""

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def look(self) -> None:
        while select.select([self.master], [], [], 0.0)[0]:
            try:
                self.text += os.read(self.master, 4096).decode(errors="replace")
            except OSError:
                return  # it has ended

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            os.close(self.master)


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubLearner]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with closing(StubLearner()) as one:
        one.publisher.publish(1, policy_arrays())
        yield one


@pytest.fixture
def actor(learner: StubLearner, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [*SPAWN, "tests.runtime.point_actor", "--spool", str(tmp_path / "spool")]
    ends = ["--learner", learner.server.endpoint, "--parameters", learner.publisher.endpoint]
    process = subprocess.Popen([*command, *ends], cwd=ROOT)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def terminal(learner: StubLearner, actor: subprocess.Popen[bytes]) -> Iterator[Terminal]:
    learner.pump_until(lambda: len(learner.archive) > 5)
    with closing(Terminal(*SPAWN, "robot_rl.cli", "correct", "run", "--device", "keyboard", "--name", "kim")) as one:
        yield one


def attend(learner: StubLearner, terminal: Terminal, wanted: Callable[[], bool], keys: bytes = b"") -> None:
    """Type some keys again and again until something has happened."""
    end_s = time.monotonic() + 60.0
    while not wanted():
        assert time.monotonic() < end_s and terminal.process.poll() is None, terminal.text
        terminal.type(keys)
        learner.pump()
        terminal.look()
        time.sleep(0.02)


def test_a_person_takes_over_pauses_and_leaves(learner: StubLearner, terminal: Terminal) -> None:
    def helped() -> list[float]:
        return [float(r.action_executed[0]) for r in learner.archive if r.source is Source.OPERATOR]

    attend(learner, terminal, lambda: len(helped()) > 20, b"w")
    assert max(helped()) > 0.0 and min(helped()) >= 0.0, "away from the person is the tool's x"
    assert all(r.intervention for r in learner.archive if r.source is Source.OPERATOR)
    terminal.type(b"\t")
    attend(learner, terminal, lambda: "paused" in terminal.text)
    count = len(learner.archive)
    for _ in range(20):
        learner.pump()
        time.sleep(0.02)
    assert len(learner.archive) <= count + 3, "what was under way still arrives, and no more"
    terminal.type(b"\t")
    attend(learner, terminal, lambda: len(learner.archive) > count + 20)
    terminal.type(b"\x04")
    attend(learner, terminal, lambda: "in charge of the arm for" in terminal.text)
    assert terminal.process.wait(20) == 0
    own = len(helped())
    learner.pump_until(lambda: learner.archive[-1].source is Source.POLICY)
    assert len(helped()) <= own + 3, "the policy has the arm again"


def test_an_operator_who_dies_in_a_take_over_stops_the_arm(learner: StubLearner, terminal: Terminal) -> None:
    def helped() -> int:
        return sum(r.source is Source.OPERATOR for r in learner.archive)

    attend(learner, terminal, lambda: helped() > 20, b"w")
    terminal.process.kill()
    known, since_s = len(learner.archive), time.monotonic()

    def rests() -> bool:
        nonlocal known, since_s
        if len(learner.archive) != known:
            known, since_s = len(learner.archive), time.monotonic()
        return time.monotonic() - since_s > 2.0

    learner.pump_until(rests)
    assert learner.archive[-1].source is Source.OPERATOR


def test_without_an_actor_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    done = subprocess.run(
        [*SPAWN, "robot_rl.cli", "correct"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "robot-rl: any actor of any run does not run here; there is none"


def test_the_end_of_the_session_is_not_that_of_the_training() -> None:
    session = Session(lambda: TeleopState(buttons=frozenset({END, PAUSE})))
    assert session.read().buttons == {PAUSE} and session.ended


def test_what_a_person_is_told() -> None:
    assert describe(ActorStatus(), mine=False) == "waiting for the actor"
    assert describe(ActorStatus("lee"), mine=False).startswith("lee is in charge")
    told = describe(ActorStatus("kim", True, False, 12, 3456, "force_limit"), mine=True)
    assert told == "the arm follows you · episode 12 · step 3,456 · the last ended: force_limit"


def test_the_summary_counts_time_in_charge() -> None:
    line = StatusLine("kim")
    for k in range(100):
        line.show(ActorStatus("kim", k < 25, False, 3 + k // 50, 10 * k))
    assert line.summary == "1 episodes, 990 steps; in charge of the arm for 0.0 minutes (25 %)"
