"""A trained base policy as a policy that is played alone, for evaluations and films."""

from __future__ import annotations

from pathlib import Path

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.config import to_dict
from robot_rl.core.errors import DataError
from robot_rl.core.imperfections import env_options
from robot_rl.evaluation.checkpoints import SavedPolicy
from robot_rl.evaluation.run_record import read_config
from robot_rl.evaluation.tables import read_json
from robot_rl.policies.plan import Planner
from robot_rl.policies.planned import PlannedPolicy
from robot_rl.runtime.base_config import BaseConfig
from robot_rl.runtime.pictures import PictureConfig, open_eyes, seeing


def load_saved_base(checkpoint: Path) -> SavedPolicy:
    """The base policy of a checkpoint that ``robot-rl bc`` wrote, followed as its run says.

    Raises:
        DataError: the checkpoint is damaged, or no run lies around it.
        ConfigError: PyTorch is not installed.
    """
    from robot_rl.policies.base.open import open_base

    run_dir = checkpoint.parent.parent
    config, meta = read_config(run_dir / "config.yaml")[0], read_json(run_dir / "run.json")
    task = config.get("task", meta.get("task"))
    if not isinstance(task, str):
        raise DataError(
            f"the checkpoint {checkpoint} names no task: neither config.yaml nor run.json of {run_dir} has one"
        )
    base = open_base(checkpoint)
    told = config.get("replan_every", BaseConfig().replan_every)
    every = min(told if isinstance(told, int) and told >= 1 else 1, base.info.horizon)
    side = next((shape[0] for shape in base.info.cameras.values()), PictureConfig().image_size)
    pictures = PictureConfig(cameras=tuple(base.info.cameras), image_size=side)
    version = int(checkpoint.name) if checkpoint.name.isdigit() else -1
    return SavedPolicy(
        seeing(PlannedPolicy(Planner(base, replan_every=every), version), open_eyes(pictures, copies=1)),
        checkpoint,
        run_dir,
        task,
        env_options({**config, "pictures": to_dict(pictures)}),
        base.info.state_checksum,
        hz=base.info.hz,
        cell=str(config.get("cell") or IN_PROCESS),
        pictures=pictures,
    )
