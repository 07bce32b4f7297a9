"""``robot-rl bc TASK``: clone demonstrations into a base policy, say how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import tyro

from robot_rl.cli.arguments import parse, take_option
from robot_rl.cli.main import EXIT_INTERRUPTED
from robot_rl.core.config import merge, read_yaml
from robot_rl.core.errors import ConfigError
from robot_rl.core.imperfections import PRESETS as IMPERFECT
from robot_rl.core.imperfections import read_imperfections
from robot_rl.core.randomisation import PRESETS as RANDOM
from robot_rl.core.randomisation import read_randomisation
from robot_rl.policies.base.config import BaseConfig
from robot_rl.runtime.cloning.config import CloneConfig, CloneOptions

DESCRIPTION = f"""\
Clone demonstrations of TASK into a base policy: one that proposes chunks of actions, and that learning can later
correct or choose from (robot-rl train --base RUN).

Without --demos, demonstrations are recorded first. Values are merged in this order, later ones win: defaults, --config,
--imperfections and --randomise PRESET, flags. Everything is written to runs/TASK/DATE_seedN/: config.yaml, learner.csv
(losses), demos/, checkpoints/, evaluations.jsonl, report.html; robot-rl eval RUN plays it again. Short forms: --steps
for --fit.steps, --cameras for --sight.cameras, --demos 50 for --n-demos 50. Presets of imperfections:
{", ".join(IMPERFECT)}; of randomise: {", ".join(RANDOM)}.
"""
SHORT = {"--steps": "--fit.steps", "--cameras": "--sight.cameras"}


@dataclass(frozen=True)
class BcArguments:
    """Arguments of ``robot-rl bc``.

    Attributes:
        config: YAML file with any of the values below, as in a run's config.yaml.
        options: the run.
        model: the base policy.
    """

    config: Path | None = None
    options: Annotated[CloneOptions, tyro.conf.arg(name="")] = field(default_factory=CloneOptions)
    model: Annotated[BaseConfig, tyro.conf.arg(name="")] = field(default_factory=BaseConfig)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    config = read_arguments(argv)
    from robot_rl.cli.meter import Meter
    from robot_rl.runtime.cloning.run import clone

    result = clone(config, note=lambda line: print(line, flush=True), meter=Meter)
    return 0 if result.finished else EXIT_INTERRUPTED


def read_arguments(argv: Sequence[str]) -> CloneConfig:
    """Merge defaults, file and flags.

    Raises:
        ConfigError: a key or value is wrong, or no task is named.
    """
    args = [_short(arg, following) for arg, following in zip_longest(argv, argv[1:], fillvalue="")]
    task = args.pop(0) if args and not args[0].startswith("-") else None
    file, imperfections, randomise = (take_option(args, f"--{n}") for n in ("config", "imperfections", "randomise"))
    base = CloneConfig()
    if file is not None:
        base = merge(base, read_yaml(Path(file)))
    if imperfections is not None:
        base = replace(base, imperfections=read_imperfections(imperfections))
    if randomise is not None:
        base = replace(base, randomise=read_randomisation(randomise))
    if task is not None:
        base = merge(base, {"task": task})
    elif file is None and not {"-h", "--help", "--task"} & set(args):
        raise ConfigError("which task? Usage: robot-rl bc TASK; robot-rl tasks lists them")
    options = CloneOptions(**{f.name: getattr(base, f.name) for f in fields(CloneOptions)})
    default = BcArguments(Path(file) if file else None, options, base.model)
    parsed: BcArguments = parse(BcArguments, args, verb="bc TASK", description=DESCRIPTION, default=default)
    return CloneConfig(**{f.name: getattr(parsed.options, f.name) for f in fields(CloneOptions)}, model=parsed.model)


def _short(arg: str, following: str) -> str:
    if arg == "--demos" and following.isdigit():
        return "--n-demos"
    name, sep, value = arg.partition("=")
    return SHORT.get(name, name) + sep + value
