"""From a run's configuration to its environment and operator. Loads no JAX."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robot_rl.core.errors import StorageError
from robot_rl.data.demos import episode_files, read_demos
from robot_rl.data.episode_log import SUFFIX
from robot_rl.runtime.collector import Env, TeleopFactory
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.demos import record_demos


def open_env(config: TrainConfig) -> Env:
    """The task's environment as the configuration describes it.

    Raises:
        ConfigError: unknown task or option.
    """
    from robot_rl.envs import make_env

    return make_env(config.task, **config.env_options)


def teleop_factory(config: TrainConfig, env: Env) -> TeleopFactory | None:
    """What builds the operator's stand-in for an episode, or None without corrections."""
    if config.corrections == "none":
        return None
    from robot_rl.envs import make_corrector

    def make(rng: Any) -> Any:
        return make_corrector(env, rng)  # type: ignore[arg-type]

    return make


def gather_demos(config: TrainConfig, folder: Path, env: Env, note: Callable[[str], None]) -> None:
    """See to it that `folder` holds a run's demonstrations.

    They are copied from the configured place, so that a run folder is all that is needed to go on, or recorded by the
    scripted expert. What is there already is kept.

    Raises:
        DataError: the configured place holds none, or some for another task.
        StorageError: they cannot be copied.
    """
    wanted = config.demos
    if wanted.dir is not None:
        read_demos(wanted.dir, env.state_spec, config.task)
        copied = sum(_copy(source, folder / source.name) for source in episode_files(wanted.dir))
        if copied:
            note(f"copied {copied} demonstrations from {wanted.dir}")
        return
    have = len(list(folder.glob(f"*{SUFFIX}")))
    if have < wanted.n:
        _record(config, folder, wanted.n - have, note)


def _copy(source: Path, target: Path) -> bool:
    if target.exists():
        return False
    partial = target.with_name(target.name + ".copy")
    try:
        shutil.copyfile(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as e:
        raise StorageError(f"cannot copy {source} to {target}: {e.strerror or e}") from e
    return True


def _record(config: TrainConfig, folder: Path, n: int, note: Callable[[str], None]) -> None:
    from robot_rl.envs import make_expert

    # An environment of its own: what was recorded must not shift the training episodes.
    own: Any = open_env(config)
    try:
        report = record_demos(
            own,
            lambda rng: make_expert(own, rng),
            n=n,
            seed=config.seed,
            folder=folder,
            task_options=config.env_options,
        )
    finally:
        own.close()
    note(f"recorded {report.kept} demonstrations ({report.failed} failed attempts thrown away)")
