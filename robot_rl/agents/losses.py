"""The losses as pure functions of network outputs; `robot_rl.agents.sac` supplies the networks.

Equation numbers: [SAC] arXiv 1812.05905, [REDQ] arXiv 2101.05982, [RLPD] arXiv 2302.02948, [HIL] arXiv 2410.21845,
[DDQN] van Hasselt et al., arXiv 1509.06461.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from robot_rl.core.specs import GRIPPER, GRIPPER_THRESHOLD


def td_target(
    reward: jax.Array,
    discount: jax.Array,
    next_q: jax.Array,
    next_log_prob: jax.Array,
    temperature: jax.Array,
    *,
    backup_entropy: bool,
    q_range: tuple[float, float] | None,
) -> jax.Array:
    """What the critics regress to: ``y = R + D (min_j Q_j(s', a') - alpha log pi(a'|s'))`` [SAC eq. 5, 6; REDQ alg. 1].

    The entropy term is inside the bracket, so it is discounted and vanishes at terminal states like the value.

    Args:
        reward: return of the window ``[B]``.
        discount: ``gamma^k (1 - terminated)`` ``[B]``.
        next_q: target values of the chosen members ``[M, B]``.
        next_log_prob: of the next actions ``[B]``.
        temperature: alpha, a scalar.
        backup_entropy: whether the entropy term is present.
        q_range: reachable returns to clip into, or None.

    Returns:
        ``[B]``, no gradient.
    """
    value = next_q.min(axis=0)
    if backup_entropy:
        value = value - temperature * next_log_prob
    target = reward + discount * value
    if q_range is not None:
        target = jnp.clip(target, *q_range)
    return jax.lax.stop_gradient(target)


def critic_loss(q: jax.Array, target: jax.Array) -> jax.Array:
    """Mean over members of each member's own mean squared error to the one shared target [SAC eq. 5; RLPD alg. 1].

    Args:
        q: ``[E, B]``.
        target: ``[B]``.
    """
    return jnp.square(q - target[None, :]).mean(axis=1).mean()


def actor_loss(q: jax.Array, log_prob: jax.Array, temperature: jax.Array) -> jax.Array:
    """``E[alpha log pi(a|s) - mean_j Q_j(s, a)]`` over all members [SAC eq. 9; mean over the ensemble: RLPD alg. 1].

    Args:
        q: values of reparametrised actions ``[E, B]``.
        log_prob: of those actions ``[B]``.
        temperature: alpha, held constant.
    """
    return (jax.lax.stop_gradient(temperature) * log_prob - q.mean(axis=0)).mean()


def temperature_loss(temperature: jax.Array, entropy: jax.Array, target_entropy: float) -> jax.Array:
    """``alpha (H(pi) - H_target)``: alpha rises while the entropy is below its target [SAC eq. 18]."""
    return temperature * jax.lax.stop_gradient(entropy - target_entropy)


def gripper_labels(action: jax.Array) -> jax.Array:
    """Executed gripper commands as classes: 0 closes (below -0.5), 2 opens (above 0.5), 1 keeps.

    Args:
        action: executed actions ``[..., 7]``.

    Returns:
        ``int32[...]``.
    """
    command = action[..., GRIPPER]
    return 1 + (command > GRIPPER_THRESHOLD).astype(jnp.int32) - (command < -GRIPPER_THRESHOLD).astype(jnp.int32)


def gripper_target(
    reward: jax.Array,
    discount: jax.Array,
    next_online: jax.Array,
    next_target: jax.Array,
) -> jax.Array:
    """Double DQN: the online critic chooses, the target critic values [DDQN eq. 4; HIL section 3.4].

    Args:
        reward: return of the window including the gripper's own penalties ``[B]``.
        discount: ``gamma^k (1 - terminated)`` ``[B]``.
        next_online: online values of the three commands at the next states ``[3, B]``.
        next_target: target values of the same ``[3, B]``.

    Returns:
        ``[B]``, no gradient.
    """
    chosen = jnp.argmax(next_online, axis=0)
    value = jnp.take_along_axis(next_target, chosen[None, :], axis=0)[0]
    return jax.lax.stop_gradient(reward + discount * value)


def gripper_loss(values: jax.Array, labels: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error of the value of the executed command [DDQN eq. 1].

    Args:
        values: ``[3, B]``.
        labels: executed commands ``int32[B]``.
        target: ``[B]``.
    """
    taken = jnp.take_along_axis(values, labels[None, :], axis=0)[0]
    return jnp.square(taken - target).mean()


def cloning_loss(mode: jax.Array, action: jax.Array) -> jax.Array:
    """Mean squared error of the policy's mode, the likelihood of a Gaussian of fixed width around it.

    The likelihood of the squashed Gaussian itself blows up where a demonstrator pushes a dimension to its stop or holds
    it still.

    Args:
        mode: ``[d, B]`` in [-1, 1].
        action: executed by the demonstrator ``[d, B]``.
    """
    return jnp.square(mode - action).mean()


def gripper_cloning_loss(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy of the executed gripper commands.

    Args:
        scores: unnormalised log chances of the three commands ``[3, B]``.
        labels: executed commands ``int32[B]``.
    """
    chosen = jnp.take_along_axis(jax.nn.log_softmax(scores, axis=0), labels[None, :], axis=0)[0]
    return -chosen.mean()
