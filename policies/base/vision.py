"""What cameras see as a part of the condition: one encoder a camera, trained with the policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robot_rl.core.errors import ConfigError
from robot_rl.policies.base.config import SightConfig

SMALL = ((5, 32), (3, 32), (3, 64), (3, 64))
"""Kernel and channels of each convolution of the small encoder; every one halves the picture."""
STAGES = (64, 128, 256, 512)
"""Channels of ResNet-18 (He et al. 2016, 1512.03385, table 1)."""
CHANNELS_PER_GROUP = 16
SMALLEST_PX = {"small": 32, "resnet18": 64}
"""Of a side of the part that is seen: below it a single position is left, and nothing to say where things are."""


class Eye(nn.Module):
    """Pictures of one camera to features.

    Args:
        config: which encoder, how large.
        size: ``(h, w)`` of the pictures.

    Raises:
        ConfigError: they are too small for the encoder.
    """

    def __init__(self, config: SightConfig, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = (max(1, round(config.crop * size[0])), max(1, round(config.crop * size[1])))
        if min(self.size) < SMALLEST_PX[config.encoder]:
            raise ConfigError(
                f"of pictures of {size[0]} x {size[1]} px {self.size[0]} x {self.size[1]} are seen, the encoder "
                f"{config.encoder} needs {SMALLEST_PX[config.encoder]}: take larger pictures or a larger crop"
            )
        trunk, channels = _small() if config.encoder == "small" else _resnet18()
        self.trunk = trunk
        self.read = nn.Linear(2 * channels, config.features)

    def forward(self, images: Tensor) -> Tensor:
        """``uint8[N, H, W, 3]`` to ``[N, features]``; a part anywhere while training, else the middle."""
        x = self._crop(images.permute(0, 3, 1, 2)).float() / 255.0 - 0.5
        out: Tensor = self.read(spatial_softmax(self.trunk(x)))
        return out

    def _crop(self, x: Tensor) -> Tensor:
        (height, width), (h, w) = x.shape[2:], self.size
        if not self.training:
            top, left = (height - h) // 2, (width - w) // 2
            return x[:, :, top : top + h, left : left + w]
        tops = torch.randint(height - h + 1, (len(x),)).tolist()
        lefts = torch.randint(width - w + 1, (len(x),)).tolist()
        return torch.stack([p[:, t : t + h, e : e + w] for p, t, e in zip(x, tops, lefts, strict=True)])


def spatial_softmax(x: Tensor) -> Tensor:
    """Where each channel is strongest: the mean position in [-1, 1] under a softmax over positions.

    Finn et al. 2016, 1509.06113, section V.A.

    Args:
        x: ``[N, C, h, w]``.

    Returns:
        ``[N, 2 C]``: all columns, then all rows.
    """
    n, channels, height, width = x.shape
    share = x.reshape(n, channels, height * width).softmax(2).reshape(n, channels, height, width)
    across = torch.linspace(-1.0, 1.0, width, dtype=x.dtype, device=x.device)
    down = torch.linspace(-1.0, 1.0, height, dtype=x.dtype, device=x.device)
    return torch.cat([(share.sum(2) * across).sum(2), (share.sum(3) * down).sum(2)], 1)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)


def _small() -> tuple[nn.Module, int]:
    layers: list[nn.Module] = []
    before = 3
    for kernel, channels in SMALL:
        layers += [nn.Conv2d(before, channels, kernel, 2, kernel // 2), _norm(channels), nn.SiLU()]
        before = channels
    return nn.Sequential(*layers), before


def _resnet18() -> tuple[nn.Module, int]:
    layers: list[nn.Module] = [nn.Conv2d(3, STAGES[0], 7, 2, 3, bias=False), _norm(STAGES[0]), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    before = STAGES[0]
    for channels in STAGES:
        layers += [_Residual(before, channels), _Residual(channels, channels)]
        before = channels
    return nn.Sequential(*layers), before


class _Residual(nn.Module):
    """Two convolutions and the input added; a change of channels halves the picture."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            _norm(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            _norm(after),
        )
        self.skip: nn.Module = nn.Identity()
        if stride == 2:
            self.skip = nn.Sequential(nn.Conv2d(before, after, 1, 2, bias=False), _norm(after))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.body(x) + self.skip(x))
