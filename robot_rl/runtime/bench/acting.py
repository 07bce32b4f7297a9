"""From an operator's hand to the target of the simulated arm, through the acting loop in real time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from robot_rl.core.errors import DeviceError
from robot_rl.core.protocols import Arm, Teleop
from robot_rl.core.types import ArmState, Array, TeleopState
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.demos import Still
from robot_rl.runtime.paced import Paced

POLL_S = 0.0002
WARM_UP_STEPS = 5


@dataclass(frozen=True)
class Hand:
    """Of the person who is measured. Used by one thread.

    Attributes:
        push: given the number of the push; the device is deflected from then on.
        rest: the device is let go of.
        began_s: when the last push began, by `time.perf_counter`; asked once it has reached the arm.
    """

    push: Callable[[int], None]
    rest: Callable[[], None]
    began_s: Callable[[], float]


def times_to_target(
    device: Teleop, hand: Hand, n: int, hz: float, rng: np.random.Generator, *, timeout_s: float
) -> list[float]:
    """Push, wait until the arm is told, let go, and again at a moment that has nothing to do with the loop's.

    Args:
        device: that the hand pushes; stays open.
        hand: used by the calling thread.
        n: pushes.
        hz: control steps per second.
        rng: of the moments.
        timeout_s: for a push to arrive.

    Returns:
        The times ``[n]`` in s.

    Raises:
        DeviceError: a push did not arrive.
    """
    watch = _Watch()
    loop = _loop(device, watch, hz)
    acting = threading.Thread(target=_act, args=(loop, watch), name="bench-acting")
    found: list[float] = []
    try:
        for _ in range(WARM_UP_STEPS):
            loop.step()
        acting.start()
        for i in range(n):
            time.sleep(rng.uniform(0.0, 1.0 / hz))
            watch.waiting = True
            hand.push(i)
            try:
                told_s = watch.targets_s.get(timeout=timeout_s)
            except queue.Empty:
                raise DeviceError(f"push {i + 1} of {n} did not reach the arm within {timeout_s:g} s") from None
            found.append(told_s - hand.began_s())
            hand.rest()
            wait(lambda: not watch.engaged, timeout_s)
    finally:
        watch.stop.set()
        if acting.ident is not None:
            acting.join()
        loop.close()
        loop.env.close()
    return found


def wait(condition: Callable[[], object], timeout_s: float) -> float:
    """When a condition came true, by `time.perf_counter`.

    Raises:
        DeviceError: it did not, in time.
    """
    end_s = time.perf_counter() + timeout_s
    while not condition():
        if time.perf_counter() > end_s:
            raise DeviceError(f"the device said nothing within {timeout_s:g} s")
        time.sleep(POLL_S)
    return time.perf_counter()


class _Watch:
    """What the loop's last reading was, and when the first target after a take-over was set."""

    def __init__(self) -> None:
        self.engaged = False
        self.waiting = False
        self.stop = threading.Event()
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


def _loop(device: Teleop, watch: _Watch, hz: float) -> Collector:
    from robot_rl.envs.cell_env import CellEnv
    from robot_rl.envs.options import EnvOptions
    from robot_rl.envs.tasks import make_task
    from robot_rl.hardware.mujoco.devices import make_sim_cell

    task = make_task("Reach", episode_steps=10**9, tolerance_m=0.0)
    cell, _ = make_sim_cell(task.objects, task.impedance)
    env = CellEnv(replace(cell, arm=_WatchedArm(cell.arm, watch)), task, EnvOptions(hz=hz))
    acting = ActingConfig(seed=0, episode_prefix="bench")
    return Collector(Paced(env), Still(), acting, make_teleop=lambda _: _WatchedTeleop(device, watch))


def _act(loop: Collector, watch: _Watch) -> None:
    while not watch.stop.is_set():
        loop.step()
