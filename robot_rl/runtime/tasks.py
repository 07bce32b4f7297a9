"""From a run's configuration to its cell, environment and operator. Loads no JAX."""

from __future__ import annotations

from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.acting import TeleopFactory
from robot_rl.runtime.based import BasedEnv, on_base
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.detection import open_judge, open_judges, picture_size
from robot_rl.runtime.environment import Env
from robot_rl.runtime.pictures import picture_options
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
    env = make_env(
        config.task,
        cell=config.cell,
        progress=open_progress(config),
        detector=open_judge(config, real=cell is not None and not cell.simulated),
        **picture_options(config.pictures, config.cameras, own_size=own_size),
        **(picture_size(config) if own_size and not config.pictures.on else {}),
        **config.env_options,
    )
    return on_base(config.base_use, env)


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

    env = make_env(
        config.task,
        progress=open_progress(config),
        detector=open_judge(config, real=False) if judged else None,
        **picture_options(config.pictures),
        **(picture_size(config) if judged and not config.pictures.on else {}),
        **config.env_options,
    )
    return on_base(config.base_use, env)


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

    own = env.unwrapped if isinstance(env, BasedEnv) else env

    def make(rng: Any) -> Any:
        return make_corrector(own, rng)  # type: ignore[arg-type]

    return make
