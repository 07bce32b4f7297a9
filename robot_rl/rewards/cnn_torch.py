"""The networks of `robot_rl.rewards.cnn` in torch, where they are trained, and what their inputs go through there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from robot_rl.core.types import Float32
from robot_rl.rewards.cnn import CHANNELS, HIDDEN


class _Permuted(nn.Module):
    def __init__(self, *axes: int) -> None:
        super().__init__()
        self._axes = axes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(*self._axes)


def view_network(shape: tuple[int, ...], *, pictures: bool = True, dropout: float = 0.0) -> nn.Sequential:
    """What `robot_rl.rewards.cnn.logits` computes for one view, with fresh weights.

    Args:
        shape: ``(h, w, c)`` of the inputs.
        pictures: convolutions come first; features of a frozen encoder need none.
        dropout: of the flattened map, while it is trained.
    """
    height, width, channels = shape
    layers: list[nn.Module] = []
    if pictures:
        layers.append(_Permuted(0, 3, 1, 2))
        for out in CHANNELS:
            layers += [nn.Conv2d(channels, out, 3, stride=2, padding=1), nn.ReLU()]
            height, width, channels = -(-height // 2), -(-width // 2), out
        layers.append(_Permuted(0, 2, 3, 1))
    layers += [nn.Flatten(), nn.Dropout(dropout)] if dropout else [nn.Flatten()]
    layers += [nn.Linear(height * width * channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0)]
    return nn.Sequential(*layers)


def export(net: Any) -> dict[str, Float32]:
    """The weights of a `view_network` in the layout of `robot_rl.rewards.cnn`."""
    out: dict[str, Float32] = {}
    for kind, prefix in ((nn.Conv2d, "conv"), (nn.Linear, "dense")):
        for i, layer in enumerate(m for m in net if isinstance(m, kind)):
            weight, bias = (getattr(layer, part).detach().numpy() for part in ("weight", "bias"))
            out[f"{prefix}{i}.weight"] = np.ascontiguousarray(weight.reshape(len(weight), -1).T, np.float32)
            out[f"{prefix}{i}.bias"] = bias.astype(np.float32)
    return out


def feature_scale(inputs: Float32) -> tuple[Float32, Float32]:
    """Centre and gain by channel that bring features ``float32[N, h, w, c]`` to zero mean and unit deviation."""
    return inputs.mean((0, 1, 2)).astype(np.float32), (1.0 / (inputs.std((0, 1, 2)) + 1e-3)).astype(np.float32)


def jittered(x: Float32, shift_px: int, brightness: float, rng: np.random.Generator) -> Float32:
    """Each picture shifted by whole pixels with the edge repeated, and made brighter or darker.

    Args:
        x: normalised pictures ``float32[N, h, w, 3]``.
        shift_px: greatest shift.
        brightness: greatest change, in units of the normalised picture.
        rng: source of randomness.
    """
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (shift_px, shift_px), (shift_px, shift_px), (0, 0)), mode="edge")
    at = rng.integers(0, 2 * shift_px + 1, (len(x), 2))
    moved = np.stack([p[r : r + height, c : c + width] for p, (r, c) in zip(padded, at, strict=True)])
    return moved + rng.uniform(-brightness, brightness, (len(x), 1, 1, 1)).astype(np.float32)
