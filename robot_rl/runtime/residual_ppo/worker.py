"""A process that simulates some of the environments: a job as JSON on stdin, then one line an order and an answer.

Orders are ``reset``, which begins an episode in every environment that has a seed, and ``step``. What they are about
lies in `Slots`. The answer is ``ok``, or ``{"error": ...}`` before the process ends. It also ends when stdin is closed,
and leaves Ctrl-C to the one who asked.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from robot_rl.core.errors import RobotRlError
from robot_rl.envs import make_env
from robot_rl.runtime.environment import Env, read_observation
from robot_rl.runtime.residual_ppo.slots import NO_SEED, End, Slots, map_slots

RESET, STEP, DONE = "reset", "step", "ok"


class Workshop:
    """Some of the environments; the one of index i has row ``first + i`` of the slots.

    Args:
        slots: shared with the process that asks.
        first: row of its first environment.
        envs: its environments; closed with it.
    """

    def __init__(self, slots: Slots, first: int, envs: Sequence[Env]) -> None:
        self._slots, self._rows = slots, dict(enumerate(envs, first))

    def reset(self) -> None:
        """Begin an episode in every environment that has a seed; the others rest."""
        for k in self._rows:
            self._slots.rewards[k] = self._slots.successes[k] = 0
            self._slots.ends[k] = End.GOES_ON if self._begin(k) else End.RESTS

    def step(self, resting: frozenset[int]) -> frozenset[int]:
        """One control step of every environment that does not rest.

        Args:
            resting: rows of those that do.

        Returns:
            Rows of those that rest from now on.
        """
        slots, now = self._slots, set(resting)
        for k, env in self._rows.items():
            if k in resting:
                slots.ends[k] = End.RESTS
                continue
            seen, reward, terminated, truncated, info = env.step(slots.actions[k].copy())
            slots.rewards[k], slots.successes[k] = reward, bool(info["success"])
            slots.states[k] = read_observation(seen, env.state_spec).state
            slots.ends[k] = End.TERMINATED if terminated else End.TRUNCATED if truncated else End.GOES_ON
            if terminated or truncated:
                slots.last_states[k] = slots.states[k]
                if not self._begin(k):
                    now.add(k)
        return frozenset(now)

    def resting(self) -> frozenset[int]:
        """Rows of those that `reset` left without an episode."""
        return frozenset(k for k in self._rows if self._slots.ends[k] == End.RESTS)

    def close(self) -> None:
        """Close the environments. May be called twice."""
        for env in self._rows.values():
            env.close()

    def _begin(self, k: int) -> bool:
        """Begin an episode, if there is a seed for it."""
        seed, env = int(self._slots.seeds[k]), self._rows[k]
        if seed == NO_SEED:
            return False
        # In lock-step the start is the seed's alone, also where episodes would begin where the last one ended.
        seen, _ = env.reset(seed=seed, options={"reset_by": "program"})
        self._slots.states[k] = read_observation(seen, env.state_spec).state
        return True


@dataclass(frozen=True)
class Job:
    """What a process is started for, as plain data that crosses the boundary as JSON.

    Attributes:
        handle: open file of the slots.
        envs: rows of the slots.
        state_size: columns of the states.
        first: row of its first environment.
        count: how many it has.
        task: id of the task.
        task_options: options of it.
    """

    handle: int
    envs: int
    state_size: int
    first: int
    count: int
    task: str
    task_options: dict[str, Any]


def main() -> int:
    """Simulate until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = Job(**json.loads(sys.stdin.readline()))
    try:
        for _ in _serve(job):
            print(DONE, flush=True)
    except RobotRlError as e:
        print(json.dumps({"error": str(e)}), flush=True)
        return 2
    except BrokenPipeError:
        return 0
    return 0


def _serve(job: Job) -> Iterator[None]:
    """Do what is asked; an item when the environments are open, and one after each order."""
    slots, _ = map_slots(job.handle, job.envs, job.state_size)
    shop = Workshop(slots, job.first, [make_env(job.task, **job.task_options) for _ in range(job.count)])
    try:
        yield
        resting: frozenset[int] = frozenset()
        for order in sys.stdin:
            if order.strip() == RESET:
                shop.reset()
                resting = shop.resting()
            else:
                resting = shop.step(resting)
            yield
    finally:
        shop.close()


if __name__ == "__main__":
    sys.exit(main())
