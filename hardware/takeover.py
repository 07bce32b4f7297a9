"""When the robot is the operator's: between the first touch of a device and the end of a correction."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import TeleopState

ENGAGE = "engage"
"""The button that begins and ends a take-over in the mode ``latch``."""
LOST = "lost"
"""Among the buttons while the device of a running take-over is gone."""

Mode = Literal["hold", "latch"]
MODES: tuple[Mode, ...] = ("hold", "latch")


@dataclass(frozen=True)
class TakeOverConfig:
    """How a take-over begins and ends.

    Attributes:
        mode: ``hold``: while the device says so; ``latch``: from one press of `ENGAGE` to the next.
        lost_s: a device that has not reported for longer is gone.
        release_s: in the mode ``hold``, how long the device must have been let go of before the robot is handed back;
            the robot stands still meanwhile.
    """

    mode: Mode = "hold"
    lost_s: Annotated[float, Range(0.05, 10.0)] = 0.5
    release_s: Annotated[float, Range(0.05, 10.0)] = 0.3

    def __post_init__(self) -> None:
        """Check mode and ranges."""
        if self.mode not in MODES:
            raise ConfigError(f"the take-over mode is {self.mode!r}, expected one of {', '.join(MODES)}")
        check_ranges(self)


class TakeOver:
    """A device whose operator keeps the robot through a pause of the fingers and through the loss of the device.

    Of a device that is gone it is not known whether it was let go of. So a take-over that it was in the middle of goes
    on, at a standstill and with `LOST` among the buttons, until the device reports again or the episode is ended. In
    the mode ``hold`` a device that comes back at rest hands the robot back after `release_s`; in the mode ``latch`` the
    take-over goes on. A device that says `LOST` itself, because it is such a take-over seen from afar, is believed.

    Args:
        device: closed with this one.
        mode: see `TakeOverConfig`.
        lost_s: see there.
        release_s: see there.
        now_s: a clock that does not run backwards.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        device: Teleop,
        mode: Mode = "hold",
        lost_s: float = 0.5,
        release_s: float = 0.3,
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = TakeOverConfig(mode, lost_s, release_s)
        self._device, self._now_s = device, now_s
        self._taken = False
        self._let_go_s: float | None = None
        self._before: frozenset[str] = frozenset()

    def read(self) -> TeleopState:
        """The device's reading as the robot is to take it: zero motion while it stands still or is not taken over."""
        now_s = self._now_s()
        state = self._device.read()
        lost = not state.age_s <= self._config.lost_s
        if self._config.mode == "latch":
            self._taken ^= ENGAGE in state.buttons - self._before
        else:
            self._taken = self._is_held(state, now_s - state.age_s, lost)
        self._before = state.buttons
        buttons = state.buttons - {LOST}
        if self._taken and (lost or LOST in state.buttons):
            return replace(_still(state), engaged=True, buttons=buttons | {LOST})
        if self._taken and (state.engaged or self._config.mode == "latch"):
            return replace(state, engaged=True, buttons=buttons)
        return replace(_still(state), engaged=self._taken, buttons=buttons)

    def close(self) -> None:
        """Close the device. May be called twice."""
        self._device.close()

    def _is_held(self, state: TeleopState, t_reported_s: float, lost: bool) -> bool:
        if lost:
            self._let_go_s = None
            return self._taken
        if state.engaged:
            self._let_go_s = None
            return True
        # Counted in the device's own time: what has stopped reporting has not been seen to rest any longer.
        if self._let_go_s is None:
            self._let_go_s = t_reported_s
        return self._taken and t_reported_s - self._let_go_s < self._config.release_s


class Several:
    """Several devices as one: the first that engages has the robot until it lets go.

    A device that vanishes while it has the robot seems to let go: put each into a `TakeOver`, which then keeps it.

    Args:
        devices: at least one, closed with this one; of two that engage at once, the earlier has it.

    Raises:
        ConfigError: there are none.
    """

    def __init__(self, devices: Sequence[Teleop]) -> None:
        if not devices:
            raise ConfigError("got no operator devices to join, expected at least one")
        self._devices = tuple(devices)
        self._owner: int | None = None

    def read(self) -> TeleopState:
        """Motion and age of the one that has the robot, else none and the youngest age; the buttons of all."""
        states = [device.read() for device in self._devices]
        if self._owner is None or not states[self._owner].engaged:
            self._owner = next((i for i, state in enumerate(states) if state.engaged), None)
        buttons = frozenset[str]().union(*(state.buttons for state in states))
        if self._owner is None:
            youngest = min((state.age_s for state in states if not math.isnan(state.age_s)), default=math.inf)
            return TeleopState(buttons=buttons, age_s=youngest)
        return replace(states[self._owner], buttons=buttons)

    def close(self) -> None:
        """Close them all, also if one fails to. May be called twice."""
        with ExitStack() as stack:
            for device in self._devices:
                stack.callback(device.close)


def _still(state: TeleopState) -> TeleopState:
    return replace(state, engaged=False, twist_tcp=np.zeros(6), gripper=0.0)
