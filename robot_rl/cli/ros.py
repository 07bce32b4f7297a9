"""Modules that need ROS 2, loaded when a verb needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from robot_rl.core.errors import ConfigError


def import_ros(name: str) -> Any:
    """A module of ours that imports ROS 2.

    Raises:
        ConfigError: ROS 2, or something else that it needs, is not installed; says how it gets there.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as e:
        if e.name is None or e.name.startswith("robot_rl"):
            raise
        raise ConfigError(
            f"the module {e.name} is missing: source a ROS 2 workspace, or pip install 'robot-rl[ros]' on x86_64"
        ) from e
