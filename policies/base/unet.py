"""Convolutions over the time of a chunk: the 1-D U-Net of Diffusion Policy (2303.04137, III.A; 2205.09991).

Every layer is told the condition by a gain and a shift of each channel (FiLM, Perez et al. 2018, 1709.07871).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robot_rl.policies.base.config import NetworkConfig
from robot_rl.policies.base.networks import LevelEmbedding


class UNet(nn.Module):
    """A U-Net over time. A horizon that its halvings do not divide is lengthened inside by repeating the last step.

    Args:
        config: channels, kernel, groups and embedding.
        horizon: T_p.
        actions: d, values of each action.
        condition: C, values of the condition.
    """

    def __init__(self, config: NetworkConfig, horizon: int, actions: int, condition: int) -> None:
        super().__init__()
        channels = config.channels
        told = config.embedding + condition
        self.extra = -horizon % 2 ** (len(channels) - 1)
        self.level = LevelEmbedding(config.embedding)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        for before, after in zip((actions, *channels[:-1]), channels, strict=True):
            self.down.append(_Pair(before, after, told, config))
        self.shrink.extend(nn.Conv1d(c, c, 3, stride=2, padding=1) for c in channels[:-1])
        self.middle = _Pair(channels[-1], channels[-1], told, config)
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for before, after in zip(channels[:0:-1], channels[-2::-1], strict=True):
            self.grow.append(nn.ConvTranspose1d(before, before, 4, stride=2, padding=1))
            self.up.append(_Pair(before + after, after, told, config))
        self.leave = nn.Sequential(_convolution(channels[0], channels[0], config), nn.Conv1d(channels[0], actions, 1))

    def forward(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """See `robot_rl.policies.base.networks.make_network`."""
        told = torch.cat([self.level(level), condition], 1)
        h = x.transpose(1, 2)
        if self.extra:
            h = nn.functional.pad(h, (0, self.extra), mode="replicate")
        kept = []
        for i, block in enumerate(self.down):
            h = block(h, told)
            if i < len(self.shrink):
                kept.append(h)
                h = self.shrink[i](h)
        h = self.middle(h, told)
        for block, grow in zip(self.up, self.grow, strict=True):
            h = block(torch.cat([grow(h), kept.pop()], 1), told)
        out: Tensor = self.leave(h)[:, :, : x.shape[1]].transpose(1, 2)
        return out


class _Pair(nn.Module):
    """Two residual blocks."""

    def __init__(self, before: int, after: int, told: int, config: NetworkConfig) -> None:
        super().__init__()
        self.first = _Block(before, after, told, config)
        self.second = _Block(after, after, told, config)

    def forward(self, h: Tensor, told: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(h, told), told)
        return out


class _Block(nn.Module):
    """Two convolutions, between them gain and shift from what is told, and the input added."""

    def __init__(self, before: int, after: int, told: int, config: NetworkConfig) -> None:
        super().__init__()
        self.first = _convolution(before, after, config)
        self.second = _convolution(after, after, config)
        self.tell = nn.Linear(told, 2 * after)
        self.skip = nn.Conv1d(before, after, 1) if before != after else nn.Identity()

    def forward(self, h: Tensor, told: Tensor) -> Tensor:
        gain, shift = self.tell(nn.functional.silu(told))[:, :, None].chunk(2, 1)
        out: Tensor = self.second(self.first(h) * (1.0 + gain) + shift) + self.skip(h)
        return out


def _convolution(before: int, after: int, config: NetworkConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(before, after, config.kernel, padding=config.kernel // 2),
        nn.GroupNorm(config.groups, after),
        nn.SiLU(),
    )
