"""Hyper-parameters of residual PPO. Loads no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError


@dataclass(frozen=True)
class PpoConfig:
    """Proximal policy optimisation of a residual on a frozen base.

    Sources: [ResiP] Ankile et al. 2024, arXiv 2407.16677, and its released code; [PPO] Schulman et al. 2017, arXiv
    1707.06347; [GAE] Schulman et al. 2015, arXiv 1506.02438. Defaults are those of [ResiP] unless it says otherwise.

    Attributes:
        hidden: width of each hidden layer of policy and values.
        scale: how much one unit of the residual changes an action, which is in [-1, 1].
        log_std: of the residual before it is scaled, the same in every state and never trained.
        gamma: discount per environment step.
        gae_lambda: how far advantages look beyond the next value [GAE equation 16].
        clip: how far the ratio of probabilities may leave 1 before it stops counting [PPO equation 7].
        epochs: passes over what was gathered, at most; `target_kl` ends them sooner.
        minibatches: that a pass is cut into.
        target_kl: divergence from the policy that acted, beyond which no step is taken any more; 0 never stops.
        lr_actor: Adam step of the policy.
        lr_critic: Adam step of the values.
        actor_warmup: iterations over which the policy's step grows from 0, so that the first fits the values alone.
        max_gradient_norm: longer gradients are cut to this length; not of [ResiP].
        reward_clip: normalised rewards are clipped to so many standard deviations of the return.
        value_bias: of the values' last layer at the start.
        time_limit: what the end of an episode by the clock or a fault means to the values: ``bootstrap`` that the value
            of what was seen then is still to come (Pardo et al. 2018, arXiv 1712.00378), ``terminal`` that nothing
            comes after it, as in [ResiP].
    """

    hidden: tuple[int, ...] = (256, 256)
    scale: Annotated[float, Range(0.0, 2.0)] = 0.1
    log_std: Annotated[float, Range(-10.0, 2.0)] = -1.0
    gamma: Annotated[float, Range(0.0, 1.0)] = 0.999
    gae_lambda: Annotated[float, Range(0.0, 1.0)] = 0.95
    clip: Annotated[float, Range(0.001, 10.0)] = 0.2
    epochs: Annotated[int, Range(1, 1000)] = 50
    minibatches: Annotated[int, Range(1, 1000)] = 1
    target_kl: Annotated[float, Range(0.0)] = 0.1
    lr_actor: Annotated[float, Range(1e-8, 1.0)] = 3e-4
    lr_critic: Annotated[float, Range(1e-8, 1.0)] = 5e-3
    actor_warmup: Annotated[int, Range(0)] = 5
    max_gradient_norm: Annotated[float, Range(1e-6)] = 1.0
    reward_clip: Annotated[float, Range(1e-6)] = 5.0
    value_bias: float = 0.25
    time_limit: Literal["bootstrap", "terminal"] = "bootstrap"

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a value is out of range, or there is no hidden layer.
        """
        check_ranges(self)
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f"PpoConfig.hidden is {self.hidden}, expected at least one width of at least 1")
