"""Backbones of timm and open_clip as frozen encoders, from local files alone: nothing is ever downloaded.

Maps larger than 4 x 4 are averaged down to it, the tokens of a transformer being laid out as a map first; what has no
map, such as the image tower of a CLIP, gives its embedding as a map of one place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch.nn.functional import adaptive_avg_pool2d

from robot_rl.core.errors import ConfigError, DataError, unknown_name
from robot_rl.vision.frozen import weights_checksum
from robot_rl.vision.preprocess import PreprocessSpec
from robot_rl.vision.torch_encoder import TorchEncoder
from robot_rl.vision.torchvision import ensure_torchvision

LARGEST_MAP = 4


def timm_encoder(name: str, file: Path) -> TorchEncoder:
    """A backbone of timm.

    Args:
        name: for example ``resnet18``.
        file: its weights, safetensors as timm and the Hugging Face hub write them; a classifier in it is passed over.

    Raises:
        ConfigError: timm has no such model, or the file is not there.
        DataError: the file is of another model.
    """
    ensure_torchvision()
    import timm
    from safetensors import SafetensorError
    from timm.data.config import resolve_model_data_config

    if not timm.is_model(name):
        raise ConfigError(unknown_name("model of timm", name, timm.list_models()[:20]))
    if not file.is_file():
        raise ConfigError(f"there is no weight file {file.absolute()}: put it there, or give its path on this machine")
    try:
        model: Any = timm.create_model(name, pretrained=False)
        timm.models.load_checkpoint(model, str(file), strict=True, weights_only=True)
    except (RuntimeError, SafetensorError, OSError, KeyError, ValueError) as e:
        raise DataError(f"{file} does not hold the weights of {name}: {str(e).splitlines()[0]}") from e
    model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    data = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    kernel = "bicubic" if data["interpolation"] == "bicubic" else "bilinear"
    spec = PreprocessSpec(int(data["input_size"][1]), kernel=kernel, mean=tuple(data["mean"]), std=tuple(data["std"]))
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    return TorchEncoder(
        lambda x: as_map(model.forward_features(x), prefix), spec, weights_checksum(name, _arrays(model), spec.checksum)
    )


def open_clip_encoder(folder: Path) -> TorchEncoder:
    """The image tower in a folder as open_clip writes it: configuration, preprocessing and weights together.

    Args:
        folder: holds ``open_clip_config.json`` and the weights as safetensors.

    Raises:
        ConfigError: there is no such folder, or it lacks the configuration.
        DataError: it holds something else.
    """
    ensure_torchvision()
    import open_clip

    config = folder / "open_clip_config.json"
    if not config.is_file():
        raise ConfigError(
            f"{folder.absolute()} holds no open_clip_config.json, expected a folder as open_clip writes it"
        )
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(f"{folder.absolute()} holds no weights, expected open_clip_model.safetensors")
    try:
        told: dict[str, Any] = json.loads(config.read_text(encoding="utf-8")).get("preprocess_cfg", {})
        model = open_clip.create_model(f"local-dir:{folder}", require_pretrained=True)
        size = model.visual.image_size
    except (RuntimeError, OSError, ValueError, KeyError, AttributeError, TypeError) as e:
        raise DataError(f"{folder} holds no usable model of open_clip: {str(e).splitlines()[0]}") from e
    model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    spec = PreprocessSpec(
        int(size[0] if isinstance(size, tuple | list) else size),
        kernel="bicubic" if told.get("interpolation", "bicubic") == "bicubic" else "bilinear",
        mean=tuple(told.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        std=tuple(told.get("std", open_clip.OPENAI_DATASET_STD)),
    )
    tower = model.visual
    return TorchEncoder(
        lambda x: model.encode_image(x, normalize=True)[:, :, None, None],
        spec,
        weights_checksum(f"open_clip {type(tower).__name__}", _arrays(tower), spec.checksum),
    )


def as_map(features: torch.Tensor, prefix_tokens: int) -> torch.Tensor:
    """Features of a backbone as a map ``[N, C, h, w]`` of at most 4 x 4 places.

    Args:
        features: ``[N, C, h, w]``, tokens ``[N, T, C]`` or pooled ``[N, C]``.
        prefix_tokens: how many tokens come before those of the picture's patches.
    """
    if features.ndim == 2:
        return features[:, :, None, None]
    if features.ndim == 3:
        patches = features[:, prefix_tokens:]
        side = round(patches.shape[1] ** 0.5)
        if side * side != patches.shape[1]:
            return patches.mean(1)[:, :, None, None]
        features = patches.transpose(1, 2).reshape(len(patches), -1, side, side)
    height, width = (min(LARGEST_MAP, int(n)) for n in features.shape[2:])
    return adaptive_avg_pool2d(features, (height, width))


def _arrays(model: torch.nn.Module) -> dict[str, npt.NDArray[Any]]:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}
