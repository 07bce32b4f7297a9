"""The console finds what acts on this machine, shows it, and lets only the one in charge decide for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("viser")

from robot_rl.console.app import Console, ConsoleOptions
from robot_rl.console.door_messages import Hands, Hello
from robot_rl.console.panel_live import label
from robot_rl.core.errors import ConfigError
from robot_rl.core.types import TeleopState
from robot_rl.hardware.mujoco.panda import Q_HOME_RAD
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import meetings
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.attend.view import View

POSE = np.array([0.5, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0])
VIEW = View("r-a0-000001", 4, np.array(Q_HOME_RAD), POSE, POSE, np.zeros(6), 0.02, np.zeros(7))
KIM, LEE = 1, 2


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with closing(Console(ConsoleOptions(tmp_path / "runs", port=0))) as made:
        for client, name in ((KIM, "kim"), (LEE, "lee")):
            made.front.hello(Hello(client, name, f"key of {name}"))
        yield made


class Cell:
    """An acting loop as far as the console sees it."""

    def __init__(self, run_id: str) -> None:
        self.attended = Attended(run_id, "a0")
        self.read: list[TeleopState] = []

    def turn(self) -> None:
        self.read.append(self.attended.read())
        self.attended.tell(ActorStatus(task="Reach"))
        self.attended.show(VIEW)

    def close(self) -> None:
        self.attended.close()


def until(console: Console, cells: list[Cell], wanted: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60.0
    while not wanted():
        assert time.monotonic() < end_s, "it did not happen"
        for cell in cells:
            cell.turn()
        console.turn()
        time.sleep(0.005)


def test_keys_of_the_one_in_charge_reach_the_actor(console: Console) -> None:
    with closing(Cell("run")) as cell:
        until(console, [cell], lambda: console._cell is not None and console._cell.view is not None)
        console.front.desk.take(KIM)
        console.front.seated()
        until(console, [cell], lambda: cell.attended.operator == "console.kim")
        number = 0

        def hold(client: int) -> None:
            nonlocal number
            number += 1
            console.front.hands(client, Hands(number, ("w",), False, time.time()))

        until(console, [cell], lambda: hold(LEE) is None and len(cell.read) > 50)
        assert not cell.read[-1].engaged, "whoever is not in charge is not heard"
        until(console, [cell], lambda: hold(KIM) is None and cell.read[-1].engaged)
        assert cell.read[-1].twist_tcp[0] > 0
        until(console, [cell], lambda: "follows you" in console.front.bars()[KIM].state)
        console.front.desk.release(KIM)
        console.front.seated()
        until(console, [cell], lambda: cell.attended.operator == "" and not cell.read[-1].engaged)


def test_only_the_one_in_charge_switches_what_everybody_sees(console: Console) -> None:
    with closing(Cell("one")) as one, closing(Cell("two")) as two:
        names = {m.run_id: label(m) for m in meetings()}
        console._choose(LEE, names["one"])
        until(console, [one, two], lambda: console._cell is not None and console._cell.meeting.run_id == "one")
        console.front.desk.take(KIM)
        console._choose(LEE, names["two"])
        for _ in range(30):
            until(console, [one, two], lambda: True)
            console.turn()
        assert console._cell is not None and console._cell.meeting.run_id == "one"
        console._choose(KIM, names["two"])
        until(console, [one, two], lambda: console._cell is not None and console._cell.meeting.run_id == "two")


def test_what_was_killed_makes_room_for_what_lives(console: Console) -> None:
    with closing(Cell("dead")) as dead, closing(Cell("alive")) as alive:
        console._choose(KIM, label(next(m for m in meetings() if m.run_id == "dead")))
        until(console, [dead, alive], lambda: console._cell is not None and console._cell.meeting.run_id == "dead")
        console._cell._heard_s = -100.0  # type: ignore[union-attr]
        console._cell.problem = "silent"  # type: ignore[union-attr]
        until(console, [alive], lambda: console._cell is not None and console._cell.meeting.run_id == "alive")


def test_others_need_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="token"):
        Console(ConsoleOptions(tmp_path, host="0.0.0.0", port=0))
