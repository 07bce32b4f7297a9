"""An actor that dies is started again, but not for ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.runtime.learner import child as child_module
from robot_rl.runtime.learner.child import MAX_RESTARTS, ActorProcess

ENDS_AT_ONCE = "this"  # a module of the standard library that prints a text and ends


def next_death(actor: ActorProcess) -> str | None:
    while actor.running:
        time.sleep(0.01)
    return actor.check()


def test_an_actor_that_keeps_dying_ends_the_run(tmp_path: Path) -> None:
    actor = ActorProcess(tmp_path, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", module=ENDS_AT_ONCE)
    try:
        for _ in range(MAX_RESTARTS):
            assert next_death(actor) == "the actor a0 died with exit code 0 and was started again"
        with pytest.raises(
            DeviceError, match=rf"a0 died {MAX_RESTARTS + 1} times in 10 minutes, last with exit code 0"
        ):
            next_death(actor)
    finally:
        actor.stop()


def test_deaths_of_long_ago_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "RESTART_WINDOW_S", 0.0)
    actor = ActorProcess(tmp_path, "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", module=ENDS_AT_ONCE)
    try:
        for _ in range(MAX_RESTARTS + 2):
            assert next_death(actor) is not None
        assert actor.restarts == MAX_RESTARTS + 2
    finally:
        actor.stop()
