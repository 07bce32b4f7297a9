"""The losses of offline learning against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import offline_losses


def test_the_expectile_weighs_what_is_above_more_than_what_is_below() -> None:
    u = jnp.array([2.0, -1.0, 0.5])
    # 0.8 * 4, 0.2 * 1, 0.8 * 0.25
    assert float(offline_losses.expectile_loss(u, 0.8)) == pytest.approx((3.2 + 0.2 + 0.2) / 3)
    assert float(offline_losses.expectile_loss(u, 0.5)) == pytest.approx(0.5 * (4 + 1 + 0.25) / 3)


@pytest.mark.parametrize("expectile", [0.5, 0.8, 0.95])
def test_the_value_that_minimises_it_is_the_expectile(expectile: float) -> None:
    q = jnp.array([0.0, 0.0, 0.0, 1.0])
    values = jnp.linspace(0.0, 1.0, 10_001)
    losses = jax.vmap(lambda v: offline_losses.expectile_loss(q - v, expectile))(values)
    # 3 (1 - tau) v = tau (1 - v)
    expected = expectile / (expectile + 3 * (1 - expectile))
    assert float(values[jnp.argmin(losses)]) == pytest.approx(expected, abs=1e-3)


def test_weights_grow_with_the_advantage_up_to_the_clip_and_give_no_gradient() -> None:
    advantage = jnp.array([0.0, 0.1, -0.1, 1.0, 1e6, -1e6])
    weights = offline_losses.advantage_weights(advantage, 10.0, 100.0)
    np.testing.assert_allclose(weights, [1.0, np.e, 1 / np.e, 100.0, 100.0, 0.0], rtol=1e-5)
    assert (offline_losses.advantage_weights(advantage, 0.0, 100.0) == 1.0).all()
    assert not jax.grad(lambda a: offline_losses.advantage_weights(a, 10.0, 100.0).sum())(advantage).any()


def test_the_density_is_that_of_a_gaussian_around_the_squashed_mean() -> None:
    mean, action = jnp.array([[0.0, 0.5], [1.0, -1.0]]), jnp.array([[0.2, 0.5], [1.0, 0.0]])
    log_std = jnp.log(jnp.array([0.1, 2.0]))
    one = -0.5 * 4 - np.log(0.1) - np.log(2.0) - np.log(2 * np.pi)
    two = -0.5 * 0.25 - np.log(0.1) - np.log(2.0) - np.log(2 * np.pi)
    np.testing.assert_allclose(offline_losses.gaussian_log_prob(mean, log_std, action), [one, two], rtol=1e-5)


def test_values_below_what_was_earned_are_lifted_to_it() -> None:
    q = jnp.array([[[0.1, 0.9], [0.5, 0.2]]])
    np.testing.assert_allclose(
        offline_losses.calibrated(q, jnp.array([0.3, 0.6])), [[[0.3, 0.9], [0.5, 0.6]]], rtol=1e-6
    )


def test_a_value_that_was_lifted_is_not_pushed_down() -> None:
    log_density, mc_return = jnp.zeros((2, 1)), jnp.array([0.4])

    def charge(q: jax.Array) -> jax.Array:
        lifted = offline_losses.calibrated(q[None, :, None], mc_return)
        return offline_losses.conservative_penalty(lifted, log_density, jnp.zeros((1, 1)), 1.0)

    slope = jax.grad(charge)(jnp.array([0.1, 0.8]))
    assert float(slope[0]) == 0.0 and float(slope[1]) > 0.5


def test_the_charge_is_a_soft_maximum_with_importance_weights_minus_the_value_of_the_data() -> None:
    q = jnp.array([[[0.0], [1.0]], [[2.0], [0.5]]])  # two members, two samples, one row
    log_density = jnp.log(jnp.array([[0.25], [2.0]]))
    q_data = jnp.array([[0.5], [1.5]])
    first = np.log(np.exp(0.0) / 0.25 + np.exp(1.0) / 2.0) - 0.5
    second = np.log(np.exp(2.0) / 0.25 + np.exp(0.5) / 2.0) - 1.5
    got = offline_losses.conservative_penalty(q, log_density, q_data, 1.0)
    assert float(got) == pytest.approx((first + second) / 2, rel=1e-5)
    first = 0.1 * np.log(np.exp((0.0 - np.log(0.25)) / 0.1) + np.exp((1.0 - np.log(2.0)) / 0.1)) - 0.5
    second = 0.1 * np.log(np.exp((2.0 - np.log(0.25)) / 0.1) + np.exp((0.5 - np.log(2.0)) / 0.1)) - 1.5
    got = offline_losses.conservative_penalty(q, log_density, q_data, 0.1)
    assert float(got) == pytest.approx((first + second) / 2, rel=1e-5)
