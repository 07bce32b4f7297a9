"""The losses of the algorithms that learn from stored data, as pure functions of network outputs.

Equation numbers: [IQL] Kostrikov et al. 2021, arXiv 2110.06169; [CQL] Kumar et al. 2020, arXiv 2006.04779; [Cal-QL]
Nakamoto et al. 2023, arXiv 2303.05479.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp


def expectile_loss(difference: jax.Array, expectile: float) -> jax.Array:
    """``mean |tau - 1(u < 0)| u^2``: what makes a value the tau-expectile of what it is fitted to [IQL eq. 5].

    Args:
        difference: ``u = Q(s, a) - V(s)`` ``[B]``.
        expectile: tau in (0, 1); 0.5 is the mean, 1 the best seen.
    """
    weight = jnp.where(difference < 0.0, 1.0 - expectile, expectile)
    return (weight * jnp.square(difference)).mean()


def advantage_weights(advantage: jax.Array, temperature: float, highest: float) -> jax.Array:
    """``min(exp(beta A), highest)``: how much each action of the data is imitated [IQL eq. 7 and its appendix C].

    Args:
        advantage: ``Q(s, a) - V(s)`` ``[B]``.
        temperature: beta; 0 clones the data.
        highest: weights are clipped here.

    Returns:
        ``[B]``, no gradient.
    """
    # The exponent is clipped rather than its result: exp overflows to infinity long before the clip would see it.
    return jax.lax.stop_gradient(jnp.exp(jnp.minimum(temperature * advantage, math.log(highest))))


def gaussian_log_prob(mean: jax.Array, log_std: jax.Array, action: jax.Array) -> jax.Array:
    """Log density of actions under a Gaussian that is not squashed, its mean is; [IQL] has such a policy.

    Args:
        mean: in [-1, 1] ``[d, B]``.
        log_std: the same in every state ``[d]``.
        action: ``[d, B]``.

    Returns:
        ``[B]``.
    """
    z = (action - mean) * jnp.exp(-log_std)[:, None]
    return (-0.5 * jnp.square(z) - log_std[:, None] - 0.5 * math.log(2.0 * math.pi)).sum(axis=0)


def calibrated(q: jax.Array, mc_return: jax.Array) -> jax.Array:
    """``max(Q(s, pi(s)), return of the data from s)``: values below what was earned are not pushed down [Cal-QL eq. 5].

    Args:
        q: of the policy's actions ``[E, n, B]``.
        mc_return: discounted return of the stored episode from the state on ``[B]``.
    """
    return jnp.maximum(q, mc_return[None, None, :])


def conservative_penalty(
    q_samples: jax.Array, log_density: jax.Array, q_data: jax.Array, temperature: float
) -> jax.Array:
    """``E[T logsumexp((Q(s, a_i) - log p(a_i)) / T) - Q(s, a_data)]``, mean over members too [CQL eq. 4, appendix F].

    Args:
        q_samples: values of sampled actions ``[E, S, B]``.
        log_density: of each under what drew it ``[S, B]``, for importance sampling.
        q_data: values of the stored actions by the same members ``[E, B]``.
        temperature: T; the smaller, the more the highest sample counts.
    """
    weighed = (q_samples - log_density[None]) / temperature
    soft_maximum = temperature * jax.nn.logsumexp(weighed, axis=1)
    return (soft_maximum - q_data).mean()
