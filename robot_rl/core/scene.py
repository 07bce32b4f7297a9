"""The objects of a task as plain data: what a simulator builds, and what a person sets up on a real cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rgba = tuple[float, float, float, float]


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in its object's frame.

    Attributes:
        half_size_m: half edge lengths (x, y, z).
        position_m: centre in the object's frame.
        rgba: colour.
        collides: False for decoration.
    """

    half_size_m: tuple[float, float, float]
    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rgba: Rgba = (0.6, 0.6, 0.6, 1.0)
    collides: bool = True


@dataclass(frozen=True)
class SceneObject:
    """A rigid object made of boxes.

    Attributes:
        name: by which `robot_rl.core.protocols.World` knows it.
        boxes: its shape.
        mass_kg: of the whole object; only matters when it is free.
        mount: ``free`` moves under physics, ``fixture`` stays where it is placed, ``hand`` is held rigidly, its frame
            being the tool centre point.
        friction: sliding friction coefficient of its surfaces.
    """

    name: str
    boxes: tuple[Box, ...]
    mass_kg: float = 0.05
    mount: Literal["free", "fixture", "hand"] = "free"
    friction: float = 0.4
