"""What an operator asks for at a control tick: a motion, and things to say about the episode."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from robot_rl.core.errors import DeviceError
from robot_rl.core.marks import ABORT, DISCARD, DISCARDED, FAILURE, MARKS, SUCCESS, VETOED
from robot_rl.core.protocols import Teleop
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.core.types import Float32, TeleopState

POLL_S = 0.01
STOP_REASONS: Mapping[str, str] = {SUCCESS: "success", FAILURE: "failure", ABORT: "operator", DISCARD: DISCARDED}
"""How an episode ends that an operator ended, by mark."""


@dataclass
class Seat:
    """Where an operator sits: the device of the episode, and which of its buttons were down before.

    Attributes:
        teleop: the device; None for nobody.
    """

    teleop: Teleop | None = None
    _held: frozenset[str] = frozenset()

    def read(self) -> tuple[TeleopState, list[str]]:
        """What the device says now, and the marks whose buttons went down since the last time."""
        state = TeleopState() if self.teleop is None else self.teleop.read()
        news = [mark for mark in MARKS if mark in state.buttons and mark not in self._held]
        self._held = state.buttons
        return state, news

    def take(self, teleop: Teleop) -> None:
        """Release the device of the episode before, and go on with this one."""
        self.close()
        self.teleop = teleop

    def wait_for_verdict(self, limit_s: float) -> str | None:
        """A verdict that comes in time, or None. Blocks; the arm must be holding."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            verdicts = [mark for mark in self.read()[1] if mark in STOP_REASONS]
            if verdicts:
                return verdicts[0]
            time.sleep(POLL_S)
        return None

    def close(self) -> None:
        """Release the device. May be called twice."""
        if self.teleop is not None:
            self.teleop.close()
            self.teleop = None


class Kept:
    """A device that outlives the episodes: closing it here leaves it open.

    Args:
        teleop: closed by whoever opened it.
    """

    def __init__(self, teleop: Teleop) -> None:
        self.read = teleop.read

    def close(self) -> None:
        """Leave it open."""


def keep_open(teleop: Teleop) -> Callable[[np.random.Generator], Teleop]:
    """What hands the same device to every episode of a `robot_rl.runtime.collector.Collector`."""
    return lambda rng: Kept(teleop)


def action_of(operator: TeleopState) -> Float32:
    """The action ``[7]`` that an engaged operator asks for.

    Raises:
        DeviceError: it is not finite.
    """
    action = np.append(np.asarray(operator.twist_tcp, np.float32), np.float32(operator.gripper))
    if not np.isfinite(action).all():
        raise DeviceError(f"the operator's command is not finite: {action.tolist()}")
    return np.clip(action, -1.0, 1.0).astype(np.float32)


def judged(record: StepRecord, mark: str, final_obs: Observation) -> StepRecord:
    """The last step of an episode as an operator judges it.

    Args:
        record: its last step.
        mark: one of `STOP_REASONS`.
        final_obs: what was seen after it.
    """
    terminated = mark in (SUCCESS, FAILURE)
    return replace(
        record,
        rewards={**record.rewards, SUCCESS: float(mark == SUCCESS)},
        terminated=terminated,
        truncated=not terminated,
        stop_reason=STOP_REASONS[mark],
        final_obs=final_obs,
    )


def vetoed(record: StepRecord) -> StepRecord:
    """The last step of an episode that ended with a success which was none: nothing ended there but the episode."""
    rewards = {**record.rewards, SUCCESS: 0.0}
    return replace(record, rewards=rewards, terminated=False, truncated=True, stop_reason=VETOED)
