"""Other people's checkpoints as base policies: TorchScript modules, policies behind HTTP, LeRobot checkpoints."""

from __future__ import annotations

from pathlib import Path

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError

TORCHSCRIPT, LEROBOT, HTTP = "torchscript:", "lerobot:", ("http://", "https://")


def is_foreign(where: str) -> bool:
    """Whether an adapter opens this."""
    return where.startswith((TORCHSCRIPT, LEROBOT, *HTTP))


def open_foreign(where: str) -> BasePolicy:
    """Open somebody else's checkpoint.

    Args:
        where: ``torchscript:FILE.pt``, ``lerobot:FOLDER`` or ``http(s)://HOST:PORT``.

    Raises:
        ConfigError: it is none of these, is not there, has no usable card, or a library is missing.
        DataError: the checkpoint is damaged.
        DeviceError: the server does not answer.
    """
    if where.startswith(TORCHSCRIPT):
        try:
            from robot_rl.policies.base.adapters.torchscript import TorchScriptBase
        except ModuleNotFoundError as e:
            raise ConfigError("TorchScript modules need PyTorch: pip install 'robot-rl[diffusion]'") from e
        return TorchScriptBase(Path(where.removeprefix(TORCHSCRIPT)))
    if where.startswith(LEROBOT):
        from robot_rl.policies.base.adapters.lerobot_base import LerobotBase

        return LerobotBase(Path(where.removeprefix(LEROBOT)))
    if where.startswith(HTTP):
        from robot_rl.policies.base.adapters.remote import HttpBase

        return HttpBase(where)
    raise ConfigError(
        f"{where!r} is no foreign base: expected {TORCHSCRIPT}FILE.pt, {LEROBOT}FOLDER or http://HOST:PORT"
    )
