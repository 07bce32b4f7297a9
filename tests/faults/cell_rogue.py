"""A commander that should not be there: ``python -m tests.faults.cell_rogue CELL.yaml KIND HZ SECONDS``.

Kinds: ``good`` (holds where the tool is, as a second commander), ``nan``, ``not_unit``, ``wrong_frame``, ``old``,
``future``. Prints the time of its first message.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from geometry_msgs.msg import PoseStamped

from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import load_cell
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import pose_message, pose_of

HERE = "base"


def spoiled(kind: str, pose: Array) -> PoseStamped:
    now_s = time.time()
    if kind == "nan":
        pose = pose.copy()
        pose[1] = float("nan")
    if kind == "not_unit":
        pose = pose * [1, 1, 1, 2, 2, 2, 2]
    age_s = {"old": 5.0, "future": -5.0}.get(kind, 0.0)
    return pose_message(pose, "world" if kind == "wrong_frame" else HERE, now_s - age_s)


def main() -> int:
    cell, kind, hz, seconds = sys.argv[1:]
    spinner = Spinner("rogue", load_cell(cell))
    try:
        poses: list[Array] = []
        keep: Callable[[PoseStamped], None] = lambda message: poses.append(pose_of(message))  # noqa: E731
        spinner.node.create_subscription(PoseStamped, names.CURRENT_POSE, keep, qos.STREAM_IN)
        wish = spinner.node.create_publisher(PoseStamped, names.wish("policy"), qos.COMMAND)
        while not (poses and wish.get_subscription_count()):
            time.sleep(0.01)
        time.sleep(0.2)
        print(time.time(), flush=True)
        for _ in range(int(float(hz) * float(seconds))):
            wish.publish(spoiled(kind, poses[-1]))
            time.sleep(1 / float(hz))
    finally:
        spinner.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
