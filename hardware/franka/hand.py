"""The driver of a Franka hand: a thread of its own, since every call of the hand takes 10 to 100 ms.

A hand can move to an opening, or grasp with a force. The driver does what `robot_rl.core.protocols.Gripper` promises
with both: it grasps when told to close, and moves otherwise; a move that something in between stops is turned into a
grasp where the fingers are, so that they keep pressing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import GripperState
from robot_rl.hardware.cell.description import GripperConfig
from robot_rl.hardware.franka.library import calling, library, library_version

RECONNECT_S = 1.0
STOP_S = 2.0
HOME_S = 60.0
# An opening below this is a wish to close; a move that ends so much wider than asked for was stopped by something.
CLOSED_M, BLOCKED_M = 0.002, 0.002
# Commands that differ less are one.
SAME_M = 1e-4


@dataclass
class _Action:
    """What the fingers are doing: ``move``, ``grasp`` or ``home``, to which opening, and its outcome to come."""

    kind: str
    goal_m: float
    outcome: Any

    def is_over(self) -> bool:
        return bool(self.outcome.wait(0.0))

    def succeeded(self) -> bool:
        """How it ended; being stopped and being unable to are both no success."""
        try:
            return bool(self.outcome.get())
        except Exception:
            return False


class FrankyHand:
    """Implements `robot_rl.hardware.drivers.GripperDriver` over franky.

    The newest command wins: it stops what the fingers are doing. When the connection is lost, readings keep their old
    stamp until it has been set up again; the fingers then stay where they are until the next command.

    Args:
        config: largest opening, speed and force.
        address: of the robot.
        now_s: clock that readings are stamped with.

    Raises:
        ConfigError: franky is missing.
        DeviceError: there is no hand, or it has another client.
    """

    def __init__(self, config: GripperConfig, address: str, now_s: Callable[[], float] = time.time) -> None:
        self._config, self._address, self._now_s = config, address, now_s
        self._action: _Action | None = None
        # Of lost connections: franky waits for the end of an action before it lets go of it, which may take minutes.
        self._abandoned: list[tuple[Any, _Action]] = []
        self._wish_m: float | None = None
        self._goal_m: float | None = None
        self._homing: Future[bool] | None = None
        self._closing = threading.Event()
        self._hand: Any = None
        self._connect()
        self._thread = threading.Thread(target=self._run, name="franky hand", daemon=True)
        self._thread.start()

    def state(self) -> GripperState:
        """The newest reading; its age says whether the hand still talks."""
        width_m, t_s = self._reading
        return GripperState(width_m, self._target_m, self._config.max_width_m, t_s)

    def command(self, width_m: float) -> None:
        """Move towards an opening, clipped to what there is; see `robot_rl.core.protocols.Gripper`.

        Raises:
            DeviceError: the width is not a finite number, or the hand cannot be reached; the target stays as it was.
        """
        if not math.isfinite(width_m):
            raise DeviceError(f"gripper width must be finite, got {width_m}")
        if self._hand is None or self._closing.is_set():
            raise DeviceError(f"there is no connection to the hand at {self._address}")
        self._target_m = self._wish_m = min(max(float(width_m), 0.0), self._config.max_width_m)

    def home(self) -> None:
        """Find the end stops. Blocks, for seconds; commands given meanwhile are carried out afterwards.

        Raises:
            DeviceError: the hand could not, or cannot be reached.
        """
        if self._hand is None or self._closing.is_set():
            raise DeviceError(f"there is no connection to the hand at {self._address}")
        homing = self._homing = self._homing or Future()
        try:
            succeeded = homing.result(HOME_S)
        except TimeoutError:
            succeeded = False
        if not succeeded:
            raise DeviceError(f"the hand at {self._address} did not find its end stops: is something in its way?")

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        action = self._action
        return {
            "address": self._address,
            "library": library_version(),
            "connected": "yes" if self._hand is not None else "no",
            "doing": action.kind if action is not None else "nothing",
            "holds something": "yes" if self._is_grasped and self._reading[0] > CLOSED_M else "no",
            "opening found by homing": f"{self._found_max_m:.4f} m",
        }

    def close(self) -> None:
        """Stop fingers that move, and hang up; what they hold they go on holding. May be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join()

    def _connect(self) -> None:
        franky = library()
        with calling(f"cannot connect to a hand at {self._address}"):
            hand = franky.Gripper(self._address)
            self._take(hand)
        self._target_m = min(max(self._reading[0], 0.0), self._config.max_width_m)
        self._wish_m = self._goal_m = None
        self._hand = hand

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                if self._hand is None:
                    self._connect()
                with calling("the hand does not answer"):
                    self._act(self._hand)
                    self._take(self._hand)
            except DeviceError:
                self._lose()
                self._closing.wait(RECONNECT_S)
        if self._hand is not None:
            with suppress(DeviceError), calling("the hand does not stop"):
                self._stop(self._hand)
        self._lose()

    def _act(self, hand: Any) -> None:
        """Look after the action that runs, and begin what has been asked for since."""
        if self._action is not None and self._action.is_over():
            self._end(hand, self._action)
        is_homing = self._action is not None and self._action.kind == "home"
        if self._homing is not None and not is_homing:
            self._stop(hand)
            self._goal_m = None
            self._action = _Action("home", self._config.max_width_m, hand.homing_async())
        elif self._wish_m is not None and not is_homing:
            wish_m, self._wish_m = self._wish_m, None
            if self._goal_m is None or abs(wish_m - self._goal_m) > SAME_M:
                self._stop(hand)
                self._begin(hand, wish_m)

    def _begin(self, hand: Any, goal_m: float) -> None:
        self._goal_m = goal_m
        if goal_m < CLOSED_M:
            self._grasp(hand, 0.0)
        else:
            # A hand refuses what lies beyond the end stops that it has found.
            reachable_m = min(goal_m, self._found_max_m) if self._found_max_m > 0.0 else goal_m
            self._action = _Action("move", goal_m, hand.move_async(reachable_m, self._config.speed_m_s))

    def _grasp(self, hand: Any, width_m: float) -> None:
        anything_m = self._config.max_width_m
        speed, force = self._config.speed_m_s, self._config.force_n
        outcome = hand.grasp_async(width_m, speed, force, anything_m, anything_m)
        self._action = _Action("grasp", width_m, outcome)

    def _end(self, hand: Any, action: _Action) -> None:
        self._action = None
        succeeded = action.succeeded()
        if action.kind == "home":
            homing, self._homing = self._homing, None
            self._take(hand)
            if self._wish_m is None:
                self._target_m = self._reading[0]
            if homing is not None:
                homing.set_result(succeeded)
        elif action.kind == "move" and not succeeded and self._reading[0] > action.goal_m + BLOCKED_M:
            self._grasp(hand, self._reading[0])

    def _stop(self, hand: Any) -> None:
        """Let nothing run any more."""
        action, self._action = self._action, None
        if action is not None and not action.is_over():
            hand.stop()
            if not action.outcome.wait(STOP_S):
                self._abandoned.append((hand, action))
                raise DeviceError(f"the hand did not stop within {STOP_S} s")

    def _lose(self) -> None:
        """Give up the connection, and those who wait for it."""
        hand, self._hand = self._hand, None
        if self._action is not None:
            self._abandoned.append((hand, self._action))
            self._action = None
        self._abandoned = [(hand, action) for hand, action in self._abandoned if not action.is_over()]
        homing, self._homing = self._homing, None
        if homing is not None:
            homing.set_result(False)

    def _take(self, hand: Any) -> None:
        """Wait for the hand's next state."""
        state = hand.state
        self._found_max_m, self._is_grasped = float(state.max_width), bool(state.is_grasped)
        self._reading = (float(state.width), self._now_s())
