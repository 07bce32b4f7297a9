"""What is broken on a live cell, and what must follow."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from std_msgs.msg import Bool

from robot_rl.hardware.cell.description import CameraConfig, CellConfig, NetworkConfig, load_cell
from robot_rl.hardware.fci.faults import FAULT_PORT
from robot_rl.hardware.ros import names, qos
from tests.faults.cell_rig import Commander, LiveCell, wait_until

SETTLE_S = 1.6
EMULATOR = "127.66.0.1"
# Between a signal and the answer lie the arbiter's period, the arm's reaction and this machine's scheduler.
SLACK_S = 0.25


@dataclass
class Row:
    """One kind of fault, provoked several times. Times in seconds from the fault."""

    name: str
    fault: str
    held_s: list[float] = field(default_factory=list)
    stood_s: list[float] = field(default_factory=list)
    latched_s: list[float] = field(default_factory=list)
    log: str = ""
    recovery: str = ""
    recovered_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """One line of a Markdown table."""
        times = (self.held_s, self.stood_s, self.latched_s, self.recovered_s)
        held, stood, latched, recovered = (_times(t) for t in times)
        verdict = "pass" if not self.wrong else "FAIL: " + "; ".join(self.wrong)
        cells = [self.name, str(len(self.held_s)), held, stood, latched, self.log, self.recovery, recovered, verdict]
        return "| " + " | ".join(cells) + " |"


HEAD = (
    "| fault | times | target held after, s | tool stood after, s | told after, s | what is told | recovery |"
    " took, s | verdict |\n|" + "---|" * 9
)


def _times(values: list[float]) -> str:
    return "" if not values else f"{median(values):.2f}, {max(values):.2f}"


def sim_cell(**changes: Any) -> CellConfig:
    """The simulated cell with a camera, where a person recovers from faults."""
    sim = load_cell("sim")
    cameras = {"side": CameraConfig(view="side", hz=15.0)}
    network = NetworkConfig(46)
    return replace(
        sim, name="faults_sim", network=network, cameras=cameras, task="Reach", supervision="operator", **changes
    )


def emulated_cell() -> CellConfig:
    """The production driver against the emulated robot."""
    cell = load_cell("emulated")
    robot = replace(cell.robot, address=EMULATOR, load_kg=0.0)
    return replace(
        cell, name="faults_fci", network=NetworkConfig(47), robot=robot, task="Reach", supervision="operator"
    )


@contextmanager
def running(config: CellConfig, folder: Path) -> Iterator[LiveCell]:
    """A cell that is up and enabled."""
    cell = LiveCell(config, folder)
    try:
        cell.wait_up()
        cell.ready()
        yield cell
    finally:
        cell.close()


def say_to_emulator(line: str) -> str:
    """One line to the emulator's fault port."""
    with socket.create_connection((EMULATOR, FAULT_PORT), 5.0) as port:
        port.sendall((line + "\n").encode())
        return port.recv(4096).decode().strip()


def observe(cell: LiveCell, row: Row, at_s: float, *, limit_s: float) -> None:
    """Wait for the latched fault that a row expects and for standstill, and note the times.

    Args:
        cell: broken a moment ago.
        row: gets the times.
        at_s: when it was broken.
        limit_s: what the promise allows until the target is held.
    """
    watch = cell.watch
    try:
        wait_until(lambda: watch.faulted_at_s(at_s) is not None, f"the fault {row.fault}", 10.0)
    except TimeoutError as e:
        row.wrong.append(str(e))
        return
    time.sleep(SETTLE_S)
    told_s = watch.faulted_at_s(at_s)
    assert told_s is not None
    text = next(text for t_s, text in watch.seen.faults if t_s == told_s)
    row.held_s.append(watch.held_at_s(at_s, told_s) - at_s)
    row.stood_s.append(watch.stood_at_s(at_s) - at_s)
    row.latched_s.append(told_s - at_s)
    row.log = row.log or text
    if not text.startswith(row.fault):
        row.wrong.append(f"expected {row.fault}, got {text}")
    if row.held_s[-1] > limit_s:
        row.wrong.append(f"the target moved for {row.held_s[-1]:.2f} s, allowed are {limit_s:.2f} s")


def recover(cell: LiveCell, row: Row, how: str, before: Callable[[], object] = lambda: None) -> None:
    """Bring the cell back, and note how long that took."""
    row.recovery = how
    began_s = time.time()
    before()
    try:
        cell.ready()
    except TimeoutError as e:
        row.wrong.append(str(e))
        return
    row.recovered_s.append(time.time() - began_s)


def actor_lost(cell: LiveCell, times: int) -> list[Row]:
    """The commander is killed, or frozen, while the arm moves."""
    rows = []
    for what, number in (("actor killed in motion", signal.SIGKILL), ("actor frozen in motion", signal.SIGSTOP)):
        row = Row(what, "command_timeout")
        hold_s = cell.config.limits.hold_after_s
        for _ in range(times):
            commander = Commander(cell, "Reach")
            commander.wait_moving(cell.watch)
            at_s = commander.kill(number)
            observe(cell, row, at_s, limit_s=hold_s + SLACK_S)
            commander.kill()
            recover(cell, row, "`recover`, `enable`; a new actor goes on")
        rows.append(row)
    return rows


def bad_commands(cell: LiveCell, times: int) -> list[Row]:
    """Commands that are none, 50 a second, at an arm that stands."""
    rows = []
    for kind, what in (
        ("nan", "NaN in commands"),
        ("not_unit", "quaternions of length 2"),
        ("wrong_frame", "commands in another frame"),
        ("old", "commands 5 s old"),
    ):
        row = Row(what, "bad_commands")
        for _ in range(times):
            rogue = cell.child("tests.faults.cell_rogue", kind, "50", "1.0")
            assert rogue.stdout is not None
            at_s = float(rogue.stdout.readline())
            observe(cell, row, at_s, limit_s=0.01)
            rogue.wait(30.0)
            recover(cell, row, "`recover`, `enable`")
        rows.append(row)
    return rows


def two_commanders(cell: LiveCell, times: int) -> list[Row]:
    """Somebody else commands beside the actor."""
    row = Row("two commanders", "two_commanders")
    for _ in range(times):
        commander = Commander(cell, "Reach")
        commander.wait_moving(cell.watch)
        rogue = cell.child("tests.faults.cell_rogue", "good", "20", "1.0")
        assert rogue.stdout is not None
        at_s = float(rogue.stdout.readline())
        observe(cell, row, at_s, limit_s=SLACK_S)
        rogue.wait(30.0)
        commander.kill()
        recover(cell, row, "end one of them, `recover`, `enable`")
    return [row]


def estop(cell: LiveCell, times: int) -> list[Row]:
    """The e-stop topic while the arm moves."""
    row = Row("e-stop topic", "estop")
    publisher = cell.watch.node.create_publisher(Bool, names.ESTOP, qos.LATCHED)
    for _ in range(times):
        commander = Commander(cell, "Reach")
        commander.wait_moving(cell.watch)
        at_s = time.time()
        publisher.publish(Bool(data=True))
        observe(cell, row, at_s, limit_s=SLACK_S)
        commander.kill()
        done, text = cell.watch.calls.trigger(names.RECOVER)
        if done:
            row.wrong.append(f"recovered while the e-stop was on: {text}")
        recover(cell, row, "e-stop off, `recover`, `enable`", lambda: publisher.publish(Bool(data=False)))
    return [row]


def camera_frozen(cell: LiveCell, times: int) -> list[Row]:
    """The camera's process stops while the arm moves: the environment ends the episode and lets the arm go."""
    row = Row("camera frozen", "stale_camera")
    for _ in range(times):
        commander = Commander(cell, "Reach", "side")
        commander.wait_moving(cell.watch)
        at_s = cell.signal("camera:side", signal.SIGSTOP)
        try:
            wait_until(lambda: commander.ended_after(at_s), "the end of the episode", 10.0)  # noqa: B023
        except TimeoutError as e:
            row.wrong.append(str(e))
        time.sleep(SETTLE_S)
        ended = commander.ended_after(at_s) or {"t_s": at_s, "reason": "nothing"}
        row.held_s.append(cell.watch.held_at_s(at_s) - at_s)
        row.stood_s.append(cell.watch.stood_at_s(at_s) - at_s)
        row.latched_s.append(ended["t_s"] - at_s)
        row.log = f"episode truncated: {ended['reason']}"
        if ended["reason"] != row.fault:
            row.wrong.append(f"the episode ended as {ended['reason']}")
        began_s = time.time()
        cell.signal("camera:side", signal.SIGCONT)
        begun = lambda: [s for s in commander.said if s["event"] == "begun" and s["t_s"] > began_s]  # noqa: B023, E731
        try:
            wait_until(begun, "the next episode", 30.0)
            row.recovered_s.append(begun()[0]["t_s"] - began_s)
        except TimeoutError as e:
            row.wrong.append(str(e))
        row.recovery = "by itself at the next reset, once pictures come again"
        commander.kill()
        recover(cell, Row("", ""), "")
    return [row]


def stale_state(cell: LiveCell, times: int) -> list[Row]:
    """The arm's node, and with it the simulated robot, freezes for a moment while the arm moves."""
    row = Row("no state for 0.5 s (node frozen)", "stale_measurement")
    for _ in range(times):
        commander = Commander(cell, "Reach")
        commander.wait_moving(cell.watch)
        at_s = cell.signal("sim", signal.SIGSTOP)
        time.sleep(0.5)
        cell.signal("sim", signal.SIGCONT)
        observe(cell, row, at_s, limit_s=cell.config.limits.max_measurement_age_s + SLACK_S)
        try:
            wait_until(lambda: commander.ended_after(at_s), "the end of the episode", 10.0)  # noqa: B023
        except TimeoutError as e:
            row.wrong.append(str(e))
        commander.kill()
        recover(cell, row, "`recover`, `enable`")
    return [row]


def node_killed(cell: LiveCell, times: int, node: str, what: str, fault: str) -> list[Row]:
    """A node dies in motion; the supervisor starts it again."""
    row = Row(what, fault)
    for _ in range(times):
        commander = Commander(cell, "Reach")
        commander.wait_moving(cell.watch)
        at_s = cell.signal(node, signal.SIGKILL)
        observe(cell, row, at_s, limit_s=cell.config.limits.max_measurement_age_s + SLACK_S)
        commander.kill()
        recover(cell, row, "restarted by itself; `recover`, `enable`")
    return [row]


def arbiter_killed(cell: LiveCell, times: int) -> list[Row]:
    """The arbiter dies in motion: the arm's node holds, and the new arbiter begins disabled."""
    row = Row("arbiter killed in motion", "arbiter_silent")
    for _ in range(times):
        commander = Commander(cell, "Reach")
        commander.wait_moving(cell.watch)
        at_s = cell.signal("arbiter", signal.SIGKILL)
        try:
            wait_until(lambda: commander.ended_after(at_s), "the end of the episode", 10.0)  # noqa: B023
        except TimeoutError as e:
            row.wrong.append(str(e))
        wait_until(lambda: cell.watch.seen.modes[-1][0] > at_s + 0.3, "a new arbiter")  # noqa: B023
        time.sleep(SETTLE_S)
        row.held_s.append(cell.watch.held_at_s(at_s) - at_s)
        row.stood_s.append(cell.watch.stood_at_s(at_s) - at_s)
        ended = commander.ended_after(at_s) or {"t_s": at_s, "reason": "nothing"}
        row.latched_s.append(ended["t_s"] - at_s)
        row.log = f"episode truncated: {ended['reason']}"
        if cell.watch.seen.mode != "disabled":
            row.wrong.append(f"the new arbiter is {cell.watch.seen.mode}, expected disabled")
        commander.kill()
        recover(cell, row, "restarted by itself, disabled; `enable`")
    return [row]


def robot_stops(cell: LiveCell, times: int) -> list[Row]:
    """The tool is pushed, the robot stops itself, is stopped by its user stop, or loses its line, while it moves."""
    push, reflex, stopped, line = rows = (
        Row("push of 90 N at the tool", "force_limit"),
        Row("reflex of the robot", "reflex"),
        Row("user stop", "user_stop"),
        Row("robot's line closed", "reflex"),
    )
    for _ in range(times):
        for row, begin, end in (
            (push, "push 0 0 -90 100", ""),
            (reflex, "error cartesian_reflex", ""),
            (stopped, "user-stop on", "user-stop off"),
            (line, "error communication_constraints_violation", ""),
        ):
            commander = Commander(cell, "Reach")
            commander.wait_moving(cell.watch)
            at_s = time.time()
            say_to_emulator(begin)
            observe(cell, row, at_s, limit_s=SLACK_S)
            commander.kill()
            undo = (lambda line: lambda: say_to_emulator(line))(end) if end else (lambda: None)
            asks = "`recover`, `enable`" if row is push else "`recover` (asks the robot for its own), `enable`"
            recover(cell, row, "release it, `recover`, `enable`" if end else asks, undo)
    return list(rows)


def all_rows(work: Path, times: int, wanted: Callable[[str], bool], show: Callable[[Row], None]) -> list[Row]:
    """Every case, on the two cells."""
    on_sim: dict[str, Callable[[LiveCell], list[Row]]] = {
        "actor": lambda c: actor_lost(c, times),
        "commands": lambda c: bad_commands(c, times),
        "two": lambda c: two_commanders(c, times),
        "estop": lambda c: estop(c, times),
        "camera": lambda c: camera_frozen(c, times),
        "stale": lambda c: stale_state(c, times),
        "arbiter": lambda c: arbiter_killed(c, times),
    }
    on_fci: dict[str, Callable[[LiveCell], list[Row]]] = {
        "robot": lambda c: robot_stops(c, times),
        "arm": lambda c: node_killed(c, times, "arm", "arm node killed in motion", "stale_measurement"),
    }
    rows = []
    for folder, config, cases in (("sim", sim_cell(), on_sim), ("fci", emulated_cell(), on_fci)):
        chosen = {name: case for name, case in cases.items() if wanted(name)}
        if not chosen:
            continue
        with running(config, work / folder) as cell:
            for name, case in chosen.items():
                found = case(cell)
                (work / f"{name}.json").write_text(json.dumps([asdict(row) for row in found]), encoding="utf-8")
                for row in found:
                    show(row)
                rows += found
    return rows
