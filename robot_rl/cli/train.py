"""``robot-rl train TASK``: merge the configuration, train, say how it went."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import tyro

from robot_rl.agents.config import PRESETS
from robot_rl.agents.config import preset as agent_preset
from robot_rl.agents.edit_config import EDIT_PRESETS, EditConfig
from robot_rl.cli.arguments import parse, take_option
from robot_rl.cli.main import EXIT_INTERRUPTED
from robot_rl.core.config import merge, read_yaml, to_dict
from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.imperfections import PRESETS as IMPERFECT
from robot_rl.core.imperfections import read_imperfections
from robot_rl.core.randomisation import PRESETS as RANDOM
from robot_rl.core.randomisation import read_randomisation
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.run_folder import RunFolder, open_run

DESCRIPTION = f"""\
Train a policy for TASK with demonstrations, practice and, if wanted, corrections.

Values are merged in this order, later ones win: defaults, --preset, --config, --imperfections, --randomise and --edit
PRESET, flags. Everything is written to runs/TASK/DATE_seedN/: config.yaml, episodes.csv, learner.csv, episodes/,
checkpoints/, tb/, report.html. Ctrl-C saves and exits with code 130; --resume goes on, also after a crash. Presets of
the agent: {", ".join([*PRESETS, "auto"])}; of imperfections: {", ".join(IMPERFECT)}; of randomise: {", ".join(RANDOM)};
of edit, which corrects the policy that --base PATH names: {", ".join(EDIT_PRESETS)}.
"""


@dataclass(frozen=True)
class TrainArguments:
    """Arguments of ``robot-rl train``.

    Attributes:
        preset: hyper-parameters of the agent by name; ``auto``, which is what a new run without --config gets, fits
            ensemble and update-to-data ratio to this machine.
        config: YAML file with any of the values below, nested as in a run's config.yaml.
        resume: run folder to go on with; its config.yaml takes the place of the defaults.
        accept_loss: resume although the run's log lacks steps that the checkpoint was made with.
        console: serve the operator's page of these runs meanwhile, see `robot-rl console`.
        require_healthy: look at the cell first, as `robot-rl doctor CELL` does, and refuse if something is bad.
        train: the run.
    """

    preset: str | None = None
    config: Path | None = None
    resume: Path | None = None
    accept_loss: bool = False
    console: bool = False
    require_healthy: bool = False
    train: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    arguments = read_arguments(argv)
    if arguments.require_healthy:
        _check_health(arguments.train)
    from robot_rl.runtime.train import train

    beside = _console(arguments.train.out_dir) if arguments.console else nullcontext()
    with beside:
        result = train(arguments.train, resume=_resumed(arguments), accept_loss=arguments.accept_loss)
    return 0 if result.finished else EXIT_INTERRUPTED


def read_arguments(argv: Sequence[str]) -> TrainArguments:
    """Merge defaults, preset, file, run and flags.

    Raises:
        ConfigError: a key or value is wrong, or the task does not fit the run to resume.
    """
    args = [_short_flag(arg, following) for arg, following in zip_longest(argv, argv[1:], fillvalue="")]
    task = args.pop(0) if args and not args[0].startswith("-") else None
    preset, file, resume = (take_option(args, flag) for flag in ("--preset", "--config", "--resume"))
    imperfections, randomise, edit = (take_option(args, flag) for flag in ("--imperfections", "--randomise", "--edit"))
    base = TrainConfig() if resume is None else open_run(Path(resume)).config()
    asks_help = bool({"-h", "--help"} & set(args))
    if preset is None and file is None and resume is None and not asks_help:
        preset = "auto"
    if preset is not None:
        base = merge(base, {"agent": to_dict(agent_preset(preset))})
    if file is not None:
        base = merge(base, read_yaml(Path(file)))
    if imperfections is not None:
        base = replace(base, imperfections=read_imperfections(imperfections))
    if randomise is not None:
        base = replace(base, randomise=read_randomisation(randomise))
    if edit is not None:
        base = merge(base, {"edit": to_dict(_edit_preset(edit))})
        args = ["--algorithm", "edit", *args]  # not checked before --base is known
    if task is not None:
        if resume is not None and task != base.task:
            raise ConfigError(f"the run {resume} trains {base.task}, not {task}")
        base = merge(base, {"task": task})
    elif resume is None and file is None and not asks_help and "--task" not in args:
        raise ConfigError("which task? Usage: robot-rl train TASK; robot-rl tasks lists them")
    paths = (Path(file) if file else None, Path(resume) if resume else None)
    default = TrainArguments(preset, *paths, train=base)
    parsed: TrainArguments = parse(TrainArguments, args, verb="train TASK", description=DESCRIPTION, default=default)
    return parsed


def _edit_preset(name: str) -> EditConfig:
    if name not in EDIT_PRESETS:
        raise ConfigError(unknown_name("--edit", name, EDIT_PRESETS))
    return EDIT_PRESETS[name]


def _short_flag(arg: str, following: str) -> str:
    """``--demos DIR``, ``--demos 20``, ``--base PATH``: short for ``--demos.dir``, ``--demos.n``, ``--base.path``."""
    if arg == "--base":
        return "--base.path"
    if arg != "--demos":
        return arg
    return "--demos.n" if following.isdigit() else "--demos.dir"


def _check_health(config: TrainConfig) -> None:
    from robot_rl.runtime.tasks import check_health

    if not config.actors:
        raise ConfigError(
            "--require-healthy looks at a cell of this machine: give it to robot-rl act, where the cell is"
        )
    check_health(config, config.out_dir)


@contextmanager
def _console(folder: Path) -> Iterator[None]:
    """A console in a process of its own, which Ctrl-C ends as it ends the training; it says itself where it is."""
    process = subprocess.Popen([sys.executable, "-m", "robot_rl.cli", "console", "--folder", str(folder)])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _resumed(arguments: TrainArguments) -> RunFolder | None:
    return None if arguments.resume is None else open_run(arguments.resume)
