"""``robot-rl eval CHECKPOINT``: how good a saved policy is, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.runtime.config import Option


@dataclass(frozen=True)
class EvalArguments:
    """Play episodes from fixed initial states with the deterministic policy and no help, on the cell of the run.

    Attributes:
        checkpoint: folder of a checkpoint, or of a run whose newest checkpoint is meant.
        n: number of episodes.
        seed: base of the initial states; episode i starts from the state of seed + i.
        workers: processes to share the episodes among; the result does not depend on it. Only for the cell sim.
        task: another task than the policy was trained on.
        task_options: other options of the task, as NAME=VALUE.
        cell: another cell than the run acted on: sim for the simulation in this process, ros for the same as ROS 2
            nodes in real time, another bundled cell, or the path of a cell's YAML.
        record: append the result to evaluations.jsonl of the run.
    """

    checkpoint: Annotated[Path, tyro.conf.Positional]
    n: int = 100
    seed: int = 10_000
    workers: int = 1
    task: str | None = None
    task_options: dict[str, Option] = field(default_factory=dict)
    cell: str | None = None
    record: bool = True


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: EvalArguments = parse(EvalArguments, argv, verb="eval")
    from robot_rl.evaluation.checkpoints import evaluate_checkpoint

    result = evaluate_checkpoint(
        a.checkpoint,
        n=a.n,
        seed=a.seed,
        workers=a.workers,
        task=a.task,
        task_options=a.task_options or None,
        cell=a.cell,
        record=a.record,
    )
    row = result.row()
    print(f"95 % Wilson interval [{row['wilson_low']:.3f}, {row['wilson_high']:.3f}]")
    mean, median = row["mean_time_to_success_s"], row["median_time_to_success_s"]
    limit = f"failures counted at the limit of {row['limit_s']:.1f} s"
    print(f"time to success, {limit}: mean {_s(mean)}, median {_s(median)}")
    print(result.line())
    return 0


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
