"""From a run's configuration to its cell, environment and operator. Loads no JAX."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

import numpy as np

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.data.cameras import observations
from robot_rl.data.demos import episode_files, read_demos
from robot_rl.data.episode_log import SUFFIX, Episode
from robot_rl.data.labels import LABELS_FILE
from robot_rl.data.relabels import RELABELS_FOLDER, Relabels, read_relabels, relabels_path
from robot_rl.runtime.acting import TeleopFactory
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.demos import record_demos
from robot_rl.runtime.detection import open_judge, open_judges, picture_size
from robot_rl.runtime.environment import Env
from robot_rl.runtime.pictures import PictureConfig, picture_options
from robot_rl.runtime.process_model import open_progress
from robot_rl.runtime.turns import SharedEnv

if TYPE_CHECKING:
    from robot_rl.hardware.cell.description import CellConfig

CELL_SUFFIX = ".yaml"


def open_env(config: TrainConfig) -> Env:
    """The task's environment on the cell of the run.

    Raises:
        ConfigError: unknown task or option, or this machine knows nothing of the cell.
        DeviceError: the cell does not run or answer.
    """
    from robot_rl.envs import make_env

    cell = cell_config(config)
    own_size = cell is None
    return make_env(
        config.task,
        cell=config.cell,
        progress=open_progress(config),
        detector=open_judge(config, real=cell is not None and not cell.simulated),
        **picture_options(config.pictures, config.cameras, own_size=own_size),
        **(picture_size(config) if own_size and not config.pictures.on else {}),
        **config.env_options,
    )


def open_pair(config: TrainConfig) -> tuple[SharedEnv, SharedEnv]:
    """The environments of a run's task and of the one that undoes it, on the one cell of both.

    Raises:
        ConfigError: as `open_env`, or the two are no pair.
        DeviceError: the cell does not run or answer.
    """
    from robot_rl.envs.pair import make_pair

    cell = cell_config(config)
    own_size = cell is None
    return make_pair(
        config.task,
        config.pair,
        cell=config.cell,
        detectors=open_judges(config, real=cell is not None and not cell.simulated),
        **picture_options(config.pictures, config.cameras, own_size=own_size),
        **(picture_size(config) if own_size and not config.pictures.on else {}),
        **config.env_options,
    )


def open_simulation(config: TrainConfig, *, judged: bool = False) -> Env:
    """The same task simulated in this process: for layouts, demonstrations and evaluations during training.

    Args:
        config: of the run.
        judged: let the run's success classifier decide, if it has one; otherwise the task's rules do.

    Raises:
        ConfigError: unknown task or option, or a classifier that does not fit.
    """
    from robot_rl.envs import make_env

    return make_env(
        config.task,
        progress=open_progress(config),
        detector=open_judge(config, real=False) if judged else None,
        **picture_options(config.pictures),
        **(picture_size(config) if judged and not config.pictures.on else {}),
        **config.env_options,
    )


def simulate_pair(config: TrainConfig, *, judged: bool) -> tuple[SharedEnv, SharedEnv]:
    """Both tasks of a pair on one cell simulated in this process.

    Args:
        config: of the run of the first one.
        judged: let their success classifiers decide, if they have any; otherwise their rules do.

    Raises:
        ConfigError: as `open_simulation`, or the two are no pair.
    """
    from robot_rl.envs.pair import make_pair

    return make_pair(
        config.task,
        config.pair,
        detectors=open_judges(config, real=False) if judged else (None, None),
        **picture_options(config.pictures),
        **(picture_size(config) if judged and not config.pictures.on else {}),
        **config.env_options,
    )


def cell_config(config: TrainConfig) -> CellConfig | None:
    """The description of the run's cell as it lies on this machine; None for the simulation in the actor's process.

    Raises:
        ConfigError: it is not on this machine, malformed, or holds another task.
    """
    if config.cell == IN_PROCESS:
        return None
    from robot_rl.envs.graph_cell import describe_cell

    if config.cell.endswith(CELL_SUFFIX) and not Path(config.cell).is_file():
        raise ConfigError(
            f"there is no cell {Path(config.cell).absolute()} on {gethostname()}: its YAML must lie at the path that "
            "--cell gives on the machine that acts, evaluates or records with it"
        )
    return describe_cell(config.cell, config.task, config.task_options)[0]


def check_health(config: TrainConfig, folder: Path) -> None:
    """Refuse to train on a cell of this machine that is not fit for it; the simulation in a process always is.

    Args:
        config: of the run.
        folder: where it writes.

    Raises:
        DeviceError: something is bad; names it and what to do.
        ConfigError: as `cell_config`.
    """
    cell = cell_config(config)
    if cell is not None:
        from robot_rl.runtime.doctor.check import require_healthy

        require_healthy(cell, folder)


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
    scripted expert in simulation. What is there already is kept.

    Raises:
        ConfigError: the run is on a real cell, whose demonstrations cannot be simulated, and no place is configured.
        DataError: the configured place holds none, or some for another task.
        StorageError: they cannot be copied.
    """
    wanted = config.demos
    if wanted.dir is not None:
        check_demos(read_demos(wanted.dir, env.state_spec, config.task), config.pictures)
        sources = episode_files(wanted.dir)
        labels = sources[0].parent / LABELS_FILE
        if labels.is_file():
            _copy(labels, folder / LABELS_FILE)
        if wanted.relabel:
            check_relabels(config, read_relabels(sources[0].parent, wanted.relabel))
            (folder / RELABELS_FOLDER).mkdir(exist_ok=True)
            _copy(relabels_path(sources[0].parent, wanted.relabel), relabels_path(folder, wanted.relabel))
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


def _record(config: TrainConfig, folder: Path, n: int, note: Callable[[str], None]) -> None:
    from robot_rl.envs import make_expert

    # An environment of its own: what was recorded must not shift the training episodes.
    own: Any = open_simulation(config)
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
