"""Processor time of one tick of the arbiter: ``python -m robot_rl.controllers.arbiter_bench``."""

from __future__ import annotations

import time

import numpy as np

from robot_rl.controllers import se3
from robot_rl.controllers.arbiter import Command, Measurement, SafetyArbiter
from robot_rl.core.types import Array

_HERE = np.array([0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
_Q_RAD = np.array([0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8])
_HZ = 100
_WARM_UP = 100


def measure(wish: Array, *, arm_follows: bool, ticks: int = 3000) -> tuple[Array, Array]:
    """Processor time of each tick and of each command at 100 Hz, without the first hundred.

    Args:
        wish: the pose that is commanded every tick ``[7]``.
        arm_follows: whether the arm is where its target was, or blocked.
        ticks: how many, more than 100.

    Returns:
        Seconds ``[ticks - 100]`` of `SafetyArbiter.tick`, and of `SafetyArbiter.submit`.
    """
    arbiter, pose = SafetyArbiter(), _HERE
    arbiter.tick(0.0, Measurement(0.0, pose, np.zeros(6), _Q_RAD))
    arbiter.enable(0.0)
    spent_ns = np.zeros((ticks, 2))
    for k in range(ticks):
        t_s = (k + 1) / _HZ
        command = Command("policy", "bench", wish, t_s, k)
        measurement = Measurement(t_s, pose, np.zeros(6), _Q_RAD)
        start_ns = time.process_time_ns()
        arbiter.submit(t_s, command)
        between_ns = time.process_time_ns()
        out = arbiter.tick(t_s, measurement)
        spent_ns[k] = time.process_time_ns() - between_ns, between_ns - start_ns
        pose = out.pose_base_tcp if arm_follows and out.pose_base_tcp is not None else pose
    return spent_ns[_WARM_UP:, 0] * 1e-9, spent_ns[_WARM_UP:, 1] * 1e-9


def main() -> None:
    """Print a table."""
    near = se3.apply_tool_delta(_HERE, [0.05, 0.0, 0.0, 0.0, 0.0, 0.0])
    far = np.concatenate([[9.0, 9.0, 9.0], se3.apply_tool_delta(_HERE, [0, 0, 0, 1.5, 1.0, 0.9])[3:]])
    print("| case | tick p50, ms | tick p99, ms | command p50, ms |\n|---|---|---|---|")
    for name, wish, follows in (("within all limits", near, True), ("every limit acts, arm blocked", far, False)):
        tick_s, command_s = measure(wish, arm_follows=follows)
        p50, p99 = np.percentile(tick_s, [50, 99]) * 1e3
        print(f"| {name} | {p50:.2f} | {p99:.2f} | {np.median(command_s) * 1e3:.3f} |")


if __name__ == "__main__":
    main()
