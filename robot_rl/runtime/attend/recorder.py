"""Recording demonstrations of a person who attends from another process, such as the console."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from robot_rl.core.errors import StorageError
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.attend.tell import Teller
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.config import Option
from robot_rl.runtime.demos import DemoReport, record_by_hand
from robot_rl.runtime.environment import Env

CONSOLE = "console"
"""The device of whoever attends, by name."""
RECORDER = "recorder"
"""Name of the actor that records."""


def record_for_guests(
    env: Env,
    *,
    n: int,
    seed: int,
    folder: Path,
    task_options: Mapping[str, Option],
    on_episode: Callable[[int, int], None],
) -> DemoReport:
    """As `robot_rl.runtime.demos.record_by_hand`, for whoever attends.

    Args:
        env: the task's environment; stays open.
        n: as there, like the rest.
        seed: as there.
        folder: as there.
        task_options: as there.
        on_episode: as there.

    Raises:
        StorageError: nobody could attend; says why.
        DataError: as there.
        DeviceError: as there.
    """
    counts = [0, 0]

    def count(kept: int, failed: int) -> None:
        counts[:] = [kept, failed]
        on_episode(kept, failed)

    with closing(Attended(f"demos-{env.task_id}-{os.getpid()}", RECORDER)) as attended:
        if attended.problem:
            raise StorageError(attended.problem)
        teller = Teller(attended)

        def tell(collector: Collector) -> None:
            done = f"{counts[0]} of {n} recorded, {counts[1]} without success"
            prompt = collector.prompt or ("Take over to begin a demonstration." if collector.fresh else "")
            status = ActorStatus(progress=done, prompt=prompt, task=env.task_id, task_options=task_options)
            teller.tell(collector, status)

        return record_by_hand(
            env,
            attended,
            n=n,
            seed=seed,
            folder=folder,
            task_options=task_options,
            on_episode=count,
            on_step=tell,
        )
