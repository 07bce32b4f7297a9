"""What the numbers in a state row and an action mean: names, sizes, units, normalisation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Float32

ACTION_NAMES = ("x", "y", "z", "rx", "ry", "rz", "gripper")
ACTION_SIZE = len(ACTION_NAMES)
GRIPPER = ACTION_NAMES.index("gripper")
GRIPPER_THRESHOLD = 0.5
"""A gripper value above it opens, one below its negative closes, and one between keeps."""


@dataclass(frozen=True)
class Part:
    """One named piece of the state.

    Attributes:
        name: for example ``tcp_velocity``.
        size: number of values.
        unit: for example ``m/s``.
        frame: in which it is expressed, or empty.
        scale: typical magnitude, used to normalise; one number for all values of the part.
        center: value mapped to zero.
    """

    name: str
    size: int
    unit: str
    frame: str = ""
    scale: float = 1.0
    center: float = 0.0


@dataclass(frozen=True)
class StateSpec:
    """Layout of the packed state row, identical in environment, log, replay and network."""

    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Number of values in a row."""
        return sum(p.size for p in self.parts)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each part lies in the row."""
        out, at = {}, 0
        for p in self.parts:
            out[p.name] = slice(at, at + p.size)
            at += p.size
        return out

    @cached_property
    def center(self) -> Float32:
        """Per-value centre ``[size]``."""
        return np.concatenate([np.full(p.size, p.center) for p in self.parts]).astype(np.float32)

    @cached_property
    def scale(self) -> Float32:
        """Per-value scale ``[size]``, positive."""
        return np.concatenate([np.full(p.size, p.scale) for p in self.parts]).astype(np.float32)

    @cached_property
    def checksum(self) -> str:
        """Short hash of the layout and normalisation: stored with data and checkpoints, compared on load."""
        return hashlib.sha256(repr(self.parts).encode()).hexdigest()[:16]

    def pack(self, values: Mapping[str, npt.ArrayLike]) -> Float32:
        """Join named values into one finite float32 row.

        Raises:
            DataError: a part is missing, unknown, of the wrong size or not finite.
        """
        wrong = set(values) ^ set(self.slices)
        if wrong:
            raise DataError(f"state parts {sorted(values)} do not match the expected {sorted(self.slices)}")
        row = np.empty(self.size, np.float32)
        for part in self.parts:
            value = np.asarray(values[part.name], np.float32).reshape(-1)
            if value.size != part.size:
                raise DataError(f"state part {part.name!r} has {value.size} values, expected {part.size}")
            if not np.isfinite(value).all():
                raise DataError(f"state part {part.name!r} is not finite: {value.tolist()}")
            row[self.slices[part.name]] = value
        return row

    def unpack(self, row: npt.NDArray[np.floating]) -> dict[str, npt.NDArray[np.floating]]:
        """Named views into the last axis of a row or of a batch of rows."""
        return {name: row[..., where] for name, where in self.slices.items()}

    def to_list(self) -> list[dict[str, object]]:
        """Plain data for metadata headers."""
        return [vars(p).copy() for p in self.parts]

    @staticmethod
    def from_list(parts: list[dict[str, object]]) -> StateSpec:
        """Inverse of `to_list`.

        Raises:
            DataError: the data does not describe parts.
        """
        try:
            return StateSpec(tuple(Part(**p) for p in parts))  # type: ignore[arg-type]
        except TypeError as e:
            raise DataError(f"not a state specification: {e}") from e


@dataclass(frozen=True)
class ViewSpec:
    """What the networks see of each camera, one array a camera and step.

    Attributes:
        shapes: camera name and ``(h, w, c)`` of its array; none: the networks see the state row alone.
        encoder: empty for pictures, ``uint8[h, w, 3]``; otherwise the checksum of the frozen encoder whose features
            ``float16[h, w, c]`` they are.
    """

    shapes: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    encoder: str = ""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: a camera is named twice, a size is below 1, or pictures do not have three colours.
        """
        if len(set(self.cameras)) != len(self.shapes):
            raise ConfigError(f"a camera is named twice in the views {list(self.cameras)}; name each camera once")
        for name, shape in self.shapes:
            if len(shape) != 3 or min(shape) < 1 or (not self.encoder and shape[2] != 3):
                wanted = "(h, w, c) of a feature map" if self.encoder else "(h, w, 3) of a colour picture"
                raise ConfigError(f"the view of camera {name!r} has shape {shape}, expected {wanted}")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(name for name, _ in self.shapes)

    @property
    def dtype(self) -> type[np.generic]:
        """Of every array: uint8 for pictures, float16 for features."""
        return np.float16 if self.encoder else np.uint8

    @cached_property
    def checksum(self) -> str:
        """Short hash of layout and encoder: what was trained on one kind of views takes no other."""
        return hashlib.sha256(repr((sorted(self.shapes), self.encoder)).encode()).hexdigest()[:16]


NO_VIEWS = ViewSpec()
"""The state row alone."""


@dataclass(frozen=True)
class ActionSpec:
    """Meaning of the seven action values in [-1, 1]: tool-frame translation, rotation vector, gripper.

    Attributes:
        position_m: translation per step at full deflection.
        rotation_rad: rotation per step at full deflection.
        active: indices a policy may use; the others are zero. The environment accepts all seven.
    """

    position_m: float
    rotation_rad: float
    active: tuple[int, ...] = tuple(range(ACTION_SIZE))

    @property
    def step(self) -> npt.NDArray[np.float64]:
        """Tool delta ``[6]`` in m and rad at full deflection."""
        return np.array([self.position_m] * 3 + [self.rotation_rad] * 3)

    @property
    def gripper_active(self) -> bool:
        """Whether the policy commands the gripper."""
        return GRIPPER in self.active

    @property
    def motion(self) -> tuple[int, ...]:
        """Active indices without the gripper."""
        return tuple(i for i in self.active if i != GRIPPER)
