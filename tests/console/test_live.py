"""The console watches an acting loop over its socket, and operates it for whoever is in charge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("viser")

from robot_rl.console.live import LiveCell
from robot_rl.console.panel_live import STRIPS, curves, describe, doing
from robot_rl.core.marks import END, SUCCESS
from robot_rl.core.types import TeleopState
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import Meeting, meetings
from robot_rl.runtime.attend.recorder import RECORDER
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.attend.view import View
from robot_rl.runtime.transport.health import LearnerHealth

PUSH = TeleopState(True, np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0]), 0.0, frozenset({SUCCESS, END}))
VIEW = View("r-a0-000001", 4, *(np.zeros(7),) * 3, np.array([3.0, 0, 4.0, 0, 0, 0]), 0.02, np.zeros(7))


class Device:
    state = PUSH

    def read(self) -> TeleopState:
        return self.state

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture(params=["a0", RECORDER])
def attended(request: pytest.FixtureRequest) -> Iterator[Attended]:
    with closing(Attended("run", request.param)) as made:
        assert not made.problem
        yield made


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def cell(attended: Attended, device: Device) -> Iterator[LiveCell]:
    (meeting,) = meetings()
    with closing(LiveCell(meeting, device, lambda view: None, lambda status: None)) as made:
        yield made


def until(turn: Callable[[], object], wanted: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30.0
    while not wanted():
        assert time.monotonic() < end_s, "it did not happen"
        turn()
        time.sleep(0.005)


def test_it_sees_and_operates_only_when_asked(attended: Attended, cell: LiveCell, device: Device) -> None:
    read: list[TeleopState] = []

    def turn() -> None:
        read.append(attended.read())
        attended.tell(ActorStatus(task="Reach"))
        attended.show(VIEW)

    until(turn, lambda: cell.status.task == "Reach" and cell.view is not None)
    assert not any(state.engaged for state in read) and attended.operator == "" and not cell.gone
    cell.operate("kim")
    until(turn, lambda: attended.operator == "kim" and read[-1].engaged)
    assert SUCCESS in read[-1].buttons
    assert (END in read[-1].buttons) == cell.records == (cell.meeting.actor == RECORDER)
    device.state = TeleopState()
    until(turn, lambda: not read[-1].engaged)
    cell.operate(None)
    until(turn, lambda: attended.operator == "" and not read[-1].engaged)


def test_a_status_in_words(cell: LiveCell) -> None:
    health = LearnerHealth(1200, 40.0, 3.5, 4.0, 0.7)
    cell.status = ActorStatus(task="Reach", episode=3, env_steps=1000, prompt="Put it back.", health=health, share=0.25)
    text = describe(cell)
    for part in ("**Reach**", "follows the policy", "Put it back.", "1,000", "1,200 updates", "25 %"):
        assert part in text
    assert doing(ActorStatus(lost=True, engaged=True)).startswith("HELD")
    assert doing(ActorStatus(engaged=True, operator="kim")) == "the arm follows kim"
    assert doing(ActorStatus(paused=True)) == "paused"
    cell.problem = "it is of another version"
    assert "does not answer any more" in describe(cell)


def test_curves_know_what_is_unknown() -> None:
    values = curves(VIEW, ActorStatus())
    assert values["force"] == 5.0 and np.isnan(values["Q"]) and np.isnan(values["learner lag"])
    values = curves(VIEW, ActorStatus(health=LearnerHealth(1, 1.0, 3.0, 4.0, 0.5), lag_s=0.02, engaged=True))
    assert (values["Q"], values["UTD"], values["target"], values["learner lag"]) == (0.5, 3.0, 4.0, 20.0)
    assert values["operator"] == 1.0
    assert "classifier" not in values


def test_the_curve_of_the_classifier_is_its_probability() -> None:
    seen = replace(VIEW, rewards={"p_success": 0.8, "truth": 1.0})
    values = curves(seen, ActorStatus())
    assert (values["classifier"], values["truth"]) == (0.8, 1.0)
    assert {"classifier", "truth"} <= {series.name for series in STRIPS}


def test_an_actor_that_is_not_there_is_gone(tmp_path: Path) -> None:
    meeting = Meeting("run", "a9", tmp_path / "nobody.sock")
    with closing(LiveCell(meeting, Device(), lambda view: None, lambda status: None)) as cell:
        cell._heard_s -= 10.0
        assert cell.gone
