"""How a cell is run as an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from robot_rl.core.errors import ConfigError

AUTO, PROGRAM, PERSON, NOBODY = "auto", "program", "person", "nobody"
RESET_BY = (AUTO, PROGRAM, PERSON, NOBODY)


@dataclass(frozen=True)
class EnvOptions:
    """How the cell is run as an environment.

    Attributes:
        hz: policy rate.
        observe_objects: the state row holds what the task tells about its objects, which in simulation are their true
            poses; without it a policy knows of them what the pictures show.
        dense_reward: add the change of the task's potential to the sparse success reward.
        force_limit_n: a tool force above it, after the 30 Hz filter of the sensor, ends the episode; 0 disables.
        force_penalty: reward lost by such an end. The end is a truncation, whose value is bootstrapped, so without
            a penalty nothing would tell the policy to be gentle.
        max_state_age_s: an older reading of arm or gripper at a control tick ends the episode; 0 disables.
        max_frame_age_s: the same for pictures.
        reset_by: who puts back the objects that can move. ``program`` does where the cell can, and asks nobody;
            ``person`` asks a person whenever they do not lie where an episode may begin; ``nobody`` leaves them where
            the last episode left them, unless they are out of reach; ``auto`` is ``program`` where the cell can place
            objects, else ``person``.
        reset_tries: resets after which something may still be off before that is an error.
        reset_position_m: how far tool and objects may be from their start.
        reset_rotation_rad: how far the tool may be turned.
        reset_width_m: how far the gripper's opening may be off, where the task moves it.
    """

    hz: float = 10.0
    observe_objects: bool = True
    dense_reward: bool = False
    force_limit_n: float = 80.0
    force_penalty: float = 1.0
    max_state_age_s: float = 0.2
    max_frame_age_s: float = 0.5
    reset_by: str = AUTO
    reset_tries: int = 3
    reset_position_m: float = 0.01
    reset_rotation_rad: float = 0.1
    reset_width_m: float = 0.005

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming the option, its value and what it may be.
        """
        if not 1.0 <= self.hz <= 100.0:
            raise ConfigError(f"hz must lie in [1, 100], got {self.hz}")
        if self.reset_by not in RESET_BY:
            raise ConfigError(f"reset_by must be one of {', '.join(RESET_BY)}, got {self.reset_by!r}")
        if not 1 <= self.reset_tries <= 20:
            raise ConfigError(f"reset_tries must lie in [1, 20], got {self.reset_tries}")
        for name in ("force_limit_n", "force_penalty", "max_state_age_s", "max_frame_age_s"):
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("reset_position_m", "reset_rotation_rad", "reset_width_m"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"{name} must be more than 0, got {getattr(self, name)}")


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of `robot_rl.envs.make_env` as those of `EnvOptions` and those of the task."""
    own = {f.name for f in fields(EnvOptions)}
    run = {name: value for name, value in options.items() if name in own}
    return run, {name: value for name, value in options.items() if name not in own}
