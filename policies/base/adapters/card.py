"""The card of a foreign checkpoint: how our observations become its inputs, and its answers our actions.

A JSON file beside the checkpoint. Nothing is guessed: what the card does not declare is refused. ``robot-rl base-card``
writes it::

    {
      "schema": 1,
      "name": "peg-act",                      for people
      "hz": 10.0,                             control rate of its training data
      "horizon": 16,                          actions used of each of its answers
      "observations": 2,                      how many of the newest it looks at
      "noise_shape": [16, 7],                 of the noise of one proposal; [0, 0]: it has none
      "state": [{"name": "tcp_position", ...}, ...],   our state row, as in the header of an episode file
      "state_checksum": "...",                of that row
      "inputs": {"observation.state": ["tcp_position", "gripper_width"]},   its inputs, of which parts of ours
      "cameras": {"wrist": {"input": "observation.images.wrist", "shape": [128, 128, 3]}},
      "action": "ours",                       or what its numbers are: {"dims": ["x", "y", "z"], "scale": [0.02, ...]}
      "task": ""                              what it is told to do, if it understands words
    }

Actions are steps of the tool in its own frame, translation and rotation vector, and the gripper (1 opens, -1 closes).
"ours": seven numbers, 1 is full deflection. Otherwise ``dims`` says which of ours its numbers are, in its order, and
``scale`` how much of each is full deflection of ours, negative where the sign differs; ours that it has not are 0.
Joint angles, absolute poses and steps in another frame cannot be declared: express its training data in tool steps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import ConfigError, DataError, unknown_name
from robot_rl.core.specs import ACTION_NAMES, ACTION_SIZE, StateSpec
from robot_rl.core.types import Float32

SCHEMA = 1
OURS = "ours"
_T = TypeVar("_T")


@dataclass(frozen=True)
class ActionMap:
    """What the numbers of a foreign action are.

    Attributes:
        dims: names of ours, in its order.
        scale: how much of each is full deflection of ours; not 0.
    """

    dims: tuple[str, ...] = ACTION_NAMES
    scale: tuple[float, ...] = (1.0,) * ACTION_SIZE

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming what is wrong.
        """
        for name in self.dims:
            if name not in ACTION_NAMES:
                raise ConfigError(unknown_name("action dimension", name, ACTION_NAMES))
        if not self.dims or len(set(self.dims)) != len(self.dims):
            raise ConfigError(f"the action's dimensions are {list(self.dims)}, expected some of ours, each once")
        if len(self.scale) != len(self.dims) or not all(np.isfinite(s) and s != 0 for s in self.scale):
            raise ConfigError(
                f"the action's scale is {list(self.scale)}, expected {len(self.dims)} numbers other than 0"
            )

    def ours(self, theirs: Float32) -> Float32:
        """Foreign actions ``[..., len(dims)]`` as ours ``[..., 7]``, cut to [-1, 1]; what is not finite stays so.

        Raises:
            DataError: the actions have another size.
        """
        if theirs.shape[-1:] != (len(self.dims),):
            raise DataError(
                f"the policy's actions have the shape {list(theirs.shape)}, its card declares {len(self.dims)} numbers "
                f"({', '.join(self.dims)}): correct the card"
            )
        out = np.zeros((*theirs.shape[:-1], ACTION_SIZE), np.float32)
        scaled = theirs / np.asarray(self.scale, np.float32)
        out[..., [ACTION_NAMES.index(name) for name in self.dims]] = np.clip(scaled, -1.0, 1.0)
        return out

    def to_json(self) -> str | dict[str, Any]:
        """As a card holds it."""
        return OURS if self == ActionMap() else {"dims": list(self.dims), "scale": list(self.scale)}


@dataclass(frozen=True)
class CameraInput:
    """A camera of ours as an input of theirs.

    Attributes:
        input: its name there.
        shape: ``(h, w, 3)`` of the picture.
    """

    input: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Card:
    """What `card` files hold; see the module's text.

    Attributes:
        name: for people.
        hz: control rate of its training data.
        horizon: actions used of each of its answers.
        state: our state row.
        inputs: its inputs, each made of named parts of ours, in order.
        cameras: by our name.
        action: what its numbers are.
        observations: how many of the newest it looks at.
        noise_shape: of the noise of one proposal.
        task: what it is told to do.
    """

    name: str
    hz: float
    horizon: int
    state: StateSpec
    inputs: Mapping[str, tuple[str, ...]]
    cameras: Mapping[str, CameraInput]
    action: ActionMap
    observations: int = 1
    noise_shape: tuple[int, int] = (0, 0)
    task: str = ""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming what is wrong.
        """
        if not (self.hz > 0 and 1 <= self.horizon <= 1000 and 1 <= self.observations <= 100):
            raise ConfigError(
                f"a base of {self.horizon} actions from {self.observations} observations at {self.hz:g} Hz: expected 1 "
                "to 1000, 1 to 100, and a positive rate"
            )
        if len(self.noise_shape) != 2 or (min(self.noise_shape) < 1 and self.noise_shape != (0, 0)):
            raise ConfigError(f"the noise has the shape {self.noise_shape}, expected [steps, dimensions], or [0, 0]")
        for name, parts in self.inputs.items():
            for part in parts:
                if part not in self.state.slices:
                    raise ConfigError(f"input {name!r}: {unknown_name('state part', part, self.state.slices)}")
            if not parts:
                raise ConfigError(f"input {name!r} is made of no part of the state: name some")
        for camera, entry in self.cameras.items():
            if len(entry.shape) != 3 or min(entry.shape) < 1 or entry.shape[2] != 3:
                raise ConfigError(f"the picture of camera {camera!r} has the shape {entry.shape}, expected [h, w, 3]")
        if not self.inputs and not self.cameras:
            raise ConfigError("the policy is given nothing: name inputs or cameras")
        names = [*self.inputs, *(entry.input for entry in self.cameras.values())]
        if len(set(names)) != len(names):
            raise ConfigError(f"an input is named twice among {names}")

    def info(self, checksum: str) -> BaseInfo:
        """What has to be known to ask it."""
        return BaseInfo(
            name=self.name,
            checksum=checksum,
            horizon=self.horizon,
            observations=self.observations,
            noise_shape=self.noise_shape,
            hz=self.hz,
            state_checksum=self.state.checksum,
            cameras={camera: entry.shape for camera, entry in self.cameras.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """As the file holds it."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "hz": self.hz,
            "horizon": self.horizon,
            "observations": self.observations,
            "noise_shape": list(self.noise_shape),
            "state": self.state.to_list(),
            "state_checksum": self.state.checksum,
            "inputs": {name: list(parts) for name, parts in self.inputs.items()},
            "cameras": {n: {"input": c.input, "shape": list(c.shape)} for n, c in self.cameras.items()},
            "action": self.action.to_json(),
            "task": self.task,
        }


def write_card(path: Path, card: Card) -> None:
    """Write a card.

    Raises:
        OSError: the disk refuses.
    """
    path.write_text(json.dumps(card.to_json(), indent=2) + "\n")


def read_card(path: Path) -> Card:
    """Inverse of `write_card`.

    Raises:
        ConfigError: there is none, it misses something, has something unknown, or contradicts itself.
    """
    try:
        found = json.loads(path.read_text())
    except OSError as e:
        raise ConfigError(
            f"{path}: {e.strerror}; a foreign checkpoint needs a card that says what its inputs and actions are, see "
            "docs/adapters.md"
        ) from e
    except ValueError as e:
        raise ConfigError(f"{path} is not JSON: {e}") from e
    try:
        return _card(found)
    except (ConfigError, DataError) as e:
        raise ConfigError(f"{path}: {e}") from e


def _card(found: Any) -> Card:
    _keys("card", found, set(_KEYS))
    if found["schema"] != SCHEMA:
        raise ConfigError(f"a card of schema {found['schema']!r}, expected {SCHEMA}")
    state = StateSpec.from_list(_of(found, "state", list))
    if state.checksum != found["state_checksum"]:
        raise ConfigError(f"state_checksum is {found['state_checksum']!r}, but the state above has {state.checksum!r}")
    cameras = {}
    for camera, entry in _of(found, "cameras", dict).items():
        _keys(f"camera {camera!r}", entry, {"input", "shape"})
        h, w, colours = _integers(entry, "shape", 3)
        cameras[camera] = CameraInput(_of(entry, "input", str), (h, w, colours))
    inputs = _of(found, "inputs", dict)
    steps, dimensions = _integers(found, "noise_shape", 2)
    return Card(
        name=_of(found, "name", str),
        hz=float(_of(found, "hz", (int, float))),
        horizon=_of(found, "horizon", int),
        state=state,
        inputs={name: tuple(map(str, _of(inputs, name, list))) for name in inputs},
        cameras=cameras,
        action=_action(found["action"]),
        observations=_of(found, "observations", int),
        noise_shape=(steps, dimensions),
        task=_of(found, "task", str),
    )


_KEYS = (
    "schema", "name", "hz", "horizon", "observations", "noise_shape", "state", "state_checksum", "inputs", "cameras",
    "action", "task",
)  # fmt: skip


def _action(found: Any) -> ActionMap:
    if found == OURS:
        return ActionMap()
    if not isinstance(found, dict):
        raise ConfigError(
            f'the action is {str(found)[:60]!r}, expected "ours" or {{"dims": [...], "scale": [...]}}: steps of the '
            "tool in its own frame are all that can be adapted"
        )
    _keys("action", found, {"dims", "scale"})
    scale = _of(found, "scale", list)
    if not all(isinstance(s, int | float) and not isinstance(s, bool) for s in scale):
        raise ConfigError(f"the action's scale is {str(scale)[:60]}, expected numbers")
    return ActionMap(tuple(map(str, _of(found, "dims", list))), tuple(map(float, scale)))


def _keys(what: str, found: Any, expected: set[str]) -> None:
    if not isinstance(found, dict):
        raise ConfigError(f"{what} is a {type(found).__name__}, expected a map of {', '.join(sorted(expected))}")
    for key in found.keys() - expected:
        raise ConfigError(unknown_name(f"key of {what}", key, expected))
    if missing := expected - found.keys():
        raise ConfigError(f"{what} says nothing about {', '.join(sorted(missing))}")


def _of(found: Mapping[str, Any], key: str, kind: type[_T] | tuple[type, ...]) -> Any:
    value = found[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ConfigError(f"{key} is {str(value)[:60]!r}, which is not of the expected kind")
    return value


def _integers(found: Mapping[str, Any], key: str, count: int) -> list[int]:
    value = _of(found, key, list)
    if len(value) != count or not all(type(v) is int for v in value):
        raise ConfigError(f"{key} is {str(value)[:60]}, expected {count} whole numbers")
    return list(value)
