"""LeRobot's replay buffer, timed on request; run by the Python of an environment that has ``lerobot``.

`robot_rl.data.bench` starts this file as ``PYTHON bench_peer.py '{"transitions": 3000, ...}'``, reads one line about
its memory, then writes one line for each round and reads one line of JSON back. It imports nothing of this package,
which that environment does not have.

Its pictures are float32 in [0, 1], as its users store them; each frame is stored once, as ours are
(``optimize_memory``), and its augmentation is switched off (``use_drq``), because ours happens in the update.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from typing import Any


def main() -> None:
    """Answer each line on standard input with the time of one draw."""
    # By name, because neither type checkers nor this package's own environment know them.
    torch: Any = import_module("torch")
    buffer_class: Any = import_module("lerobot.rl.buffer").ReplayBuffer

    work = json.loads(sys.argv[1])
    transitions, size, rows = work["transitions"], work["image_px"], work["batch_size"]
    torch.set_num_threads(work["threads"])
    cameras = [f"observation.images.{name}" for name in work["cameras"]]
    buffer = buffer_class(
        transitions, device="cpu", state_keys=["observation.state", *cameras], use_drq=False, optimize_memory=True
    )
    state = {"observation.state": torch.zeros(1, work["state_size"])}
    state |= {name: torch.rand(1, 3, size, size) for name in cameras}
    action = torch.zeros(1, work["action_size"])
    for i in range(transitions):
        buffer.add(state, action, 0.0, state, done=i % work["episode_steps"] == 0, truncated=False)
    stored = sum(array.nbytes for array in buffer.states.values()) + buffer.actions.nbytes + buffer.rewards.nbytes
    stored += buffer.dones.nbytes + buffer.truncateds.nbytes
    _say({"bytes_per_transition": stored / transitions})
    for _ in sys.stdin:
        start = time.perf_counter()
        buffer.sample(rows)
        _say({"ms": 1e3 * (time.perf_counter() - start)})


def _say(answer: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
