"""A torch network as a frozen encoder: convolutions run several times faster there than in JAX on a processor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from robot_rl.core.errors import DataError
from robot_rl.core.types import Features, Image
from robot_rl.vision.preprocess import PreprocessSpec, preprocess

LIKE_FULL_PRECISION = 0.999
"""Least cosine between features in bfloat16 and in float32 for the former to be used."""
_PROBES = 4
Forward = Callable[[torch.Tensor], torch.Tensor]


class TorchEncoder:
    """`robot_rl.vision.frozen.FrozenEncoder` around a function from ``[N, 3, S, S]`` to ``[N, C, h, w]``.

    Where the processor multiplies matrices of bfloat16 in hardware it is used, unless the features then differ: on
    probe pictures the cosine to those in float32 has to exceed 0.999. Vector instructions for it alone bring nothing.

    Args:
        forward: the network, in evaluation mode.
        spec: what its pictures go through first.
        checksum: of `robot_rl.vision.frozen.weights_checksum`.

    Attributes:
        bfloat16: it computes in bfloat16.
    """

    def __init__(self, forward: Forward, spec: PreprocessSpec, checksum: str) -> None:
        self._forward: Forward | None = forward
        self._spec, self._checksum = spec, checksum
        self.bfloat16 = False
        probes = np.random.default_rng(0).integers(0, 256, (_PROBES, spec.size, spec.size, 3)).astype(np.uint8)
        full = self.encode(probes)
        self._shape: tuple[int, int, int] = full.shape[1], full.shape[2], full.shape[3]
        if _multiplies_bfloat16():
            self.bfloat16 = True
            self.bfloat16 = _cosine(full, self.encode(probes)) > LIKE_FULL_PRECISION

    @property
    def checksum(self) -> str:
        """Of weights, preprocessing and code."""
        return self._checksum

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, C) of the features of one picture."""
        return self._shape

    def encode(self, images: Image) -> Features:
        """Features ``float16[N, h, w, C]`` of pictures ``uint8[N, H, W, 3]``.

        Raises:
            DataError: these are no pictures, the features are not finite, or the encoder is closed.
        """
        if self._forward is None:
            raise DataError("this encoder is closed: open it again")
        x = torch.from_numpy(preprocess(images, self._spec)).permute(0, 3, 1, 2)
        half: Any = torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else nullcontext()
        with torch.inference_mode(), half:
            y = self._forward(x).permute(0, 2, 3, 1).to(torch.float16)
        features: Features = y.contiguous().numpy()
        if not np.isfinite(features).all():
            raise DataError("the encoder's features are not finite: its weights do not fit what it is shown")
        return features

    def close(self) -> None:
        """Free the weights. May be called twice."""
        self._forward = None


def _multiplies_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(supported is not None and supported())


def _cosine(a: Features, b: Features) -> float:
    """The least over the pictures."""
    one, other = (x.reshape(len(x), -1).astype(np.float64) for x in (a, b))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(1) / np.maximum(norms, 1e-30)).min())
