"""Choosing a network: noisy actions, a noise level and a condition in, numbers of the shape of the actions out."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from robot_rl.policies.base.config import BaseConfig

FASTEST = 200.0
"""Radians per unit of the noise level, whose range is about one: tells apart levels one hundredth from each other."""


class LevelEmbedding(nn.Module):
    """The noise level as sines and cosines of spaced frequencies, then a layer.

    Args:
        size: of the result, even.
    """

    frequencies: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        spaced = torch.logspace(0.0, math.log10(FASTEST), size // 2)
        self.register_buffer("frequencies", spaced, persistent=False)
        self.layer = nn.Linear(size, size)

    def forward(self, level: Tensor) -> Tensor:
        """``[B]`` to ``[B, size]``."""
        angles = level[:, None] * self.frequencies
        out: Tensor = nn.functional.silu(self.layer(torch.cat([angles.sin(), angles.cos()], 1)))
        return out


def make_network(config: BaseConfig, actions: int, condition: int) -> nn.Module:
    """The network of a configuration: ``forward(x [B, T_p, d], level [B], condition [B, C]) -> [B, T_p, d]``.

    Args:
        config: names the backbone and its sizes.
        actions: d.
        condition: C.
    """
    from robot_rl.policies.base.mlp import Mlp
    from robot_rl.policies.base.transformer import Transformer
    from robot_rl.policies.base.unet import UNet

    made = {"mlp": Mlp, "unet": UNet, "transformer": Transformer}[config.backbone]
    network: nn.Module = made(config.network, config.horizon, actions, condition)
    return network
