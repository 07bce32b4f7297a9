"""A sound operator's device, and some with a single defect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robot_rl.core.types import TeleopState


class Teleop:
    def tick(self, seconds: float) -> None:
        pass

    def read(self) -> TeleopState:
        return TeleopState(engaged=True, twist_tcp=np.full(6, 0.5))

    def close(self) -> None:
        pass


class Overdriven(Teleop):
    def read(self) -> TeleopState:
        return TeleopState(engaged=True, twist_tcp=np.full(6, 1.4))


class OneState(Teleop):
    twist = np.zeros(6)

    def read(self) -> TeleopState:
        self.twist += 0.01
        return TeleopState(engaged=True, twist_tcp=self.twist)


class Remote(Teleop):
    """Has a button, and can be unplugged."""

    def __init__(self) -> None:
        self.t_s = self.seen_s = 0.0
        self.tapped = self.engaged = self.unplugged = False

    def tick(self, seconds: float) -> None:
        self.t_s += seconds
        if not self.unplugged:
            self.seen_s = self.t_s

    def read(self) -> TeleopState:
        buttons, self.tapped = frozenset({"success"} if self.tapped else ()), False
        engaged = self.engaged and not self.unplugged
        return TeleopState(engaged, np.full(6, 0.5 * engaged), 0.0, buttons, self.t_s - self.seen_s)


class SeesWhatIsDown(Remote):
    def read(self) -> TeleopState:
        return replace(super().read(), buttons=frozenset())


class KeepsTelling(Remote):
    told: frozenset[str] = frozenset()

    def read(self) -> TeleopState:
        state = super().read()
        self.told |= state.buttons
        return replace(state, buttons=self.told)


class GoesOn(Remote):
    def read(self) -> TeleopState:
        return replace(super().read(), engaged=self.engaged, twist_tcp=np.full(6, 0.5 * self.engaged))


class StaysYoung(Remote):
    def read(self) -> TeleopState:
        return replace(super().read(), age_s=0.0)
