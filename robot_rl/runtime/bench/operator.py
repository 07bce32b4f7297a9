"""From an event at an operator's device to the target of the arm, in the simulator, in real time."""

from __future__ import annotations

from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError

Row = dict[str, Any]

RATES_HZ = (10.0, 20.0)
# Half a period each: the SpaceMouse's thread, the teleop node, the arbiter, and what attends to an actor.
MOUSE_POLL_MS, TELEOP_MS, ARBITER_MS, ATTEND_MS = 2.0, 10.0, 5.0, 10.0


def operator_latency(n: int = 200) -> list[Row]:
    """Push, wait until the arm is told, let go; again at random moments.

    Args:
        n: pushes a case.

    Returns:
        The rows of `spacemouse_latency`, of `browser_latency` and of `joy_latency`; a row that says why for what cannot
        be measured here.
    """
    rng, rows = np.random.default_rng(0), list[Row]()
    for measure in (spacemouse_latency, browser_latency, joy_latency):
        try:
            rows += measure(n, rng)
        except ConfigError as e:
            rows.append({"left out": str(e)})
    return rows


def spacemouse_latency(n: int, rng: np.random.Generator) -> list[Row]:
    """From the bytes of a report, read by the real library, to a reading, and to the target that an acting loop sets.

    Returns:
        One row a case, in ms: what waiting for the next turn of each loop takes on average (half a period each), the
        median, the 99th percentile and the worst.

    Raises:
        ConfigError: pyspacemouse is not installed.
        DeviceError: a push did not arrive.
    """
    from robot_rl.runtime.bench import spacemouse

    rows = [_row("SpaceMouse: bytes to reading", MOUSE_POLL_MS, spacemouse.times_to_read(n, rng))]
    for hz in RATES_HZ:
        case = f"SpaceMouse: bytes to target, {hz:g} Hz loop"
        rows.append(_row(case, MOUSE_POLL_MS + 500.0 / hz, spacemouse.times_to_target(n, hz, rng)))
    return rows


def browser_latency(n: int, rng: np.random.Generator) -> list[Row]:
    """From a key's going down in Chromium to the device's reading, and to the target that an acting loop sets.

    The second goes the way of a correction session: page, console, the actor's socket, acting loop.

    Returns:
        Rows as those of `spacemouse_latency`.

    Raises:
        ConfigError: Chromium, Playwright or the console's extra is missing.
        DeviceError: a key did not arrive.
    """
    from robot_rl.runtime.bench import browser

    with browser.open_page() as page:
        rows = [_row("Browser: key to reading", 0.0, browser.times_to_read(page, n, rng))]
        for hz in RATES_HZ:
            case = f"Browser: key to target, {hz:g} Hz loop"
            rows.append(_row(case, ATTEND_MS + 500.0 / hz, browser.times_to_target(page, n, hz, rng)))
    return rows


def joy_latency(n: int, rng: np.random.Generator) -> list[Row]:
    """From publishing a Joy, through teleop node and arbiter, to ``target_pose`` as the arm's node hears it.

    Starts the bundled simulated cell under a name and on a domain of its own.

    Returns:
        One row as those of `spacemouse_latency`, and how many pushes met a latched fault and were repeated.

    Raises:
        ConfigError: ROS 2 is missing.
        DeviceError: the cell does not come up, or a Joy moved nothing.
    """
    try:
        from robot_rl.hardware.ros.joy_latency import times_to_target
    except ModuleNotFoundError as e:
        if e.name is None or e.name.startswith("robot_rl"):
            raise
        raise ConfigError(f"Joy over ROS 2 needs {e.name}: pip install 'robot-rl[ros]'") from e
    found_s, repeated = times_to_target(n, rng)
    return [{**_row("Joy over ROS 2: message to target", TELEOP_MS + ARBITER_MS, found_s), "repeated": repeated}]


def _row(case: str, waiting_ms: float, found_s: list[float]) -> Row:
    ms = 1e3 * np.array(found_s)
    return {
        "case": case,
        "pushes": len(found_s),
        "half periods ms": waiting_ms,
        "p50 ms": float(np.median(ms)),
        "p99 ms": float(np.quantile(ms, 0.99)),
        "worst ms": float(ms.max()),
    }
