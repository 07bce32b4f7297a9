"""``robot-rl bench``: speeds on this machine, each beside what it is compared with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError

Rows = list[dict[str, Any]]
Name = Literal["rates", "replay", "update", "transport", "log", "policy", "cell", "operator", "reward", "base"]


@dataclass(frozen=True)
class BenchArguments:
    """Measure speeds; close other programs first.

    Attributes:
        what: rates: environment steps per second; replay: batches drawn; update: gradient steps from states, features
            and pictures; transport: records
            and parameters between two processes, beside plain gRPC (needs grpcio: pip install 'robot-rl[bench]');
            log: steps written, read and put into a replay, checkpoints; policy: one action in numpy; cell: how
            punctual control steps are on the simulated cell over ROS 2 with two cameras; operator: from an event at an
            operator's device to the arm's target; reward: one look of the success classifier; base: time of a plan and
            success of a base policy, by how it is sampled (trains two). All but the last four by default.
        peer_python: interpreter of a second environment with gym-hil (rates), lerobot (replay) or sbx-rl (update),
            measured in the same run, round by round.
        minutes: of control steps, for cell.
        n: pushes of each case, for operator; episodes of each sampler, for base.
        task: for base.
        task_options: of it; clearance_mm=0.2 for PegInsert unless given.
        demos: of the scripted expert that are learnt from, for base.
        json: also write the rows to this file.
    """

    what: Annotated[tuple[Name, ...], tyro.conf.Positional] = (
        "rates",
        "replay",
        "update",
        "transport",
        "log",
        "policy",
    )
    peer_python: Path | None = None
    minutes: Annotated[float, Range(0.05, 1440.0)] = 10.0
    n: Annotated[int, Range(1, 100_000)] = 200
    task: str = "PegInsert"
    task_options: dict[str, bool | int | float | str] = field(default_factory=dict)
    demos: Annotated[int, Range(1, 10_000)] = 50
    json: Path | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    arguments: BenchArguments = parse(BenchArguments, argv, verb="bench")
    results = {}
    for name in arguments.what:
        print(f"== {name} ==", flush=True)
        try:
            results[name] = BENCHES[name](arguments)
        except ConfigError as e:
            print(f"left out: {e}", flush=True)
        else:
            print(table(results[name]), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0 if len(results) == len(set(arguments.what)) else 2


def table(rows: Rows) -> str:
    """Rows as aligned text; rows with other columns begin a new block."""
    blocks: list[Rows] = []
    for row in rows:
        if not blocks or list(blocks[-1][0]) != list(row):
            blocks.append([])
        blocks[-1].append(row)
    return "\n\n".join(_block(block) for block in blocks)


def _block(rows: Rows) -> str:
    cells = [list(rows[0])] + [[_text(v) for v in row.values()] for row in rows]
    widths = [max(len(r[i]) for r in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in cells
    ]
    return "\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def _rates(a: BenchArguments) -> Rows:
    from robot_rl.runtime.bench.rates import env_rates

    return env_rates(peer_python=a.peer_python)


def _replay(a: BenchArguments) -> Rows:
    from robot_rl.data.bench import replay_bench

    return replay_bench(peer_python=a.peer_python)


def _update(a: BenchArguments) -> Rows:
    from robot_rl.agents.bench import update_bench
    from robot_rl.agents.bench_pixels import pixel_rows

    rows: Rows = update_bench(peer_python=str(a.peer_python) if a.peer_python is not None else None)
    return rows + pixel_rows()


def _transport(a: BenchArguments) -> Rows:
    from robot_rl.runtime.bench.transport import transport_rates

    return transport_rates()


def _log(a: BenchArguments) -> Rows:
    from robot_rl.runtime.bench.log import checkpoint_rates, log_rates

    return log_rates() + checkpoint_rates()


def _policy(a: BenchArguments) -> Rows:
    from robot_rl.runtime.bench.rates import policy_rates

    return policy_rates()


def _cell(a: BenchArguments) -> Rows:
    from robot_rl.runtime.bench.cell import cell_punctuality

    return cell_punctuality(a.minutes)


def _operator(a: BenchArguments) -> Rows:
    from robot_rl.runtime.bench.operator import operator_latency

    return operator_latency(a.n)


def _reward(a: BenchArguments) -> Rows:
    from robot_rl.runtime.bench.reward import reward_latency

    return reward_latency()


def _base(a: BenchArguments) -> Rows:
    from robot_rl.cli.meter import Meter
    from robot_rl.runtime.bench.base import base_rates

    options = a.task_options or None
    return base_rates(task=a.task, task_options=options, demos=a.demos, episodes=a.n, meter=Meter)


BENCHES: dict[str, Callable[[BenchArguments], Rows]] = {
    "rates": _rates,
    "replay": _replay,
    "update": _update,
    "transport": _transport,
    "log": _log,
    "policy": _policy,
    "cell": _cell,
    "operator": _operator,
    "reward": _reward,
    "base": _base,
}
