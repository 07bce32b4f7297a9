"""ResNet-10 as SERL and HIL-SERL use it: one block a stage, GroupNorm, no pooling at the end; 128 px to 4 x 4 x 512.

Sources: He et al. 2016 (arXiv 1512.03385); Luo et al. 2024 (arXiv 2401.16013, 2410.21845) and their released weights.
Arrays are named and laid out as there, so that a weight file is those arrays as they are, written as safetensors:
kernels ``[rows, columns, in, out]``, names joined by slashes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import conv2d, group_norm, max_pool2d, pad, relu

from robot_rl.core.types import Float32
from robot_rl.vision.frozen import weights_checksum
from robot_rl.vision.preprocess import PreprocessSpec
from robot_rl.vision.resnet10_weights import SHAPES, WIDTHS
from robot_rl.vision.torch_encoder import TorchEncoder

GROUPS, EPSILON = 4, 1e-5
SIZE_PX = 128
Tensors = Mapping[str, torch.Tensor]


def resnet10_encoder(weights: Mapping[str, Float32]) -> TorchEncoder:
    """The encoder with these weights, of the shapes in `robot_rl.vision.resnet10_weights.SHAPES`."""
    spec = PreprocessSpec(SIZE_PX)
    tensors = {name: _tensor(array) for name, array in weights.items()}
    return TorchEncoder(
        lambda x: resnet10(tensors, x), spec, weights_checksum("resnet10", dict(weights), spec.checksum)
    )


def _tensor(array: Float32) -> torch.Tensor:
    """Kernels as torch wants them, in the order of memory that is fastest beside pictures with channels last."""
    if array.ndim < 4:
        return torch.from_numpy(np.ascontiguousarray(array))
    kernel = torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))
    return kernel.contiguous(memory_format=torch.channels_last)


def random_resnet10(seed: int) -> dict[str, Float32]:
    """Generated weights (He et al. 2015): features of no meaning, of the real shape and cost."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Float32] = {}
    for name, shape in SHAPES.items():
        if name.endswith("kernel"):
            spread = np.sqrt(2.0 / np.prod(shape[:3]))
            weights[name] = (spread * rng.standard_normal(shape)).astype(np.float32)
        else:
            weights[name] = np.full(shape, float(name.endswith("scale")), np.float32)
    return weights


def resnet10(weights: Tensors, x: torch.Tensor) -> torch.Tensor:
    """The network: ``[N, 3, S, S]`` to ``[N, 512, S / 32, S / 32]``."""
    x = conv2d(x, weights["conv_init/kernel"], stride=2, padding=3)
    x = relu(_norm(weights, "norm_init", x))
    x = max_pool2d(_pad_for(x, 3, 2, float("-inf")), 3, 2)
    for i in range(len(WIDTHS)):
        x = _block(weights, f"ResNetBlock_{i}", x, stride=1 if i == 0 else 2)
    return x


def _block(weights: Tensors, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
    y = conv2d(_pad_for(x, 3, stride), weights[f"{name}/Conv_0/kernel"], stride=stride)
    y = relu(_norm(weights, f"{name}/MyGroupNorm_0", y))
    y = conv2d(y, weights[f"{name}/Conv_1/kernel"], padding=1)
    y = _norm(weights, f"{name}/MyGroupNorm_1", y)
    if f"{name}/conv_proj/kernel" in weights:
        x = _norm(weights, f"{name}/norm_proj", conv2d(x, weights[f"{name}/conv_proj/kernel"], stride=stride))
    return relu(x + y)


def _norm(weights: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return group_norm(x, GROUPS, weights[f"{name}/scale"], weights[f"{name}/bias"], EPSILON)


def _pad_for(x: torch.Tensor, kernel: int, stride: int, value: float = 0.0) -> torch.Tensor:
    """Pad as "SAME" does: what is odd goes to the right and to the bottom, which torch's own padding cannot do."""
    rows, columns = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:])
    sides = [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2]
    return pad(x, sides, value=value) if any(sides) else x
