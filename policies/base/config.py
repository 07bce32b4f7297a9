"""What a base policy is and how it is trained; every default names where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from robot_rl.core.config import Range, check_ranges, to_dict
from robot_rl.core.errors import ConfigError

Objective = Literal["regression", "edm", "ddpm", "flow"]
Backbone = Literal["mlp", "unet", "transformer"]


@dataclass(frozen=True)
class EdmConfig:
    """Score model in the preconditioning of EDM (Karras et al. 2022, 2206.00364) as BESO has it (2304.02532).

    Attributes:
        steps: evaluations of the network per proposal (BESO: 3).
        sigma_data: standard deviation that the normalised actions are assumed to have.
        sigma_min: least noise level (BESO: 0.05 on block push; 0.005 on the kitchen, where three steps leave more
            proposals between two ways of doing it).
        sigma_max: greatest noise level; a proposal begins at this times the noise.
        sigma_median: of the log-logistic distribution that training draws noise levels from.
        sigma_spread: scale of that distribution.
        schedule: of the noise levels while sampling: evenly spaced logarithms, or equation 5 of EDM.
        rho: exponent of the latter.
    """

    steps: Annotated[int, Range(1, 1000)] = 3
    sigma_data: Annotated[float, Range(1e-3, 10.0)] = 0.5
    sigma_min: Annotated[float, Range(1e-5, 1.0)] = 0.05
    sigma_max: Annotated[float, Range(1e-3, 1000.0)] = 1.0
    sigma_median: Annotated[float, Range(1e-5, 1000.0)] = 0.5
    sigma_spread: Annotated[float, Range(1e-3, 10.0)] = 0.5
    schedule: Literal["exponential", "karras"] = "exponential"
    rho: Annotated[float, Range(1.0, 20.0)] = 5.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if self.sigma_min >= self.sigma_max:
            raise ConfigError(f"sigma_min is {self.sigma_min}, expected less than sigma_max, {self.sigma_max}")


@dataclass(frozen=True)
class DdpmConfig:
    """Prediction of the noise on a cosine schedule, as in Diffusion Policy (Chi et al. 2023, 2303.04137).

    Attributes:
        levels: noise levels in training (Diffusion Policy: 100).
        sampler: ``ddim`` without noise of its own (Song et al. 2021, 2010.02502, eta 0), or ``ddpm`` through all levels
            (Ho et al. 2020, 2006.11239), whose further noise is drawn from a generator seeded with the proposal's.
        steps: evaluations of the network per proposal with ``ddim``.
    """

    levels: Annotated[int, Range(2, 10_000)] = 100
    sampler: Literal["ddim", "ddpm"] = "ddim"
    steps: Annotated[int, Range(2, 10_000)] = 16

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if self.steps > self.levels:
            raise ConfigError(f"got {self.steps} sampling steps, expected at most the {self.levels} levels trained on")


@dataclass(frozen=True)
class FlowConfig:
    """Straight flow from noise to actions (Lipman et al. 2023, 2210.02747; Liu et al. 2023, 2209.03003).

    Attributes:
        steps: of Euler's method per proposal (FQL, 2502.02538, and pi0: 10).
    """

    steps: Annotated[int, Range(1, 1000)] = 10

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class GuidanceConfig:
    """Guidance without a classifier (Ho and Salimans 2022, 2207.12598; BESO for goals).

    Attributes:
        on: what is left out of a share of the training windows and weighed by `scale`: nothing, a goal, or all that
            is observed. A goal is a later state of the same episode; without one the policy does what the
            demonstrations do.
        dropout: share of windows without it (BESO: 0.1).
        scale: lambda in ``without + lambda (with - without)``: 0 ignores it, 1 is the plain conditional policy, more
            exaggerates it (BESO: 1.5 to 2).
    """

    on: Literal["nothing", "goal", "observation"] = "nothing"
    dropout: Annotated[float, Range(0.0, 0.9)] = 0.1
    scale: Annotated[float, Range(0.0, 20.0)] = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if self.scale != 1.0 and (self.on == "nothing" or self.dropout == 0.0):
            raise ConfigError(
                f"a guidance scale of {self.scale} needs a policy that also learns without what guides it: "
                "set guidance.on to goal or observation and guidance.dropout above 0, or the scale to 1"
            )


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the networks, for two cores of a processor; a GPU carries several times as much.

    Attributes:
        width: of every layer of the perceptron.
        depth: residual layers of the perceptron.
        channels: of the U-Net by level, each level at half the rate of the one before (Diffusion Policy: 256, 512,
            1024).
        kernel: of the U-Net's convolutions in steps, odd (Diffusion Policy: 5).
        groups: of its GroupNorm; divides every channel number (Diffusion Policy: 8).
        layers: of the transformer (Diffusion Policy: 8).
        heads: of its attention; divides `tokens`.
        tokens: width of the transformer (Diffusion Policy: 256).
        dropout: in the transformer (Diffusion Policy: 0.3).
        embedding: width of the embedding of the noise level, even.
    """

    width: Annotated[int, Range(1, 16384)] = 512
    depth: Annotated[int, Range(1, 64)] = 3
    channels: tuple[int, ...] = (64, 128)
    kernel: Annotated[int, Range(1, 31)] = 5
    groups: Annotated[int, Range(1, 64)] = 8
    layers: Annotated[int, Range(1, 64)] = 4
    heads: Annotated[int, Range(1, 64)] = 4
    tokens: Annotated[int, Range(1, 4096)] = 128
    dropout: Annotated[float, Range(0.0, 0.9)] = 0.1
    embedding: Annotated[int, Range(2, 1024)] = 64

    def __post_init__(self) -> None:
        """Check that the sizes go together."""
        check_ranges(self)
        if not self.channels or any(c < 1 or c % self.groups for c in self.channels):
            raise ConfigError(f"channels are {list(self.channels)}, expected multiples of the {self.groups} groups")
        if self.kernel % 2 == 0 or self.embedding % 2:
            raise ConfigError(f"kernel {self.kernel} must be odd and embedding {self.embedding} even")
        if self.tokens % self.heads:
            raise ConfigError(f"tokens {self.tokens} must be a multiple of the {self.heads} heads")


@dataclass(frozen=True)
class SightConfig:
    """What is looked at besides the state, one encoder a camera, trained with the rest.

    Attributes:
        cameras: their names; none: the state alone.
        encoder: four convolutions, or ResNet-18 from scratch; both with GroupNorm, because averages of weights do not
            go with BatchNorm, and both read out by spatial softmax (Diffusion Policy).
        features: values by camera and observation.
        crop: side of the part that is seen, as a share: anywhere in training, the middle otherwise.
    """

    cameras: tuple[str, ...] = ()
    encoder: Literal["small", "resnet18"] = "small"
    features: Annotated[int, Range(1, 4096)] = 64
    crop: Annotated[float, Range(0.1, 1.0)] = 0.9

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"a camera is named twice in {list(self.cameras)}; name each camera once")


@dataclass(frozen=True)
class ScaleConfig:
    """How states and actions are brought to [-1, 1] (Diffusion Policy: least and greatest value of each).

    Attributes:
        floor: least range of a value, as a share of its typical magnitude: a value that hardly ever changed must not
            fill the range with its noise (ResFiT, 2509.19301: 0.1).
        outliers: share of the rows that may lie outside at either end of each state, so that one stray reading does
            not squeeze all others.
        clip: greatest normalised state that the networks see; 1 hides all that the demonstrations did not show.
        magnify: factors m, for each of which the networks also see ``tanh(m (x - median))`` of each normalised state x.
            A peg over its hole is decided by tenths of a millimetre in a range of centimetres, which one scale hides.
    """

    floor: Annotated[float, Range(1e-6, 2.0)] = 0.1
    outliers: Annotated[float, Range(0.0, 0.2)] = 0.0
    clip: Annotated[float, Range(1.0, 100.0)] = 1.5
    magnify: tuple[float, ...] = (8.0, 64.0, 256.0)

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if any(not 0.0 < m <= 1e6 for m in self.magnify):
            raise ConfigError(f"scale.magnify is {list(self.magnify)}, expected positive factors up to a million")


@dataclass(frozen=True)
class FitConfig:
    """How the weights are found.

    Attributes:
        steps: of the optimiser.
        batch: windows in each.
        learning_rate: of AdamW, after the warm-up, before it falls to 0 with a cosine.
        warmup: steps in which the learning rate rises from 0; at most a tenth of all.
        weight_decay: of AdamW (Diffusion Policy: 1e-6 for the U-Net).
        clip_norm: greatest norm of a gradient.
        average: greatest decay of the moving average of the weights, which is what acts; it rises as
            ``1 - (1 + step) ** -0.75`` (Diffusion Policy).
        report_every: steps between reports of the losses.
        held_windows: of held-out episodes, at most, that the loss is taken over.
    """

    steps: Annotated[int, Range(1, 10_000_000)] = 10_000
    batch: Annotated[int, Range(1, 65536)] = 256
    learning_rate: Annotated[float, Range(1e-7, 1.0)] = 3e-4
    warmup: Annotated[int, Range(0, 100_000)] = 500
    weight_decay: Annotated[float, Range(0.0, 1.0)] = 1e-6
    clip_norm: Annotated[float, Range(1e-3, 1e3)] = 1.0
    average: Annotated[float, Range(0.0, 0.999999)] = 0.9999
    report_every: Annotated[int, Range(1, 1_000_000)] = 250
    held_windows: Annotated[int, Range(1, 100_000)] = 1024

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class BaseConfig:
    """A base policy.

    Attributes:
        objective: what the network learns: the mean of the actions (``regression``), or to make actions from noise: a
            score model (``edm``), the noise (``ddpm``), a straight flow (``flow``).
        backbone: the network: a perceptron with residual layers, a 1-D U-Net over time, a transformer.
        observations: newest observations looked at (Diffusion Policy: 2; one is enough where the state holds
            velocities).
        horizon: actions in a proposal, one a control step from now on (Diffusion Policy: 16).
        edm: the score model.
        ddpm: prediction of the noise.
        flow: the straight flow.
        guidance: without a classifier.
        network: sizes.
        sight: cameras.
        scale: normalisation.
        fit: training.
    """

    objective: Objective = "edm"
    backbone: Backbone = "mlp"
    observations: Annotated[int, Range(1, 64)] = 1
    horizon: Annotated[int, Range(1, 512)] = 16
    edm: EdmConfig = field(default_factory=EdmConfig)
    ddpm: DdpmConfig = field(default_factory=DdpmConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    sight: SightConfig = field(default_factory=SightConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    fit: FitConfig = field(default_factory=FitConfig)

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)

    @property
    def evaluations(self) -> int:
        """Of the network per proposal, without guidance."""
        ddpm = self.ddpm.steps if self.ddpm.sampler == "ddim" else self.ddpm.levels
        return {"regression": 1, "edm": self.edm.steps, "ddpm": ddpm, "flow": self.flow.steps}[self.objective]

    def answering(self) -> dict[str, Any]:
        """Plain data of all that decides about answers once the weights are there; how they were found is left out."""
        data: dict[str, Any] = to_dict(self)
        del data["fit"]
        for name in {"edm", "ddpm", "flow"} - {self.objective}:
            del data[name]
        return data
