"""Returns, advantages and the loss of PPO as pure functions of arrays; `robot_rl.agents.ppo` supplies the networks.

Equation numbers: [GAE] arXiv 1506.02438, [PPO] arXiv 1707.06347.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Scaler(NamedTuple):
    """Running statistics of the discounted return, by whose deviation rewards are divided.

    Dividing and not centring leaves the order of policies as it is (Engstrom et al. 2020, arXiv 2005.12729).

    Attributes:
        returns: of the running episode of each environment ``[E]``.
        seen: how many values.
        mean: of them.
        square: sum of squared deviations.
    """

    returns: jax.Array
    seen: jax.Array
    mean: jax.Array
    square: jax.Array

    def scale(self) -> jax.Array:
        """Standard deviation of what was seen; 1 while nothing but equal values was."""
        deviation = jnp.sqrt(self.square / jnp.maximum(self.seen, 1.0))
        return jnp.where(deviation > 1e-4, deviation, 1.0)


def new_scaler(envs: int) -> Scaler:
    """Nothing seen yet."""
    zero = jnp.zeros((), jnp.float32)
    return Scaler(jnp.zeros(envs, jnp.float32), zero, zero, zero)


def begin_anew(scaler: Scaler) -> Scaler:
    """The same where new episodes begin in all environments, whatever was going on in them."""
    return scaler._replace(returns=jnp.zeros_like(scaler.returns))


def scale_rewards(
    scaler: Scaler, rewards: jax.Array, ended: jax.Array, gamma: float, clip: float
) -> tuple[Scaler, jax.Array]:
    """Take in the rewards of a rollout and divide them.

    Args:
        scaler: of all rollouts before.
        rewards: ``[T, E]``.
        ended: 1 where an episode ended ``[T, E]``.
        gamma: discount.
        clip: greatest absolute value of what comes out.

    Returns:
        The statistics with this rollout, and the rewards ``[T, E]`` divided by its deviation.
    """

    def one(running: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        value = gamma * running + now[0]
        return value * (1.0 - now[1]), value

    running, seen = jax.lax.scan(one, scaler.returns, (rewards, ended))
    count, mean = jnp.float32(seen.size), seen.mean()
    total, gap = scaler.seen + count, mean - scaler.mean
    # Chan et al. 1979, equation 2.1, in the form for two sets: exact however the steps are cut into rollouts.
    square = scaler.square + jnp.square(seen - mean).sum() + jnp.square(gap) * scaler.seen * count / total
    new = Scaler(running, total, scaler.mean + gap * count / total, square)
    return new, jnp.clip(rewards / new.scale(), -clip, clip)


def advantages(
    rewards: jax.Array,
    values: jax.Array,
    next_values: jax.Array,
    stop: jax.Array,
    ended: jax.Array,
    *,
    gamma: float,
    gae_lambda: float,
) -> jax.Array:
    """``A_t = sum_l (gamma lambda)^l delta_{t+l}`` within an episode, ``delta = r + gamma V' - V`` [GAE eq. 12, 16].

    Args:
        rewards: ``[T, E]``.
        values: of what was seen before each step ``[T, E]``.
        next_values: of what was seen after it, of the same episode also where it ended ``[T, E]``.
        stop: 1 where nothing is to come after the step, so that the next value counts as 0 ``[T, E]``.
        ended: 1 where an episode ended: no advantage looks beyond ``[T, E]``.
        gamma: discount.
        gae_lambda: decay.

    Returns:
        ``[T, E]``.
    """
    deltas = rewards + gamma * (1.0 - stop) * next_values - values

    def one(after: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        gain = now[0] + gamma * gae_lambda * (1.0 - now[1]) * after
        return gain, gain

    _, gains = jax.lax.scan(one, jnp.zeros_like(deltas[0]), (deltas, ended), reverse=True)
    return gains


def log_prob(edits: jax.Array, means: jax.Array, log_std: float) -> jax.Array:
    """Of draws ``[..., d]`` from independent Gaussians of one width around `means` ``[..., d]``: ``[...]``."""
    z = (edits - means) * jnp.exp(-log_std)
    return -0.5 * jnp.square(z).sum(axis=-1) - edits.shape[-1] * (log_std + 0.5 * jnp.log(2.0 * jnp.pi))


def policy_loss(log_ratios: jax.Array, gains: jax.Array, clip: float) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The clipped surrogate of normalised advantages [PPO eq. 7], negated.

    Args:
        log_ratios: log-probability now minus then ``[B]``.
        gains: advantages ``[B]``.
        clip: epsilon.

    Returns:
        The loss; ``kl``, the estimate ``mean(ratio - 1 - log ratio)`` of the divergence from the policy that acted,
        which is never negative (Schulman 2020, "Approximating KL divergence"); and ``clipped``, the share of ratios
        outside.
    """
    ratios = jnp.exp(log_ratios)
    gains = (gains - gains.mean()) / (gains.std() + 1e-8)
    gained = jnp.minimum(ratios * gains, jnp.clip(ratios, 1.0 - clip, 1.0 + clip) * gains)
    info = {
        "kl": (ratios - 1.0 - log_ratios).mean(),
        "clipped": (jnp.abs(ratios - 1.0) > clip).astype(jnp.float32).mean(),
    }
    return -gained.mean(), info
