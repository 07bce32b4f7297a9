"""The target filter of the impedance law, for a robot whose own law has none: targets come ten times a second."""

from __future__ import annotations

import math

import numpy as np

from robot_rl.controllers.se3 import quat_angle, slerp
from robot_rl.core.types import Array

_THERE_M, _THERE_RAD = 1e-6, 1e-6


class Servo:
    """First-order filter from target to reference, exact for steps of any length.

    The same filter as `robot_rl.controllers.impedance` has, so that a policy finds the same arm in simulation.

    Args:
        time_constant_s: 0 switches the filter off.
        pose_base_tcp: target and reference ``[7]`` at the start.
        now_s: time of that.
    """

    def __init__(self, time_constant_s: float, pose_base_tcp: Array, now_s: float) -> None:
        self._time_constant_s = time_constant_s
        self.rest_at(pose_base_tcp, now_s)

    def rest_at(self, pose_base_tcp: Array, now_s: float) -> None:
        """Begin anew with this pose as target and reference."""
        self.target = self._reference = pose_base_tcp
        self._at_s = now_s

    def advance(self, now_s: float) -> Array | None:
        """The reference of this moment ``[7]``; None if it stands at the target already."""
        target, reference = self.target, self._reference
        elapsed_s, self._at_s = max(now_s - self._at_s, 0.0), now_s
        if target is reference:
            return None
        tau_s = self._time_constant_s
        share = -math.expm1(-elapsed_s / tau_s) if tau_s > 0.0 else 1.0
        position = reference[:3] + share * (target[:3] - reference[:3])
        moved = np.concatenate([position, slerp(reference[3:], target[3:], share)])
        there = np.abs(target[:3] - position).max() < _THERE_M and quat_angle(moved[3:], target[3:]) < _THERE_RAD
        self._reference = target if there else moved
        return self._reference
