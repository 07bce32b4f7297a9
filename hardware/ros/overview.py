"""How a running cell is, from outside: its modes, its fault and the health of its nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String

from robot_rl.core.errors import DeviceError
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.qos import LATCHED

LEVELS = {b"\x00": "ok", b"\x01": "warn", b"\x02": "error", b"\x03": "stale"}
# Every node reports once a second.
LISTEN_S = 2.5


@dataclass(frozen=True)
class NodeHealth:
    """What a node says about itself.

    Attributes:
        level: ``ok``, ``warn``, ``error`` or ``stale``.
        text: one sentence.
        values: facts.
    """

    level: str
    text: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Overview:
    """State of a cell.

    Attributes:
        mode: of the arbiter; None if it was not heard.
        fault: that is latched, or nothing.
        robot_mode: what the robot says; None if it was not heard.
        health: of each node, and of each part of one as ``node: part``.
    """

    mode: str | None
    fault: str
    robot_mode: str | None
    health: Mapping[str, NodeHealth]


def look(config: CellConfig, listen_s: float = LISTEN_S) -> Overview:
    """Listen to a cell for a while.

    Raises:
        DeviceError: nothing was heard.
    """
    texts: dict[str, str] = {}
    health: dict[str, NodeHealth] = {}

    def on_text(name: str, message: String) -> None:
        texts[name] = message.data

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            namespace, _, node = status.name.removeprefix("/").partition("/")
            if namespace == config.name:
                head, _, part = node.partition(": ")
                values = {pair.key: pair.value for pair in status.values}
                name = head if part in ("", head) else f"{head}: {part}"
                health[name] = NodeHealth(LEVELS.get(status.level, "?"), status.message, values)

    spinner = Spinner(_name(), config)
    try:
        for name in (names.MODE, names.FAULT, names.ROBOT_MODE):
            spinner.node.create_subscription(String, name, lambda m, name=name: on_text(name, m), LATCHED)
        spinner.node.create_subscription(DiagnosticArray, names.DIAGNOSTICS, on_diagnostics, 10)
        time.sleep(listen_s)
    finally:
        spinner.close()
    if not (texts or health):
        raise DeviceError(f"nobody answers as /{config.name}: is the cell up? (robot-rl cell up)")
    return Overview(texts.get(names.MODE), texts.get(names.FAULT, ""), texts.get(names.ROBOT_MODE), health)


def tell(config: CellConfig, verb: str, timeout_s: float) -> tuple[bool, str]:
    """Ask the arbiter for ``enable``, ``disable``, ``recover``, ``stop`` or ``home``.

    Args:
        config: the cell.
        verb: which.
        timeout_s: for the service to be there, and then for its answer.

    Returns:
        Whether it was done, and what the arbiter says.

    Raises:
        DeviceError: there is no arbiter, or it does not answer.
    """
    spinner = Spinner(_name(), config)
    try:
        calls = Calls(spinner, timeout_s)
        if verb in ("enable", "disable"):
            return calls.switch(names.ENABLE, verb == "enable")
        return calls.trigger(verb)
    finally:
        spinner.close()


def _name() -> str:
    return f"robot_rl_cell_{time.monotonic_ns() % 1_000_000}"
