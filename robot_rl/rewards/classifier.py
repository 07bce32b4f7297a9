"""A success classifier from its file: one small ensemble a view, on pictures or on features of a frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array, Float32, Image
from robot_rl.rewards.calibrate import calibrated
from robot_rl.rewards.cnn import combine, logits
from robot_rl.rewards.drift import Watch
from robot_rl.rewards.model_file import ModelInfo, checked_pictures
from robot_rl.vision.frozen import FrozenEncoder, open_encoder
from robot_rl.vision.preprocess import PreprocessSpec, cropped, preprocess


def check_encoder(info: ModelInfo, encoder: FrozenEncoder | None) -> None:
    """Check that a model is given the features that it was trained on.

    Args:
        info: of the model.
        encoder: that will make them, or None for a model of pictures.

    Raises:
        DataError: it is another encoder.
    """
    wanted = str(info.settings.get("encoder_checksum", ""))
    if encoder is not None and encoder.checksum != wanted:
        raise DataError(
            f"the frozen encoder of this machine has checksum {encoder.checksum}, the {info.kind} model was trained on "
            f"{wanted or 'pictures'}: use the same weight file"
        )


def network_inputs(images: Image, spec: PreprocessSpec, encoder: FrozenEncoder | None) -> Float32:
    """What a view's network is fed: ``float32[N, h, w, c]``.

    Args:
        images: ``uint8[N, H, W, 3]``.
        spec: of the view; a frozen encoder sees its crop and does the rest itself.
        encoder: of the model, or None.
    """
    if encoder is None:
        return preprocess(images, spec)
    return encoder.encode(np.ascontiguousarray(cropped(images, spec))).astype(np.float32)


class Classifier:
    """`robot_rl.rewards.model_file.Scorer` of small ensembles.

    Args:
        info: of the model.
        arrays: its weights, named ``<camera>/<member>/<layer>``.
        encoder: makes the features that its networks are fed, or None for pictures.

    Attributes:
        watches: over its cameras, by name.

    Raises:
        DataError: weights of a camera are missing, or the encoder is another than the model was trained on.
    """

    def __init__(self, info: ModelInfo, arrays: Mapping[str, Any], encoder: FrozenEncoder | None = None) -> None:
        self._info, self._arrays, self._encoder = info, arrays, encoder
        found = {camera: Watch.from_arrays(arrays, f"{camera}/") for camera in info.cameras}
        self.watches = {camera: watch for camera, watch in found.items() if watch is not None}
        missing = [c for c in info.cameras if f"{c}/0/dense0.weight" not in arrays]
        if missing:
            raise DataError(f"the reward model has no weights for the cameras {', '.join(missing)}")
        check_encoder(info, encoder)

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""
        return self._info

    def score(self, images: Mapping[str, Image]) -> dict[str, Array]:
        """As `robot_rl.rewards.model_file.Scorer.score`."""
        settings = self._info.settings
        return calibrated(self.raw_logits(images), float(settings["offset"]), settings["temperature"])

    def raw_logits(self, images: Mapping[str, Image]) -> dict[str, Array]:
        """Before calibration: what the members agree about ``float64[N]`` by camera.

        Raises:
            DataError: as `score`.
        """
        out: dict[str, Array] = {}
        for name, pictures in checked_pictures(self._info, images).items():
            inputs = network_inputs(pictures, self._info.cameras[name].preprocess, self._encoder)
            members = range(int(self._info.settings["members"]))
            out[name] = combine([logits(self._arrays, f"{name}/{m}/", inputs) for m in members]).astype(np.float64)
        return out

    def close(self) -> None:
        """Release the encoder. May be called twice."""
        if self._encoder is not None:
            self._encoder.close()


def open_cnn(info: ModelInfo, arrays: Mapping[str, Any]) -> Classifier:
    """A classifier on pictures."""
    return Classifier(info, arrays)


def open_head(info: ModelInfo, arrays: Mapping[str, Any]) -> Classifier:
    """A classifier on features of a frozen encoder, which is opened by the name in the model's settings.

    Raises:
        ConfigError: the encoder's library or weight file is not on this machine.
        DataError: it is another encoder than the model was trained on.
    """
    return Classifier(info, arrays, open_encoder(str(info.settings["encoder"])))
