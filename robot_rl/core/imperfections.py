"""What a real cell does to commands and readings on their way, as numbers. Everything is off by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from robot_rl.core.config import Range, check_ranges, from_dict, to_dict
from robot_rl.core.errors import ConfigError, unknown_name

IMPERFECTIONS = "imperfections"
Delay = Annotated[float, Range(0.0, 2.0)]
Chance = Annotated[float, Range(0.0, 1.0)]


@dataclass(frozen=True)
class Imperfections:
    """Latency, jitter, loss and noise between the environment and the devices of a cell.

    A message takes its delay plus a random part, uniform between 0 and the jitter. One that would arrive after a later
    one is discarded. The rates only matter where something else of the same stream is not zero.

    Attributes:
        command_delay_s: from `Arm.set_target` to the arm.
        command_jitter_s: random part of it.
        command_drop: chance that a target is lost.
        state_delay_s: from a reading of the arm or the gripper to the environment.
        state_jitter_s: random part of it.
        state_drop: chance that a reading is lost.
        state_hz: readings per second of arm and gripper.
        wrench_noise_n: standard deviation of each force component, independent from reading to reading.
        wrench_noise_nm: the same of each torque component.
        wrench_bias_n: each force component is off by a constant of up to this, drawn for each episode.
        wrench_bias_nm: the same for each torque component.
        camera_delay_s: from the exposure to the environment.
        camera_jitter_s: random part of it.
        camera_drop: chance that a frame is lost.
        camera_hz: exposures per second; every exposure is rendered.
        gripper_delay_s: dead time from `Gripper.command` to the first motion.
        gripper_jitter_s: random part of it.
    """

    command_delay_s: Delay = 0.0
    command_jitter_s: Delay = 0.0
    command_drop: Chance = 0.0
    state_delay_s: Delay = 0.0
    state_jitter_s: Delay = 0.0
    state_drop: Chance = 0.0
    state_hz: Annotated[float, Range(1.0, 1000.0)] = 1000.0
    wrench_noise_n: Annotated[float, Range(0.0, 50.0)] = 0.0
    wrench_noise_nm: Annotated[float, Range(0.0, 10.0)] = 0.0
    wrench_bias_n: Annotated[float, Range(0.0, 50.0)] = 0.0
    wrench_bias_nm: Annotated[float, Range(0.0, 10.0)] = 0.0
    camera_delay_s: Delay = 0.0
    camera_jitter_s: Delay = 0.0
    camera_drop: Chance = 0.0
    camera_hz: Annotated[float, Range(1.0, 120.0)] = 30.0
    gripper_delay_s: Delay = 0.0
    gripper_jitter_s: Delay = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)

    @property
    def command_off(self) -> bool:
        """Targets reach the arm at once."""
        return not any((self.command_delay_s, self.command_jitter_s, self.command_drop))

    @property
    def state_off(self) -> bool:
        """Readings of arm and gripper arrive at once."""
        return not any((self.state_delay_s, self.state_jitter_s, self.state_drop))

    @property
    def wrench_off(self) -> bool:
        """The wrench is as the device says."""
        return not any((self.wrench_noise_n, self.wrench_noise_nm, self.wrench_bias_n, self.wrench_bias_nm))

    @property
    def camera_off(self) -> bool:
        """Frames are exposed when asked for."""
        return not any((self.camera_delay_s, self.camera_jitter_s, self.camera_drop))

    @property
    def gripper_off(self) -> bool:
        """The gripper moves when told."""
        return not any((self.gripper_delay_s, self.gripper_jitter_s))

    @property
    def off(self) -> bool:
        """Nothing is imperfect."""
        return all((self.command_off, self.state_off, self.wrench_off, self.camera_off, self.gripper_off))


# Starting ranges for a Franka cell with a networked computer, not measured on one: docs/imperfections.md.
FRANKA = Imperfections(
    command_delay_s=0.002,
    command_jitter_s=0.018,
    command_drop=0.005,
    state_delay_s=0.001,
    state_jitter_s=0.009,
    state_hz=100.0,
    wrench_noise_n=0.3,
    wrench_noise_nm=0.03,
    wrench_bias_n=0.5,
    wrench_bias_nm=0.05,
    camera_delay_s=0.03,
    camera_jitter_s=0.05,
    camera_drop=0.01,
    camera_hz=30.0,
    gripper_delay_s=0.05,
    gripper_jitter_s=0.25,
)
PRESETS = {"none": Imperfections(), "franka": FRANKA}


def read_imperfections(value: Imperfections | Mapping[str, Any] | str) -> Imperfections:
    """The settings, from themselves, from the name of a preset or from plain data.

    Raises:
        ConfigError: unknown preset or field, or a value out of range.
    """
    if isinstance(value, Imperfections):
        return value
    if not isinstance(value, str):
        return from_dict(Imperfections, value, "imperfections")
    if value not in PRESETS:
        raise ConfigError(unknown_name("preset of imperfections", value, PRESETS))
    return PRESETS[value]


def env_options(task_options: Mapping[str, Any], imperfections: Any) -> dict[str, Any]:
    """Options of `robot_rl.envs.make_env` from the two sections of a run's configuration in plain data.

    Only what differs from the defaults is named, so that a cell without imperfections is described as if there were
    no such thing.
    """
    usual = to_dict(Imperfections())
    section = imperfections if isinstance(imperfections, Mapping) else {}
    changed = {name: value for name, value in section.items() if usual.get(name) != value}
    return {**task_options, IMPERFECTIONS: changed} if changed else dict(task_options)
