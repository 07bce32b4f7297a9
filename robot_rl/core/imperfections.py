"""What a real cell does to commands and readings on their way, as numbers. Everything is off by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from robot_rl.core.config import Range, check_ranges, from_dict, to_dict
from robot_rl.core.crops import CROPS
from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.randomisation import RANDOMISE, Randomisation

IMPERFECTIONS = "imperfections"
OBSERVE_OBJECTS = "observe_objects"
Delay = Annotated[float, Range(0.0, 2.0)]
Chance = Annotated[float, Range(0.0, 1.0)]


@dataclass(frozen=True)
class Imperfections:
    """Latency, jitter, loss and noise between the environment and the devices of a cell, and what lenses add.

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
        camera_exposure_stops: pictures are too bright or too dark by up to this many powers of two of light, drawn for
            each episode.
        camera_drift_stops: the exposure swings slowly by up to this on top, with a period of 4 to 20 s.
        camera_white_balance: gain of red and of blue against green is off by up to this share, for each episode.
        camera_vignetting: corners are darker by up to this share, for each episode.
        camera_blur_px: standard deviation of the blur of a lens out of focus, up to this, for each episode.
        camera_motion_blur_px: length of a smear in a random direction, up to this, for each picture.
        camera_shot_noise: standard deviation of the noise of light itself at white, as a share of white's light; falls
            with the square root of the light.
        camera_read_noise: standard deviation of the noise that is there in the dark, as a share of white's light.
        camera_jpeg: quality at which pictures are compressed on their way, 1 to 95; 0 for no compression.
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
    camera_exposure_stops: Annotated[float, Range(0.0, 4.0)] = 0.0
    camera_drift_stops: Annotated[float, Range(0.0, 2.0)] = 0.0
    camera_white_balance: Annotated[float, Range(0.0, 0.5)] = 0.0
    camera_vignetting: Chance = 0.0
    camera_blur_px: Annotated[float, Range(0.0, 20.0)] = 0.0
    camera_motion_blur_px: Annotated[float, Range(0.0, 40.0)] = 0.0
    camera_shot_noise: Annotated[float, Range(0.0, 0.5)] = 0.0
    camera_read_noise: Annotated[float, Range(0.0, 0.5)] = 0.0
    camera_jpeg: Annotated[int, Range(0, 95)] = 0
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
    def picture_off(self) -> bool:
        """Frames show what is there."""
        optics = (self.camera_exposure_stops, self.camera_drift_stops, self.camera_white_balance)
        lens = (self.camera_vignetting, self.camera_blur_px, self.camera_motion_blur_px)
        return not any((*optics, *lens, self.camera_shot_noise, self.camera_read_noise, self.camera_jpeg))

    @property
    def gripper_off(self) -> bool:
        """The gripper moves when told."""
        return not any((self.gripper_delay_s, self.gripper_jitter_s))

    @property
    def off(self) -> bool:
        """Nothing is imperfect."""
        cameras = self.camera_off and self.picture_off
        return all((self.command_off, self.state_off, self.wrench_off, cameras, self.gripper_off))


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
    camera_exposure_stops=0.3,
    camera_drift_stops=0.1,
    camera_white_balance=0.08,
    camera_vignetting=0.2,
    camera_blur_px=0.6,
    camera_motion_blur_px=1.5,
    camera_shot_noise=0.02,
    camera_read_noise=0.0005,
    camera_jpeg=90,
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


def env_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `robot_rl.envs.make_env` from the sections of a run's configuration in plain data.

    Only what differs from the defaults is named, so that a perfect cell is described as if there were no imperfections.

    Args:
        config: of which ``task_options``, ``imperfections``, ``randomise``, ``crops`` and ``pictures`` are used; a
            section that is absent or damaged counts as empty.
    """
    sections = {name: config.get(name) for name in ("task_options", IMPERFECTIONS, RANDOMISE, CROPS)}
    found = {name: dict(value) if isinstance(value, Mapping) else {} for name, value in sections.items()}
    options = found.pop("task_options")
    for name, usual in ((IMPERFECTIONS, to_dict(Imperfections())), (RANDOMISE, to_dict(Randomisation()))):
        found[name] = {key: value for key, value in found[name].items() if usual.get(key) != value}
    pictures = config.get("pictures")
    if isinstance(pictures, Mapping) and pictures.get("cameras"):
        # What is to be learnt from pictures must not be told.
        options.setdefault(OBSERVE_OBJECTS, False)
    return {**options, **{name: value for name, value in found.items() if value}}
