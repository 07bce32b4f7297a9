"""A reward model on disk: a folder with its weights and everything that must be known to trust them.

``model.safetensors`` holds the arrays, ``model.json`` the rest: what kind of model it is, through which cameras it
looks and what is done to their pictures, its gate, what it was trained on and how it was judged. A model is one value:
whoever loads the folder feeds and reads it as it was trained; its checksum names it wherever its answers are stored.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import ConfigError, DataError, StorageError, unknown_name
from robot_rl.core.types import Array, Image
from robot_rl.rewards.gate import GateSpec
from robot_rl.vision.preprocess import PreprocessSpec

FORMAT = 1
WEIGHTS, INFO = "model.safetensors", "model.json"
KINDS: dict[str, str] = {
    "cnn": "robot_rl.rewards.classifier:open_cnn",
    "head": "robot_rl.rewards.classifier:open_head",
    "preference": "robot_rl.rewards.preference_model:open_preference",
    "clip_text": "robot_rl.rewards.vlm:open_similarity",
    "clip_goal_image": "robot_rl.rewards.vlm:open_similarity",
    "clip_head": "robot_rl.rewards.clip_head:open_head",
    "clip_lora": "robot_rl.rewards.clip_head:open_head",
    "progress": "robot_rl.rewards.progress_model:open_progress_model",
}
"""Where ``open(info, arrays) -> Scorer`` of each kind of model is."""


@dataclass(frozen=True)
class CameraInfo:
    """What a model expects of one camera.

    Attributes:
        shape: ``(height, width)`` of its pictures in pixels.
        preprocess: what is done to them.
    """

    shape: tuple[int, int]
    preprocess: PreprocessSpec


@dataclass(frozen=True)
class ModelInfo:
    """What is known about a model.

    Attributes:
        kind: one of `KINDS`.
        task: id of the task that it judges.
        cameras: by name, in the order in which it looks.
        gate: how its probabilities become success.
        home_base_tcp: home of the task ``[7]``, to which recorded positions refer.
        settings: of this kind of model, plain data.
        card: what it was trained on and when, plain data; ``episodes`` are the ids of the episodes.
        evaluation: how it did on episodes that it has not seen, plain data; empty if nobody has looked.
        version: 1, 2, ... for models that replaced each other in one folder.
        weights: hash of the arrays, set by `write_model`.
    """

    kind: str
    task: str
    cameras: Mapping[str, CameraInfo]
    gate: GateSpec = field(default_factory=GateSpec)
    home_base_tcp: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    settings: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    weights: str = ""

    @property
    def checksum(self) -> str:
        """Names the model: its weights, and all that decides about its answers."""
        data = {k: v for k, v in self.to_dict().items() if k not in ("card", "evaluation", "version")}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def evaluated(self) -> bool:
        """Whether it was judged on episodes that it has not seen, with enough of them to say something."""
        return bool(self.evaluation.get("held_out"))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        cameras = {n: {"shape": list(c.shape), "preprocess": c.preprocess.to_dict()} for n, c in self.cameras.items()}
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        own = {"gate": self.gate.to_dict(), "home_base_tcp": list(self.home_base_tcp), "cameras": cameras}
        return {"format": FORMAT, **plain, **own}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> ModelInfo:
        """Inverse of `to_dict`.

        Raises:
            DataError: it is something else, or of another format.
        """
        if data.get("format") != FORMAT:
            raise DataError(f"a reward model of format {data.get('format')!r}, this program reads format {FORMAT}")
        try:
            values = {f.name: data[f.name] for f in fields(ModelInfo)}
            values["cameras"] = {
                name: CameraInfo((int(c["shape"][0]), int(c["shape"][1])), PreprocessSpec.from_dict(c["preprocess"]))
                for name, c in data["cameras"].items()
            }
            values["gate"] = GateSpec.from_dict(data["gate"])
            values["home_base_tcp"] = tuple(map(float, data["home_base_tcp"]))
            if len(values["home_base_tcp"]) != 7:
                raise DataError(f"home_base_tcp has {len(values['home_base_tcp'])} values, expected 7")
            return ModelInfo(**values)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
            raise DataError(f"not a reward model: {type(e).__name__} {e}") from e


@runtime_checkable
class Scorer(Protocol):
    """A loaded model: pictures in, a probability of success out by every view. Knows nothing of time."""

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""
        ...

    def score(self, images: Mapping[str, Image]) -> dict[str, Array]:
        """Calibrated probability ``float64[N]`` by camera.

        Args:
            images: ``uint8[N, H, W, 3]`` of each camera of the model, equally many.

        Raises:
            DataError: a camera is missing, or its pictures have another size than the model was made for.
        """
        ...

    def close(self) -> None:
        """Release what it holds. May be called twice."""
        ...


def write_model(folder: Path, info: ModelInfo, arrays: Mapping[str, npt.NDArray[Any]]) -> ModelInfo:
    """Write a model; one that is in the folder already is replaced and the version counts on.

    Returns:
        The information as written.

    Raises:
        StorageError: the disk refuses.
    """
    from safetensors.numpy import save

    blob = save({name: np.ascontiguousarray(value) for name, value in arrays.items()})
    before = read_info(folder).version if (folder / INFO).is_file() else 0
    written = replace(info, version=before + 1, weights=hashlib.sha256(blob).hexdigest()[:16])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / WEIGHTS, blob)
    except OSError as e:
        raise StorageError(f"cannot write the model {folder}: {e.strerror or e}") from e
    write_info(folder, written)
    return written


def write_info(folder: Path, info: ModelInfo) -> None:
    """Replace what is known about a model, for example after it was judged.

    Raises:
        StorageError: the disk refuses.
    """
    try:
        _replace(folder / INFO, (json.dumps(info.to_dict(), indent=1) + "\n").encode())
    except OSError as e:
        raise StorageError(f"cannot write {folder / INFO}: {e.strerror or e}") from e


def read_info(folder: Path) -> ModelInfo:
    """What is known about a model, without loading it.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = folder / INFO
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise DataError(
            f"there is no reward model at {folder}: {INFO} is missing; make one with robot-rl reward train"
        ) from e
    except (OSError, ValueError) as e:
        raise DataError(f"cannot read {path}: {e}") from e
    if not isinstance(data, dict):
        raise DataError(f"{path} is no reward model")
    return ModelInfo.from_dict(data)


def read_arrays(folder: Path, info: ModelInfo) -> dict[str, npt.NDArray[Any]]:
    """The weights of a model.

    Raises:
        DataError: they are missing, damaged, or those of another model.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / WEIGHTS
    try:
        blob = path.read_bytes()
        if hashlib.sha256(blob).hexdigest()[:16] != info.weights:
            raise DataError(f"{path} does not hold the weights that {INFO} beside it describes: copy the whole folder")
        arrays: dict[str, npt.NDArray[Any]] = load(blob)
    except OSError as e:
        raise DataError(f"the weights of the reward model are missing: {path}: {e.strerror or e}") from e
    except SafetensorError as e:
        raise DataError(f"{path} is damaged: {e}") from e
    return arrays


def load_reward_model(path: Path) -> Scorer:
    """Open the model in a folder.

    Raises:
        DataError: there is none, or it is damaged.
        ConfigError: its kind is unknown, or a library or weight file that it needs is not there.
    """
    info = read_info(path)
    if info.kind not in KINDS:
        raise ConfigError(unknown_name("kind of reward model", info.kind, KINDS))
    module, _, function = KINDS[info.kind].partition(":")
    scorer: Scorer = getattr(import_module(module), function)(info, read_arrays(path, info))
    return scorer


def checked_pictures(info: ModelInfo, images: Mapping[str, Image]) -> dict[str, Image]:
    """The pictures of a model's cameras, in its order.

    Raises:
        DataError: one is missing or has another size than the model was made for.
    """
    missing = [name for name in info.cameras if name not in images]
    if missing:
        there = ", ".join(sorted(images)) or "none"
        raise DataError(f"the reward model needs the cameras {', '.join(missing)}; there are {there}")
    for name, camera in info.cameras.items():
        shape = images[name].shape
        if len(shape) != 4 or shape[1:] != (*camera.shape, 3) or images[name].dtype != np.uint8:
            raise DataError(
                f"pictures of {name} are {images[name].dtype}{list(shape)}, the reward model was made for "
                f"uint8[N, {camera.shape[0]}, {camera.shape[1]}, 3]: set the camera as it was, or train anew"
            )
    return {name: images[name] for name in info.cameras}


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
