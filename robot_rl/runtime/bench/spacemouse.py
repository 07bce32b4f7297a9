"""How long it takes from the bytes of a SpaceMouse to the target of the simulated arm."""

from __future__ import annotations

import queue
import struct
import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.protocols import Arm, Teleop
from robot_rl.core.types import ArmState, Array, TeleopState
from robot_rl.hardware.spacemouse.axes import AxisConfig
from robot_rl.hardware.spacemouse.device import SpaceMouseTeleop
from robot_rl.runtime.collector import ActingConfig, Collector
from robot_rl.runtime.demos import Still
from robot_rl.runtime.paced import Paced

TIMEOUT_S = 5.0
POLL_S = 0.0002
# Of 350 at full deflection: above the dead band, and slow.
PUSH = 120
WARM_UP_STEPS = 5
# A push lasts until the next report, as if the device reported all the time.
AXES = AxisConfig(static_s=10.0)


class Wire:
    """A SpaceMouse Compact on the level of its HID reports: stands where the library opens its device file."""

    product_string, manufacturer_string = "SpaceMouse Compact", "3Dconnexion"
    release_number, serial_number = 0x0437, ""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()

    def push(self, deflection: int) -> None:
        """Report a translation along the device's x, of -350 to 350."""
        self._waiting.append(struct.pack("<B3h", 1, deflection, 0, 0))

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self, size: int = 64, timeout: int | None = None) -> bytearray:
        """One report, or nothing."""
        return bytearray(self._waiting.popleft()[:size]) if self._waiting else bytearray()


def open_mouse(wire: Wire) -> SpaceMouseTeleop:
    """The device as it is used, over the real library, which reads the wire.

    Raises:
        ConfigError: the library is not installed.
    """
    try:
        library, helpers = import_module("pyspacemouse"), import_module("pyspacemouse.config_helpers")
        device = import_module("pyspacemouse.device")
    except (ImportError, OSError) as e:
        raise ConfigError(f"the SpaceMouse needs pyspacemouse ({e}): pip install 'robot-rl[spacemouse]'") from e
    specs = helpers.apply_axis_convention(library.get_device_specs()["SpaceMouseCompact"], library.AxisConvention.ROS)

    def connect() -> Any:
        puck = device.SpaceMouseDevice(specs, wire)
        puck.open()
        return puck

    return SpaceMouseTeleop(AXES, connect)


def times_to_read(n: int, rng: np.random.Generator) -> list[float]:
    """From the bytes of a push to the first `read` that says so, in s.

    Raises:
        ConfigError: the library is not installed.
        DeviceError: a push did not arrive.
    """
    wire, found = Wire(), []
    mouse = open_mouse(wire)
    try:
        for _ in range(n):
            time.sleep(rng.uniform(0.01, 0.02))
            began_s = time.perf_counter()
            wire.push(PUSH)
            found.append(_wait(partial(_is_engaged, mouse, True)) - began_s)
            wire.push(0)
            _wait(partial(_is_engaged, mouse, False))
    finally:
        mouse.close()
    return found


def times_to_target(n: int, hz: float, rng: np.random.Generator) -> list[float]:
    """From the bytes of a push to the target of the simulated arm, through the acting loop in real time, in s.

    Raises:
        ConfigError: the library is not installed.
        DeviceError: a push did not arrive.
    """
    wire, watch = Wire(), _Watch()
    mouse = open_mouse(wire)
    loop = _loop(mouse, watch, hz)
    person = _Person(n, wire, watch, 1.0 / hz, rng)
    try:
        for _ in range(WARM_UP_STEPS):
            loop.step()
        person.start()
        while person.is_alive():
            loop.step()
        person.join()
    finally:
        person.stop.set()
        loop.close()
        loop.env.close()
        mouse.close()
    if len(person.found_s) < n:
        raise DeviceError(f"push {len(person.found_s) + 1} of {n} did not reach the arm within {TIMEOUT_S:g} s")
    return person.found_s


class _Watch:
    """What the loop's last reading was, and when the first target after a take-over was set."""

    def __init__(self) -> None:
        self.engaged = False
        self.waiting = False
        self.targets_s: queue.Queue[float] = queue.Queue()


class _WatchedTeleop:
    def __init__(self, inner: Teleop, watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    def read(self) -> TeleopState:
        state = self._inner.read()
        self._watch.engaged = state.engaged
        return state

    def close(self) -> None:
        """Others close it."""


class _WatchedArm:
    def __init__(self, inner: Arm, watch: _Watch) -> None:
        self._inner, self._watch = inner, watch
        self.hold, self.move_joints, self.recover, self.close = (
            inner.hold,
            inner.move_joints,
            inner.recover,
            inner.close,
        )

    def state(self) -> ArmState:
        return self._inner.state()

    def set_target(self, pose_base_tcp: Array) -> None:
        self._inner.set_target(pose_base_tcp)
        if self._watch.waiting and self._watch.engaged:
            self._watch.waiting = False
            self._watch.targets_s.put(time.perf_counter())


class _Person(threading.Thread):
    """Pushes, waits until the arm is told, lets go, and again at a moment that has nothing to do with the loop's."""

    def __init__(self, n: int, wire: Wire, watch: _Watch, period_s: float, rng: np.random.Generator) -> None:
        super().__init__(name="bench-person")
        self._n, self._wire, self._watch, self._period_s, self._rng = n, wire, watch, period_s, rng
        self.stop = threading.Event()
        self.found_s: list[float] = []

    def run(self) -> None:
        for i in range(self._n):
            if self.stop.wait(self._rng.uniform(0.0, self._period_s)):
                return
            self._watch.waiting = True
            began_s = time.perf_counter()
            self._wire.push(PUSH if i % 2 else -PUSH)
            try:
                self.found_s.append(self._watch.targets_s.get(timeout=TIMEOUT_S) - began_s)
                self._wire.push(0)
                _wait(lambda: not self._watch.engaged)
            except (queue.Empty, DeviceError):
                return


def _loop(mouse: Teleop, watch: _Watch, hz: float) -> Collector:
    from robot_rl.envs.cell_env import CellEnv
    from robot_rl.envs.options import EnvOptions
    from robot_rl.envs.tasks import make_task
    from robot_rl.hardware.mujoco.devices import make_sim_cell

    task = make_task("Reach", episode_steps=10**9, tolerance_m=0.0)
    cell, _ = make_sim_cell(task.objects, task.impedance)
    env = CellEnv(replace(cell, arm=_WatchedArm(cell.arm, watch)), task, EnvOptions(hz=hz))
    acting = ActingConfig(seed=0, episode_prefix="bench")
    return Collector(Paced(env), Still(), acting, make_teleop=lambda _: _WatchedTeleop(mouse, watch))


def _is_engaged(mouse: Teleop, engaged: bool) -> bool:
    return mouse.read().engaged == engaged


def _wait(condition: Any) -> float:
    """When a condition came true, by `time.perf_counter`."""
    end_s = time.perf_counter() + TIMEOUT_S
    while not condition():
        if time.perf_counter() > end_s:
            raise DeviceError(f"the device said nothing within {TIMEOUT_S:g} s")
        time.sleep(POLL_S)
    return time.perf_counter()
