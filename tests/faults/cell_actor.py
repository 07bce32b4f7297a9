"""A commander as an actor is one: steps an environment over ROS in circles until it is ended.

``python -m tests.faults.cell_actor CELL.yaml TASK [CAMERA ...]`` prints a line of JSON per episode begun and ended.
"""

from __future__ import annotations

import json
import math
import sys
import time

import numpy as np

from robot_rl.core.errors import RobotRlError
from robot_rl.envs import make_env

TURN_S = 2.0


def main() -> int:
    cell, task, *cameras = sys.argv[1:]
    env = make_env(task, cell=cell, cameras=tuple(cameras))
    try:
        for seed in range(10_000):
            try:
                env.reset(seed=seed)
            except RobotRlError as e:
                say(event="refused", reason=str(e))
                time.sleep(0.2)
                continue
            say(event="begun", seed=seed)
            ended, step = False, 0
            while not ended:
                angle = 2 * math.pi * step / (TURN_S * env.hz)
                action = np.zeros(7, np.float32)
                action[0], action[1] = 0.4 * math.cos(angle), 0.4 * math.sin(angle)
                _, _, terminated, truncated, info = env.step(action)
                ended, step = terminated or truncated, step + 1
            say(event="ended", seed=seed, steps=step, reason=info["stop_reason"])
    finally:
        env.close()
    return 0


def say(**facts: object) -> None:
    print(json.dumps({"t_s": time.time(), **facts}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
