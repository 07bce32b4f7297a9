"""An arbiter with an arm to try it on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.controllers.arbiter import (
    ArbiterConfig,
    Command,
    Measurement,
    Mode,
    Output,
    RobotMode,
    SafetyArbiter,
    Verdict,
)
from robot_rl.core.types import Array

HOME = np.array([0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
Q = (0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8)
PERIOD_S = 0.01


def at(dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Array:
    return HOME + np.array([dx, dy, dz, 0, 0, 0, 0])


class Rig:
    """An arbiter at 100 Hz and an arm that is wherever its target is, unless a test says otherwise."""

    def __init__(self, **config: Any) -> None:
        self.arbiter = SafetyArbiter(ArbiterConfig(**config))
        self.k, self.sequence = 0, 0
        self.arm, self.follows = HOME.copy(), True
        self.wrench: npt.ArrayLike = np.zeros(6)
        self.q: npt.ArrayLike = Q
        self.robot_mode = RobotMode.READY
        self.measuring = True
        self.out = self.tick()

    @property
    def t_s(self) -> float:
        return self.k / 100

    def tick(self) -> Output:
        measurement = Measurement(self.t_s, self.arm, self.wrench, self.q, self.robot_mode)
        self.out = self.arbiter.tick(self.t_s, measurement if self.measuring else None)
        if self.follows and self.out.pose_base_tcp is not None:
            self.arm = self.out.pose_base_tcp.copy()
        return self.out

    def step(self, ticks: int = 1) -> Output:
        for _ in range(ticks):
            self.k += 1
            self.tick()
        return self.out

    def send(self, pose: npt.ArrayLike, role: str = "policy", source: str = "actor", **change: Any) -> Verdict:
        self.sequence += 1
        command = Command(role, source, pose, self.t_s, self.sequence)
        return self.arbiter.submit(self.t_s, replace(command, **change))

    def drive(self, pose: npt.ArrayLike, ticks: int, **who: Any) -> Output:
        for _ in range(ticks):
            self.send(pose, **who)
            self.step()
        return self.out

    def names(self) -> list[str]:
        return [fault.name for fault in self.out.faults]


def enabled(**config: Any) -> Rig:
    rig = Rig(**config)
    assert rig.arbiter.enable(rig.t_s).done
    rig.step()
    return rig


def active(**config: Any) -> Rig:
    rig = enabled(**config)
    assert rig.drive(at(), 3).mode is Mode.ACTIVE
    return rig


def target(out: Output) -> Array:
    assert out.pose_base_tcp is not None
    return out.pose_base_tcp


def still(outputs: Iterable[Output]) -> bool:
    poses = np.array([out.pose_base_tcp for out in outputs])
    return bool((poses == poses[0]).all())
