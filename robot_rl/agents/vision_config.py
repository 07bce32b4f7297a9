"""How an agent's networks look at pictures and at cached features. Loads no JAX."""

from __future__ import annotations

from dataclasses import dataclass

from robot_rl.core.errors import ConfigError


@dataclass(frozen=True)
class VisionConfig:
    """The trained part between what a camera gives and the networks that decide, one for each camera.

    Sources: [DrQ-v2] Yarats et al. 2021, arXiv 2107.09645; [SERL] Luo et al. 2024, arXiv 2401.16013; [HIL] Luo et al.
    2024, arXiv 2410.21845.

    Attributes:
        channels: of the stages of the network on pictures. The first cuts a picture into 16 patches a side, each later
            one is a 4x4 convolution that halves the side. Trained from scratch by the critics' gradients.
        embeddings: weighted sums over the positions of a frozen feature map that each of its channels keeps [SERL's
            spatial learned embeddings: 8]. Features without positions skip them.
        bottleneck: values that each camera gives to actor and critics, after LayerNorm and tanh [DrQ-v2: 50; SERL,
            HIL: 256].
        augment_px: pictures are shifted at random by at most this many pixels at a side of 128, in proportion at
            others, and filled up with their border [DrQ-v2 section 3.1, SERL: 4 at 84 and 128]. 0: not at all.
    """

    channels: tuple[int, ...] = (32, 64, 64)
    embeddings: int = 8
    bottleneck: int = 64
    augment_px: int = 4

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming the field, its value and what is allowed.
        """
        if not 1 <= len(self.channels) <= 5 or min(self.channels, default=0) < 1:
            raise ConfigError(f"VisionConfig.channels is {self.channels}, expected 1 to 5 widths of at least 1")
        for name, low in (("embeddings", 1), ("bottleneck", 1), ("augment_px", 0)):
            if getattr(self, name) < low:
                raise ConfigError(f"VisionConfig.{name} is {getattr(self, name)}, expected at least {low}")
