"""The cheapest backbone: everything in one vector through residual layers, as IDQL has it (2304.10573, section 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robot_rl.policies.base.config import NetworkConfig
from robot_rl.policies.base.networks import LevelEmbedding


class Mlp(nn.Module):
    """A perceptron with residual layers and LayerNorm.

    Args:
        config: width, depth and embedding.
        horizon: T_p.
        actions: d, values of each action.
        condition: C, values of the condition.
    """

    def __init__(self, config: NetworkConfig, horizon: int, actions: int, condition: int) -> None:
        super().__init__()
        self.level = LevelEmbedding(config.embedding)
        self.enter = nn.Linear(horizon * actions + config.embedding + condition, config.width)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.depth))
        self.layers = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.depth))
        self.leave = nn.Linear(config.width, horizon * actions)

    def forward(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """See `robot_rl.policies.base.networks.make_network`."""
        h = self.enter(torch.cat([x.flatten(1), self.level(level), condition], 1))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            h = h + layer(nn.functional.silu(norm(h)))
        out: Tensor = self.leave(nn.functional.silu(h)).view_as(x)
        return out
