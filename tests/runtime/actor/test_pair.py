"""One actor between two learners: who is waited for, what an operator says holds for both, who belongs together."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from robot_rl.core.errors import ConfigError
from robot_rl.core.marks import PAUSE, SUCCESS
from robot_rl.core.types import TeleopState
from robot_rl.runtime.actor.process import ActorOptions, act
from robot_rl.runtime.attend.link import OperatorLink
from robot_rl.runtime.attend.place import find_actor
from robot_rl.runtime.stop import StopFlag
from tests.runtime.fakes import tiny_config
from tests.runtime.pair_point import PairPoint
from tests.runtime.transport.stub_learner import StubLearner, policy_arrays, until


class Blind(PairPoint):
    """Nobody sees whether it is done, and it never is by itself."""

    def undone(self, *, succeeded: bool = False) -> bool | None:
        return None

    def step(self, action):  # type: ignore[no-untyped-def]
        self.goal = self.x + 1.0
        return super().step(action)


class Rig:
    """An actor in a thread, two learners without learning, and the environments of the pair."""

    def __init__(self, folder: Path, stack: ExitStack, tasks: tuple[str, str] = ("Out", "Back")) -> None:
        self.envs = Blind("Out", limit=100_000), Blind("Back", limit=100_000)
        configs = [tiny_config(lockstep=False, task=a, pair=b) for a, b in (("Out", "Back"), tasks[::-1])]
        names = ("run", "other")
        self.learners = [
            stack.enter_context(closing(StubLearner(config=c, run_id=n))) for c, n in zip(configs, names, strict=True)
        ]
        for learner in self.learners:
            learner.publisher.publish(1, policy_arrays())
        first, second = ((one.server.endpoint, one.publisher.endpoint) for one in self.learners)
        self.options = ActorOptions(first[0], folder, first[1], *second, min_free_bytes=0)
        self.stop, self.error = StopFlag(), None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            act(self.options, self.stop)
        except Exception as e:
            self.error = e

    def pump_until(self, condition: Callable[[], object]) -> None:
        def turn() -> object:
            for learner in self.learners:
                learner.pump(0.005)
            return condition()

        until(turn)

    def end(self) -> None:
        self.stop.set()
        self.pump_until(lambda: not self.thread.is_alive())


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        monkeypatch.setenv("XDG_RUNTIME_DIR", stack.enter_context(tempfile.TemporaryDirectory(prefix="rrl")))
        yield stack


def open_as(rig: list[Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robot_rl.runtime.actor.process.open_pair", lambda config: rig[0].envs)


def test_the_learner_whose_turn_it_is_is_waited_for_and_what_was_put_back_is_told(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    rigs: list[Rig] = []
    open_as(rigs, monkeypatch)
    rigs.append(rig := Rig(tmp_path, stack))
    out, back = rig.learners
    out.allowed = 30
    rig.pump_until(lambda: len(out.archive) >= 29)
    rig.pump_until(lambda: out.hellos[-1].waited_s > 0.0)
    assert len(rig.envs[0].actions) == 30 and not rig.envs[1].actions
    assert not back.archive and back.hellos[-1].waited_s < out.hellos[-1].waited_s
    rig.pump_until(lambda: (out.hellos[-1].put_back, back.hellos[-1].put_back) == (1, 0))
    rig.end()
    assert rig.error is None and rig.envs[0].closed
    assert len(out.archive) == 30 and out.archive[-1].stop_reason == "interrupted"


def test_a_pause_holds_for_the_task_that_is_due_next(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    rigs: list[Rig] = []
    open_as(rigs, monkeypatch)
    rigs.append(rig := Rig(tmp_path, stack))
    rig.pump_until(lambda: len(rig.envs[0].actions) > 5)
    operator = stack.enter_context(closing(OperatorLink(find_actor("other"), "kim")))
    said = TeleopState()

    def press(button: str, wanted: Callable[[], object]) -> None:
        for state in (TeleopState(buttons=frozenset({button})), said):
            end_s = time.monotonic() + 0.2
            rig.pump_until(lambda state=state, end_s=end_s: operator.send(state) or time.monotonic() > end_s)
        rig.pump_until(lambda: operator.send(said) or wanted())

    press(PAUSE, lambda: operator.status.paused)
    assert operator.status.task == "Out"
    press(SUCCESS, lambda: operator.status.task == "Back")
    assert operator.status.paused and not rig.envs[1].actions
    press(PAUSE, lambda: len(rig.envs[1].actions) > 5)
    assert not operator.status.paused
    rig.end()
    assert rig.error is None
    (last,) = [r for r in rig.learners[0].archive if r.last]
    assert last.stop_reason == "success"
    assert {r.task for r in rig.learners[1].archive} == {"Back"}


def test_learners_of_two_pairs_are_not_acted_for(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    rigs: list[Rig] = []
    open_as(rigs, monkeypatch)
    rigs.append(rig := Rig(tmp_path, stack, ("Out", "Side")))
    rig.pump_until(lambda: rig.error)
    assert isinstance(rig.error, ConfigError)
    assert "trains Out and waits for Back, but the other one trains Side" in str(rig.error)


def test_a_run_alone_has_no_other_learner(tmp_path: Path, stack: ExitStack) -> None:
    learner = stack.enter_context(closing(StubLearner()))
    options = ActorOptions(learner.server.endpoint, tmp_path, learner.publisher.endpoint, "tcp://127.0.0.1:9")
    errors: list[Exception] = []

    def run() -> None:
        try:
            act(options, StopFlag())
        except ConfigError as e:
            errors.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    learner.pump_until(lambda: not thread.is_alive())
    assert "trains Point alone: leave out the other learner" in str(errors[0])
