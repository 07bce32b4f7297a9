"""A trained base policy as a value, and on disk: ``base.safetensors`` and ``base.json``. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.base import BaseInfo
from robot_rl.core.config import from_dict, to_dict
from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.core.specs import ACTION_SIZE, ActionSpec, StateSpec
from robot_rl.core.types import Float32
from robot_rl.policies.base.config import BaseConfig
from robot_rl.policies.base.normaliser import Normaliser

FORMAT = 1
WEIGHTS, INFO = "base.safetensors", "base.json"
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class TrainedBase:
    """Weights and all that is needed to ask them.

    Attributes:
        config: how it was made and is sampled. A field of a sampler may be replaced; it is then another base.
        state_spec: layout of the states that it takes.
        action_spec: meaning of its actions, and which of them it gives; the others are 0.
        states: normaliser of the state rows ``[n]``.
        actions: normaliser of the active actions ``[d]``.
        weights: averages by name ``float32``.
        hz: control rate of the demonstrations.
        cameras: ``(h, w, 3)`` of the pictures of each camera that it looks at.
        name: for people.
        card: where it comes from, plain data; decides about nothing.
    """

    config: BaseConfig
    state_spec: StateSpec
    action_spec: ActionSpec
    states: Normaliser
    actions: Normaliser
    weights: Mapping[str, Float32]
    hz: float
    cameras: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    name: str = "base"
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts go together.

        Raises:
            DataError: a normaliser is not as long as the layout says, or an active action does not exist.
        """
        active = self.action_spec.active
        if len(self.states.center) != self.state_spec.size or len(self.actions.center) != len(active):
            raise DataError(
                f"a base with normalisers of {len(self.states.center)} state and {len(self.actions.center)} action "
                f"values, expected {self.state_spec.size} and {len(active)} as its layouts say"
            )
        if not active or len(set(active)) != len(active) or not set(active) <= set(range(ACTION_SIZE)):
            raise DataError(f"a base with the active actions {list(active)}, expected distinct indices below 7")

    @property
    def noise_shape(self) -> tuple[int, int]:
        """Of the noise of one proposal: (T_p, d), or (0, 0) for regression, which has none."""
        if self.config.objective == "regression":
            return 0, 0
        return self.config.horizon, len(self.action_spec.active)

    @cached_property
    def checksum(self) -> str:
        """Of everything that changes an answer, or what it means."""
        return _checksum(_answering(self), _arrays(self))

    @property
    def info(self) -> BaseInfo:
        """For whoever asks it."""
        return BaseInfo(
            self.name,
            self.checksum,
            self.config.horizon,
            self.config.observations,
            self.noise_shape,
            self.hz,
            self.state_spec.checksum,
            dict(self.cameras),
        )


def save_base(folder: Path, base: TrainedBase) -> None:
    """Write a base policy; one that is in the folder already is replaced.

    Raises:
        StorageError: the disk refuses.
    """
    from safetensors.numpy import save

    blob = save({name: np.ascontiguousarray(value) for name, value in _arrays(base).items()})
    data = {
        "format": FORMAT,
        "name": base.name,
        "checksum": base.checksum,
        **_answering(base),
        "config": to_dict(base.config),
        "card": dict(base.card),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / WEIGHTS, blob)
        _replace(folder / INFO, (json.dumps(data, indent=1) + "\n").encode())
    except OSError as e:
        raise StorageError(f"cannot write the base policy {folder}: {e.strerror or e}") from e


def load_base(folder: Path) -> TrainedBase:
    """Read a base policy.

    Raises:
        DataError: there is none, it is damaged, of another format, or its files do not belong together.
    """
    data = _read_info(folder / INFO)
    arrays = _read_arrays(folder / WEIGHTS)
    try:
        base = TrainedBase(
            from_dict(BaseConfig, data["config"]),
            StateSpec.from_list(data["state_spec"]),
            _action_spec(data["action_spec"]),
            Normaliser.from_arrays(arrays, "states"),
            Normaliser.from_arrays(arrays, "actions"),
            {k.removeprefix("weights/"): v for k, v in arrays.items() if k.startswith("weights/")},
            float(data["hz"]),
            {str(k): (int(h), int(w), int(c)) for k, (h, w, c) in data["cameras"].items()},
            str(data["name"]),
            dict(data["card"]),
        )
        found = base.checksum
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as e:
        raise DataError(f"{folder / INFO} does not describe a base policy: {type(e).__name__} {e}") from e
    if found != data.get("checksum"):
        raise DataError(
            f"{folder}: {WEIGHTS} and {INFO} do not belong together or were changed: checksum {found}, "
            f"expected {data.get('checksum')}; copy the whole folder again"
        )
    return base


def _answering(base: TrainedBase) -> dict[str, Any]:
    return {
        "config": base.config.answering(),
        "state_spec": base.state_spec.to_list(),
        "action_spec": asdict(base.action_spec) | {"active": list(base.action_spec.active)},
        "hz": base.hz,
        "cameras": {name: list(shape) for name, shape in base.cameras.items()},
    }


def _arrays(base: TrainedBase) -> dict[str, npt.NDArray[Any]]:
    weights = {f"weights/{name}": value for name, value in base.weights.items()}
    return {**weights, **base.states.arrays("states"), **base.actions.arrays("actions")}


def _checksum(data: Mapping[str, Any], arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _action_spec(data: Mapping[str, Any]) -> ActionSpec:
    return ActionSpec(float(data["position_m"]), float(data["rotation_rad"]), tuple(int(i) for i in data["active"]))


def _read_info(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise DataError(
            f"there is no base policy at {path.parent}: {INFO} is missing; train one with robot-rl bc"
        ) from e
    except (OSError, ValueError, RecursionError) as e:
        raise DataError(f"cannot read {path}: {e}") from e
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        got = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise DataError(f"{path} has the format {got!r}, this program reads format {FORMAT}")
    return data


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, npt.NDArray[Any]] = load(path.read_bytes())
    except OSError as e:
        raise DataError(f"the weights of the base policy are missing: {path}: {e.strerror or e}") from e
    except (SafetensorError, KeyError, ValueError) as e:
        raise DataError(f"{path} is damaged: {e}") from e
    return arrays


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
