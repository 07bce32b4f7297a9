"""How far the simulated scene may look different from episode to episode, as numbers. Everything is off by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from robot_rl.core.config import Range, check_ranges, from_dict
from robot_rl.core.errors import ConfigError, unknown_name

RANDOMISE = "randomise"
MAX_EXTRA_LIGHTS = 2
MAX_DISTRACTORS = 6
Share = Annotated[float, Range(0.0, 1.0)]


@dataclass(frozen=True)
class Randomisation:
    """Domain randomisation of what cameras see; the physics stays as it is.

    All is drawn anew for each episode from the episode's seed, uniformly within plus and minus the value unless said
    otherwise. Drawing one of them does not change the others. A colour of 0.3 moves a colour by 30 % of the way to one
    drawn at random.

    Attributes:
        light_angle_deg: each light is turned about the middle of the table by up to this, about a random axis.
        light_stops: brightness of each light, in powers of two.
        light_colour: gain of each colour channel of each light, as a share.
        extra_lights: up to so many more lights, anywhere above the table.
        ambient_stops: brightness of the light from everywhere, in powers of two.
        table_colour: colour of the table.
        background_colour: colours of floor and sky.
        object_colour: colour of each object of the task.
        robot_colour: colour of arm and hand.
        textures: chance of each of table, floor and sky that a random pattern lies over its colour.
        camera_shift_m: position of each camera along each axis of what it is mounted on.
        camera_turn_deg: each camera is turned by up to this about a random axis.
        camera_fov: vertical field of view, as a share of it.
        distractors: up to so many more things on the table, beside the workspace; nothing collides with them.
    """

    light_angle_deg: Annotated[float, Range(0.0, 60.0)] = 0.0
    light_stops: Annotated[float, Range(0.0, 3.0)] = 0.0
    light_colour: Annotated[float, Range(0.0, 0.9)] = 0.0
    extra_lights: Annotated[int, Range(0, MAX_EXTRA_LIGHTS)] = 0
    ambient_stops: Annotated[float, Range(0.0, 3.0)] = 0.0
    table_colour: Share = 0.0
    background_colour: Share = 0.0
    object_colour: Share = 0.0
    robot_colour: Share = 0.0
    textures: Share = 0.0
    camera_shift_m: Annotated[float, Range(0.0, 0.2)] = 0.0
    camera_turn_deg: Annotated[float, Range(0.0, 30.0)] = 0.0
    camera_fov: Annotated[float, Range(0.0, 0.5)] = 0.0
    distractors: Annotated[int, Range(0, MAX_DISTRACTORS)] = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)

    @property
    def off(self) -> bool:
        """Every episode looks the same."""
        return self == Randomisation()


# Chosen by eye on rendered pictures, not fitted to any cell: docs/imperfections.md shows them.
LIGHTS = Randomisation(light_angle_deg=25.0, light_stops=0.5, light_colour=0.15, extra_lights=1, ambient_stops=0.4)
LAB = Randomisation(
    light_angle_deg=25.0,
    light_stops=0.5,
    light_colour=0.15,
    extra_lights=1,
    ambient_stops=0.4,
    table_colour=0.3,
    background_colour=0.5,
    object_colour=0.1,
    robot_colour=0.05,
    camera_shift_m=0.005,
    camera_turn_deg=1.0,
    camera_fov=0.02,
)
WILD = Randomisation(
    light_angle_deg=50.0,
    light_stops=1.0,
    light_colour=0.4,
    extra_lights=2,
    ambient_stops=1.0,
    table_colour=0.9,
    background_colour=0.9,
    object_colour=0.3,
    robot_colour=0.3,
    textures=0.5,
    camera_shift_m=0.01,
    camera_turn_deg=3.0,
    camera_fov=0.1,
    distractors=6,
)
PRESETS = {"none": Randomisation(), "lights": LIGHTS, "lab": LAB, "wild": WILD}


def read_randomisation(value: Randomisation | Mapping[str, Any] | str) -> Randomisation:
    """The settings, from themselves, from the name of a preset or from plain data.

    Raises:
        ConfigError: unknown preset or field, or a value out of range.
    """
    if isinstance(value, Randomisation):
        return value
    if not isinstance(value, str):
        return from_dict(Randomisation, value, RANDOMISE)
    if value not in PRESETS:
        raise ConfigError(unknown_name("preset of the randomisation", value, PRESETS))
    return PRESETS[value]
