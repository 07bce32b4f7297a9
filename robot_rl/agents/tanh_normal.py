"""The squashed Gaussian policy distribution (SAC, arXiv 1812.05905, appendix C)."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from robot_rl.agents.networks import Activation, Params, mlp


class TanhNormal(NamedTuple):
    """Diagonal Gaussian whose samples are squashed by tanh; the feature axis comes first.

    Attributes:
        mean: before squashing ``[d, B]``.
        log_std: natural logarithm of the standard deviation before squashing ``[d, B]``.
    """

    mean: jax.Array
    log_std: jax.Array


class Sample(NamedTuple):
    """Actions and how likely they were.

    Attributes:
        action: ``[d, B]`` in [-1, 1].
        log_prob: natural logarithm of the density ``[B]``.
    """

    action: jax.Array
    log_prob: jax.Array


def distribution(
    actor: Params, x: jax.Array, activation: Activation, log_std_min: float, log_std_max: float
) -> TanhNormal:
    """The policy in normalised states ``[n, B]``; the actor's outputs are means, then log standard deviations."""
    mean, log_std = jnp.split(mlp(actor, x, activation), 2, axis=0)
    return TanhNormal(mean, jnp.clip(log_std, log_std_min, log_std_max))


def mode(policy: TanhNormal) -> jax.Array:
    """The squashed mean ``[d, B]``."""
    return jnp.tanh(policy.mean)


def sample(policy: TanhNormal, noise: jax.Array) -> Sample:
    """Reparametrised actions from standard normal noise ``[d, B]``.

    ``log(1 - tanh(u)^2)`` is computed as ``2 (log 2 - u - softplus(-2 u))``, which stays finite for every u.
    """
    u = policy.mean + jnp.exp(policy.log_std) * noise
    gaussian = -0.5 * jnp.square(noise) - policy.log_std - 0.5 * math.log(2.0 * math.pi)
    jacobian = 2.0 * (math.log(2.0) - u - jax.nn.softplus(-2.0 * u))
    return Sample(jnp.tanh(u), (gaussian - jacobian).sum(axis=0))
