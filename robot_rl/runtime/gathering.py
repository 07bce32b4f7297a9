"""See to it that a run folder holds the demonstrations that its run learns from. Loads no JAX."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.data.cameras import observations
from robot_rl.data.demos import episode_files, read_demos
from robot_rl.data.episode_log import SUFFIX, Episode
from robot_rl.data.episode_writer import EpisodeWriter
from robot_rl.data.labels import LABELS_FILE
from robot_rl.data.relabels import RELABELS_FOLDER, Relabels, read_relabels, relabels_path
from robot_rl.runtime.based import BasedEnv, with_plans
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.demos import record_demos
from robot_rl.runtime.environment import Env
from robot_rl.runtime.pictures import PictureConfig
from robot_rl.runtime.tasks import cell_config, open_simulation


def gather_demos(config: TrainConfig, folder: Path, env: Env, note: Callable[[str], None]) -> None:
    """See to it that `folder` holds a run's demonstrations.

    They are copied from the configured place, so that a run folder is all that is needed to go on, or recorded by the
    scripted expert in simulation. What is there already is kept.

    Raises:
        ConfigError: the run is on a real cell, whose demonstrations cannot be simulated, and no place is configured.
        DataError: the configured place holds none, or some for another task.
        StorageError: they cannot be copied.
    """
    wanted = config.demos
    if wanted.dir is not None:
        recorded = env.env if isinstance(env, BasedEnv) else env
        episodes = read_demos(wanted.dir, recorded.state_spec, config.task)
        check_demos(episodes, config.pictures)
        sources = episode_files(wanted.dir)
        labels = sources[0].parent / LABELS_FILE
        if labels.is_file():
            _copy(labels, folder / LABELS_FILE)
        if wanted.relabel:
            check_relabels(config, read_relabels(sources[0].parent, wanted.relabel))
            (folder / RELABELS_FOLDER).mkdir(exist_ok=True)
            _copy(relabels_path(sources[0].parent, wanted.relabel), relabels_path(folder, wanted.relabel))
        if isinstance(env, BasedEnv):
            copied = sum(_plan(episode, folder / episode.path.name, env, config.seed) for episode in episodes)
        else:
            copied = sum(_copy(source, folder / source.name) for source in sources)
        if copied:
            note(f"copied {copied} demonstrations from {wanted.dir}")
        return
    have = len(list(folder.glob(f"*{SUFFIX}")))
    if have < wanted.n:
        cell = cell_config(config)
        if cell is not None and not cell.simulated:
            raise ConfigError(
                f"the cell {config.cell} is no simulation, where the scripted expert could demonstrate: give recorded "
                "episodes with --demos DIR, or none with --demos 0"
            )
        _record(config, folder, wanted.n - have, note)


def check_demos(episodes: Sequence[Episode], pictures: PictureConfig) -> None:
    """Check that demonstrations were recorded with the cameras that are learnt from.

    Raises:
        DataError: one was not; names the file, what it lacks and what it has.
    """
    for episode in episodes:
        seen = observations(episode.records)
        missing = [name for name in pictures.cameras if any(name not in obs.images for obs in seen)]
        if missing:
            have = ", ".join(sorted(seen[0].images)) or "none"
            raise DataError(
                f"{episode.path} lacks pictures of camera {', '.join(missing)}, it has {have}: record demonstrations "
                f"with --cameras {' '.join(pictures.cameras)}, or learn from other cameras"
            )


def check_relabels(config: TrainConfig, relabels: Relabels) -> None:
    """Check that what relabels can come to is not clipped away.

    Raises:
        ConfigError: it would be; says how to widen the range.
    """
    agent = config.agent
    if config.algorithm == "bc" or agent.q_range is None or relabels.component != "process":
        return
    steps = 1.0 if config.demos.relabel_only or agent.gamma == 1.0 else 1.0 / (1.0 - agent.gamma)
    values = np.concatenate(list(relabels.values.values()))
    low, high = min(0.0, steps * float(values.min())), steps * float(values.max())
    if low < agent.q_range[0] or high > max(agent.q_range[1], 0.0) + 1e-6:
        raise ConfigError(
            f"the relabels {relabels.name} come to between {low:.3g} and {high:.3g}, where targets are clipped to "
            f"[{agent.q_range[0]:g}, {agent.q_range[1]:g}]: add --agent.q-range {low:.3g} {max(high, low + 1.0):.3g}"
        )


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


def _plan(episode: Episode, target: Path, env: BasedEnv, seed: int) -> bool:
    """Write an episode with what the run's base would do in each of its states."""
    if target.exists():
        return False
    records = with_plans(episode.records, env.planner, env.state_spec, seed)
    writer = EpisodeWriter(target, replace(episode.meta, state_spec=env.state_spec))
    try:
        for record in records:
            writer.append(record)
    finally:
        writer.close()
    return True


def _record(config: TrainConfig, folder: Path, n: int, note: Callable[[str], None]) -> None:
    from robot_rl.envs import make_expert

    # An environment of its own: what was recorded must not shift the training episodes.
    own: Any = open_simulation(config)
    truth = own.unwrapped if isinstance(own, BasedEnv) else own
    try:
        report = record_demos(
            own,
            lambda rng: make_expert(truth, rng),
            n=n,
            seed=config.seed,
            folder=folder,
            task_options=config.env_options,
        )
    finally:
        own.close()
    note(f"recorded {report.kept} demonstrations ({report.failed} failed attempts thrown away)")
