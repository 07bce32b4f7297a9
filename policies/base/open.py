"""Opening a base policy by where it is: a folder of ours, or somebody else's checkpoint or server."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.policies.base.adapters import is_foreign, open_foreign
from robot_rl.policies.base.checkpoint import INFO, load_base


def open_base(where: str | Path) -> BasePolicy:
    """The base policy at a place.

    Args:
        where: a folder with ``base.json``, a run folder whose newest such checkpoint is meant, or what
            `robot_rl.policies.base.adapters.open_foreign` opens.

    Raises:
        DataError: there is none, or it is damaged.
        ConfigError: a library that it needs is not installed.
        DeviceError: it runs elsewhere and does not answer.
    """
    if isinstance(where, str) and is_foreign(where):
        return open_foreign(where)
    trained = load_base(find_base(Path(where)))
    if find_spec("torch") is None:
        raise ConfigError("torch is not installed: base policies need the extra, pip install 'robot-rl[diffusion]'")
    from robot_rl.policies.base.policy import TorchBase

    return TorchBase(trained)


def find_base(path: Path) -> Path:
    """The folder with ``base.json``: the path itself, or the newest checkpoint of a run folder.

    Raises:
        DataError: there is none; says what was looked for.
    """
    if (path / INFO).is_file():
        return path
    found = [p.parent for p in (path / "checkpoints").glob(f"*/{INFO}") if p.parent.name.isdigit()]
    if not found:
        raise DataError(
            f"there is no base policy at {path}, expected a run of robot-rl bc or a folder with {INFO}; "
            "train one with robot-rl bc TASK"
        )
    return max(found, key=lambda p: int(p.name))
