"""A small network with generated weights: the cheapest frozen encoder there is, a baseline and for tests."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, conv2d, relu

from robot_rl.core.types import Float32
from robot_rl.vision.frozen import weights_checksum
from robot_rl.vision.preprocess import PreprocessSpec
from robot_rl.vision.torch_encoder import TorchEncoder

SIZE_PX = 64
_LAYERS = ((8, 4, 3, 16), (4, 2, 16, 32), (3, 1, 32, 32))  # kernel, stride, in, out


def random_small(seed: int) -> TorchEncoder:
    """Three convolutions of generated weights (He et al. 2015): 64 px to 4 x 4 x 32."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Float32] = {}
    for i, (kernel, _, before, width) in enumerate(_LAYERS):
        spread = np.sqrt(2.0 / (kernel * kernel * before))
        weights[f"{i}"] = (spread * rng.standard_normal((width, before, kernel, kernel))).astype(np.float32)
    tensors = [torch.from_numpy(weights[f"{i}"]) for i in range(len(_LAYERS))]

    def forward(x: torch.Tensor) -> torch.Tensor:
        for tensor, (kernel, stride, _, _) in zip(tensors, _LAYERS, strict=True):
            x = relu(conv2d(x, tensor, stride=stride, padding=(kernel - stride + 1) // 2))
        return avg_pool2d(x, x.shape[-1] // 4)

    spec = PreprocessSpec(SIZE_PX)
    return TorchEncoder(forward, spec, weights_checksum("small", dict(weights), spec.checksum))
