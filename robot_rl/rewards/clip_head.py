"""Success classifiers on a CLIP: a linear probe on its frozen embeddings, or with adapters in its last blocks.

The model file holds the probe and the adapters alone; the backbone stays in its folder and is named by its checksum.
An adapter is a low-rank product that is added to the weights of a block's two linear layers (LoRA, Hu et al. 2021,
arXiv 2106.09685); open_clip's attention reads its weights past any wrapper, so it is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Array, Image
from robot_rl.rewards.calibrate import calibrated
from robot_rl.rewards.clip_backbone import ClipBackbone, open_backbone
from robot_rl.rewards.model_file import ModelInfo, checked_pictures

HEAD, LORA = "clip_head", "clip_lora"
LAYERS = ("c_fc", "c_proj")


class HeadReward:
    """`robot_rl.rewards.model_file.Scorer` of the kinds ``clip_head`` and ``clip_lora``.

    Args:
        info: of the model.
        arrays: ``<camera>/weight`` ``[D]`` and ``<camera>/bias`` ``[1]`` of the probes on unit embeddings; adapters as
            `merge_adapters` takes them.
        backbone: whose image tower gets the adapters; it serves no other model afterwards.

    Raises:
        DataError: a probe or an adapter is missing.
    """

    def __init__(self, info: ModelInfo, arrays: Mapping[str, Any], backbone: ClipBackbone) -> None:
        self._info, self._arrays, self._backbone = info, arrays, backbone
        missing = [c for c in info.cameras if f"{c}/weight" not in arrays or f"{c}/bias" not in arrays]
        if missing:
            raise DataError(f"the reward model has no probe for the cameras {', '.join(missing)}: train it anew")
        if info.kind == LORA:
            merge_adapters(backbone.visual, arrays, int(info.settings["blocks"]))

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""
        return self._info

    def raw_logits(self, images: Mapping[str, Image]) -> dict[str, Array]:
        """Before calibration ``float64[N]`` by camera.

        Raises:
            DataError: a camera is missing or its pictures have another size.
        """
        out = {}
        for name, pictures in checked_pictures(self._info, images).items():
            x = self._backbone.encode_images(pictures, self._info.cameras[name].preprocess)
            weight, bias = self._arrays[f"{name}/weight"], self._arrays[f"{name}/bias"]
            out[name] = x.astype(np.float64) @ weight.astype(np.float64) + float(bias[0])
        return out

    def score(self, images: Mapping[str, Image]) -> dict[str, Array]:
        """As `robot_rl.rewards.model_file.Scorer.score`."""
        settings = self._info.settings
        return calibrated(self.raw_logits(images), float(settings["offset"]), settings["temperature"])

    def close(self) -> None:
        """Release the backbone. May be called twice."""
        self._backbone.close()


def open_head(info: ModelInfo, arrays: Mapping[str, Any]) -> HeadReward:
    """Open a model file of these kinds.

    Raises:
        ConfigError: the backbone's folder is not on this machine.
        DataError: it is another backbone than the model was trained on.
    """
    folder, checksum = Path(info.settings["backbone"]), str(info.settings["backbone_checksum"])
    return HeadReward(info, arrays, open_backbone(folder, checksum))


def block_layers(visual: Any, blocks: int) -> dict[str, Any]:
    """The linear layers of the last blocks of an image tower, by name.

    Args:
        visual: a transformer of open_clip.
        blocks: how many, counted from the end.

    Raises:
        ConfigError: it has no such blocks, as a convolutional tower has none.
    """
    found = getattr(getattr(visual, "transformer", None), "resblocks", None)
    if found is None or not 1 <= blocks <= len(found):
        there = "none" if found is None else str(len(found))
        raise ConfigError(
            f"adapters were asked for in the last {blocks} blocks of the image tower, which has {there}: ask for "
            "fewer, or train a head"
        )
    first = len(found) - blocks
    return {f"{i}.{layer}": getattr(found[i].mlp, layer) for i in range(first, len(found)) for layer in LAYERS}


def merge_adapters(visual: Any, arrays: Mapping[str, Any], blocks: int) -> None:
    """Add the products ``up @ down`` to the weights of an image tower, in place.

    Args:
        visual: the image tower.
        arrays: ``lora/<block>.<layer>/down`` ``[r, in]`` and ``.../up`` ``[out, r]``.
        blocks: in how many blocks they are.

    Raises:
        DataError: an adapter is missing or of another size.
    """
    for name, layer in block_layers(visual, blocks).items():
        down, up = arrays.get(f"lora/{name}/down"), arrays.get(f"lora/{name}/up")
        if down is None or up is None or (up.shape[0], down.shape[1]) != tuple(layer.weight.shape):
            raise DataError(f"the adapter of {name} is missing or of another image tower: train the model anew")
        with torch.no_grad():
            layer.weight += torch.from_numpy(np.asarray(up, np.float32) @ np.asarray(down, np.float32))
