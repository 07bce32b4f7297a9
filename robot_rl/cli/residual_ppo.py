"""``robot-rl residual-ppo TASK --base RUN``: correct a frozen base by practising in many simulations at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.main import EXIT_INTERRUPTED
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.residual_ppo.config import ResidualPpoConfig

DESCRIPTION = """\
Train a residual on the frozen base policy of RUN with on-policy PPO, in simulation, as ResiP does (arXiv 2407.16677).

It takes millions of environment steps, which only a simulation can give: on a robot, and to save steps, see --algorithm
edit of robot-rl train. Everything is written to runs/TASK/DATE_seedN/ as by robot-rl train, and robot-rl eval plays it.
Ctrl-C saves a checkpoint and exits with code 130.
"""


@dataclass(frozen=True)
class ResidualPpoArguments:
    """Arguments of ``robot-rl residual-ppo``.

    Attributes:
        run: what to do.
    """

    run: Annotated[ResidualPpoConfig, tyro.conf.arg(name="")] = field(default_factory=ResidualPpoConfig)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    config = read_arguments(argv)
    from robot_rl.runtime.residual_ppo.loop import train_residual_ppo

    return 0 if train_residual_ppo(config).finished else EXIT_INTERRUPTED


def read_arguments(argv: Sequence[str]) -> ResidualPpoConfig:
    """The configuration that is asked for; ``--base RUN`` is short for ``--base.path RUN``.

    Raises:
        ConfigError: no task or base is named, or a value is wrong.
    """
    args = ["--base.path" if arg == "--base" else arg for arg in argv]
    task = args.pop(0) if args and not args[0].startswith("-") else None
    if task is None and not {"-h", "--help"} & set(args):
        raise ConfigError("which task? Usage: robot-rl residual-ppo TASK --base RUN; robot-rl tasks lists them")
    default = ResidualPpoArguments(replace(ResidualPpoConfig(), task=task or ResidualPpoConfig.task))
    parsed: ResidualPpoArguments = parse(
        ResidualPpoArguments, args, verb="residual-ppo TASK", description=DESCRIPTION, default=default
    )
    return parsed.run
