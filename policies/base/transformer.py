"""Attention over the steps of a chunk: a small pre-norm transformer, after Diffusion Policy (2303.04137, III.A).

Better than convolutions where actions change quickly, and more particular about its settings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robot_rl.policies.base.config import NetworkConfig
from robot_rl.policies.base.networks import LevelEmbedding


class Transformer(nn.Module):
    """One token for the noise level, one for the condition, one for each step; all look at all.

    Args:
        config: layers, heads, tokens, dropout and embedding.
        horizon: T_p.
        actions: d, values of each action.
        condition: C, values of the condition.
    """

    def __init__(self, config: NetworkConfig, horizon: int, actions: int, condition: int) -> None:
        super().__init__()
        size = config.tokens
        self.level = nn.Sequential(LevelEmbedding(config.embedding), nn.Linear(config.embedding, size))
        self.told = nn.Linear(condition, size)
        self.enter = nn.Linear(actions, size)
        self.place = nn.Parameter(0.02 * torch.randn(1, horizon + 2, size))
        layer = nn.TransformerEncoderLayer(
            size, config.heads, 4 * size, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(size), enable_nested_tensor=False)
        self.leave = nn.Linear(size, actions)

    def forward(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """See `robot_rl.policies.base.networks.make_network`."""
        first = torch.stack([self.level(level), self.told(condition)], 1)
        h = self.layers(torch.cat([first, self.enter(x)], 1) + self.place)
        out: Tensor = self.leave(h[:, 2:])
        return out
