"""Losses against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import losses

REWARD = jnp.array([0.0, 1.0, 0.0])
DISCOUNT = jnp.array([0.9, 0.0, 0.9])  # the second row terminated, the third was cut by a time-out
NEXT_Q = jnp.array([[0.5, 7.0, 0.2], [0.4, 9.0, 0.3]])
LOG_PROB = jnp.array([1.0, 3.0, -2.0])


def target(**changes: object) -> jax.Array:
    options: dict[str, object] = {"backup_entropy": False, "q_range": None} | changes
    return losses.td_target(REWARD, DISCOUNT, NEXT_Q, LOG_PROB, jnp.float32(0.1), **options)  # type: ignore[arg-type]


def test_target_is_the_minimum_and_stops_only_at_terminations() -> None:
    np.testing.assert_allclose(target(), [0.36, 1.0, 0.18], rtol=1e-6)


def test_entropy_in_the_target_is_discounted_and_masked() -> None:
    # 0.9 (0.4 - 0.1), 1 + 0, 0.9 (0.2 + 0.2)
    np.testing.assert_allclose(target(backup_entropy=True), [0.27, 1.0, 0.36], rtol=1e-6)


def test_target_is_clipped_to_what_can_be_reached() -> None:
    np.testing.assert_allclose(target(q_range=(0.2, 0.3)), [0.3, 0.3, 0.2], rtol=1e-6)


def test_no_gradient_flows_through_the_target() -> None:
    slope = jax.grad(
        lambda q: losses.td_target(
            REWARD, DISCOUNT, q, LOG_PROB, jnp.float32(0.1), backup_entropy=True, q_range=None
        ).sum()
    )(NEXT_Q)
    assert not slope.any()


def test_critic_loss_is_each_members_own_error() -> None:
    q, y = jnp.array([[1.0, 2.0], [3.0, 5.0]]), jnp.array([2.0, 2.0])
    # members: (1 + 0)/2 and (1 + 9)/2; the error of the average member would be smaller
    assert float(losses.critic_loss(q, y)) == pytest.approx((0.5 + 5.0) / 2)
    np.testing.assert_allclose(jax.grad(losses.critic_loss)(q, y), [[-0.5, 0.0], [0.5, 1.5]])


def test_actor_loss_uses_the_mean_of_all_members_and_leaves_the_temperature_alone() -> None:
    q, log_prob, alpha = jnp.array([[1.0, 2.0], [3.0, 6.0]]), jnp.array([0.5, -1.5]), jnp.float32(0.2)
    # 0.2 (0.5 - 1.5)/2 - (2 + 4)/2
    assert float(losses.actor_loss(q, log_prob, alpha)) == pytest.approx(-3.1)
    by_q, by_log_prob, by_alpha = jax.grad(losses.actor_loss, argnums=(0, 1, 2))(q, log_prob, alpha)
    np.testing.assert_allclose(by_q, -0.25 * np.ones((2, 2)))
    np.testing.assert_allclose(by_log_prob, [0.1, 0.1])
    assert float(by_alpha) == 0.0


@pytest.mark.parametrize(("entropy", "sign"), [(-5.0, -1), (-1.0, 1)])
def test_descending_the_temperature_loss_raises_alpha_exactly_when_entropy_is_too_low(
    entropy: float, sign: int
) -> None:
    slope = jax.grad(losses.temperature_loss)(jnp.float32(0.1), jnp.float32(entropy), -3.0)
    assert float(slope) == pytest.approx(entropy + 3.0)
    assert np.sign(slope) == sign


def test_gripper_commands_become_classes_at_one_half() -> None:
    action = np.zeros((6, 7), np.float32)
    action[:, 6] = [-1.0, -0.51, -0.5, 0.5, 0.51, 1.0]
    np.testing.assert_array_equal(losses.gripper_labels(jnp.asarray(action)), [0, 0, 1, 1, 2, 2])


def test_double_q_learning_values_the_online_choice_with_the_target() -> None:
    online = jnp.array([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0]])
    slow = jnp.array([[10.0, 10.0], [0.5, 10.0], [10.0, 10.0]])
    # row 0: chooses 'keep', valued 0.5; row 1 terminated
    y = losses.gripper_target(jnp.array([0.1, 1.0]), jnp.array([0.9, 0.0]), online, slow)
    np.testing.assert_allclose(y, [0.1 + 0.45, 1.0], rtol=1e-6)


def test_gripper_loss_moves_only_the_executed_command() -> None:
    values, labels, y = jnp.array([[1.0, 0.0], [2.0, 0.0], [3.0, 4.0]]), jnp.array([1, 2]), jnp.array([1.0, 1.0])
    assert float(losses.gripper_loss(values, labels, y)) == pytest.approx((1 + 9) / 2)
    slope = jax.grad(losses.gripper_loss)(values, labels, y)
    np.testing.assert_allclose(slope, [[0, 0], [1, 0], [0, 3]])
