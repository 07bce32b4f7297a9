"""A CLIP of open_clip as a judge's eye: pictures and words into the same space, from a folder of this machine alone.

The folder holds ``open_clip_config.json`` and the weights as safetensors, as open_clip writes it: a weight file alone
would lose the preprocessing it was trained with. Nothing is downloaded and nothing is ever made up: without weights
open_clip would otherwise answer with a random model. Pictures are squashed or cropped to a region on purpose, never to
the centre by default, which would throw away a quarter of a 640 x 480 picture.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch.nn import functional

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Float32, Image
from robot_rl.data.append_file import storage_error
from robot_rl.vision.frozen import weights_checksum
from robot_rl.vision.preprocess import PreprocessSpec, preprocess
from robot_rl.vision.torchvision import ensure_torchvision

CONFIG = "open_clip_config.json"
AT_ONCE = 32


class ClipBackbone:
    """Both towers of a CLIP, frozen. Open one with `open_backbone`.

    Args:
        model: of open_clip, in evaluation mode.
        folder: it came from.
        spec: the preprocessing that belongs to it, for the whole picture.
        cache: folder of embeddings that were made before, a file for each set of pictures, backbone and preprocessing;
            None keeps none.

    Attributes:
        folder: it came from.
        spec: the preprocessing that belongs to it; a crop may be put in its place.
        checksum: of the image tower's weights and of its size, mean and std, whatever the crop.
    """

    def __init__(self, model: Any, folder: Path, spec: PreprocessSpec, cache: Path | None = None) -> None:
        self.folder, self.spec, self._cache = folder, spec, cache
        self._model: Any = model
        weights = {name: tensor.numpy() for name, tensor in model.visual.state_dict().items()}
        self.checksum = weights_checksum(f"clip {type(model.visual).__name__}", weights, spec.checksum)

    @property
    def visual(self) -> Any:
        """The image tower, a torch module from ``[N, 3, S, S]`` to ``[N, D]``.

        Raises:
            DataError: the backbone is closed.
        """
        if self._model is None:
            raise DataError("this backbone is closed: open it again")
        return self._model.visual

    def encode_images(self, images: Image, spec: PreprocessSpec | None = None) -> Float32:
        """Embeddings of unit length ``float32[N, D]`` of pictures ``uint8[N, H, W, 3]``, RGB.

        Args:
            images: pictures, at least one.
            spec: another crop or way to resize than `spec`; size, mean and std stay.

        Raises:
            DataError: these are no pictures, or the embeddings are not finite.
            StorageError: the disk refuses what is to be kept.
        """
        visual, how = self.visual, spec or self.spec
        kept = None if self._cache is None else _place(self._cache, self.checksum, how, images)
        if kept is not None and (known := _kept(kept)) is not None:
            return known
        with torch.inference_mode():
            parts = [
                unit(embed(visual, preprocess(images[i : i + AT_ONCE], how))).numpy()
                for i in range(0, len(images), AT_ONCE)
            ]
        out: Float32 = np.concatenate(parts)
        if not np.isfinite(out).all():
            raise DataError(f"the embeddings of {self.folder} are not finite: its weights are damaged")
        if kept is not None:
            _keep(kept, out)
        return out

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Embeddings of unit length ``float32[N, D]`` of texts.

        Raises:
            ConfigError: the tokenizer of this model is not on this machine.
            DataError: the backbone is closed.
        """
        import open_clip

        if self._model is None:
            raise DataError("this backbone is closed: open it again")
        try:
            tokens = open_clip.get_tokenizer(f"local-dir:{self.folder}")(list(texts))
        except (OSError, ImportError, ValueError) as e:
            raise ConfigError(
                f"the tokenizer of {self.folder} is not on this machine: {str(e).splitlines()[0]}; put its files into "
                "the folder, or make the text embeddings where they are"
            ) from e
        with torch.inference_mode():
            out: Float32 = unit(self._model.encode_text(tokens)).numpy()
        return out

    def close(self) -> None:
        """Free the weights. May be called twice."""
        self._model = None


def open_backbone(folder: Path, expected: str = "", cache: Path | None = None) -> ClipBackbone:
    """Load a folder as open_clip writes it; see there for how to make one.

    Args:
        folder: with configuration and weights.
        expected: checksum that the backbone must have; empty takes any.
        cache: see `ClipBackbone`.

    Raises:
        ConfigError: there is no such folder, or it lacks its configuration or its weights.
        DataError: it holds something else, or is another backbone than expected.
    """
    config = folder / CONFIG
    if not config.is_file():
        raise ConfigError(
            f"{folder.absolute()} holds no {CONFIG}: expected a folder as open_clip writes it, with the configuration "
            "and the weights as safetensors; a weight file alone would lose its preprocessing"
        )
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(f"{folder.absolute()} holds no weights: expected open_clip_model.safetensors beside {CONFIG}")
    ensure_torchvision()
    import open_clip

    try:
        told: dict[str, Any] = json.loads(config.read_text(encoding="utf-8")).get("preprocess_cfg", {})
        model = open_clip.create_model(f"local-dir:{folder}", require_pretrained=True)
        size = model.visual.image_size
        spec = PreprocessSpec(
            int(size[0] if isinstance(size, tuple | list) else size),
            kernel="bicubic" if told.get("interpolation", "bicubic") == "bicubic" else "bilinear",
            mean=tuple(told.get("mean", open_clip.OPENAI_DATASET_MEAN)),
            std=tuple(told.get("std", open_clip.OPENAI_DATASET_STD)),
        )
    except (RuntimeError, OSError, ValueError, KeyError, AttributeError, TypeError, SafetensorError) as e:
        raise DataError(f"{folder} holds no usable model of open_clip: {str(e).splitlines()[0]}") from e
    backbone = ClipBackbone(model.eval().requires_grad_(False), folder, spec, cache)
    if expected and backbone.checksum != expected:
        raise DataError(
            f"the backbone {folder} has checksum {backbone.checksum}, the reward model was made with {expected}: use "
            "the same folder"
        )
    return backbone


def embed(visual: Any, pictures: Float32) -> torch.Tensor:
    """What an image tower makes of preprocessed pictures ``float32[N, S, S, 3]``: ``[N, D]``, not normalised.

    Raises:
        DataError: the tower answers with something else than one embedding a picture.
    """
    out = visual(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    if not isinstance(out, torch.Tensor) or out.ndim != 2:
        raise DataError(f"the image tower {type(visual).__name__} gives no single embedding: take a plain CLIP")
    return out


def unit(x: torch.Tensor) -> torch.Tensor:
    """Rows of unit length, in float32."""
    return functional.normalize(x.float(), dim=-1)


def _place(cache: Path, backbone: str, spec: PreprocessSpec, images: Image) -> Path:
    frames = hashlib.sha256(f"{images.shape}".encode() + np.ascontiguousarray(images).tobytes()).hexdigest()[:24]
    return cache / f"{backbone}-{spec.checksum}-{frames}.safetensors"


def _kept(path: Path) -> Float32 | None:
    try:
        return np.asarray(load_file(path)["embeddings"], np.float32) if path.is_file() else None
    except (SafetensorError, KeyError):
        return None  # cut by a crash: they are made anew


def _keep(path: Path, embeddings: Float32) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file({"embeddings": embeddings}, partial)
        partial.replace(path)
    except OSError as e:
        raise storage_error("write", path, e) from e
