"""The squashed Gaussian against scipy."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from robot_rl.agents.tanh_normal import TanhNormal, mode, sample


@given(
    mean=st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3),
    log_std=st.lists(st.floats(-3, 1, width=32), min_size=3, max_size=3),
    noise=st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3),
)
def test_log_prob_is_the_density_of_the_squashed_variable(
    mean: list[float], log_std: list[float], noise: list[float]
) -> None:
    columns = [jnp.asarray(v, jnp.float32)[:, None] for v in (mean, log_std, noise)]
    drawn = sample(TanhNormal(columns[0], columns[1]), columns[2])
    u = np.asarray(mean) + np.exp(log_std) * np.asarray(noise)
    density = stats.norm.logpdf(u, mean, np.exp(log_std)) - 2 * (np.log(2) - u - np.logaddexp(0, -2 * u))
    np.testing.assert_allclose(drawn.action[:, 0], np.tanh(u), atol=1e-5)
    np.testing.assert_allclose(drawn.log_prob[0], density.sum(), rtol=1e-4, atol=1e-3)


def test_the_density_integrates_to_one() -> None:
    policy = TanhNormal(jnp.full((1, 20001), 0.4), jnp.full((1, 20001), -0.3))
    u = np.linspace(-6, 6, 20001)
    drawn = sample(policy, jnp.asarray((u - 0.4) / np.exp(-0.3))[None, :])
    assert np.isclose(np.trapezoid(np.exp(drawn.log_prob), drawn.action[0]), 1.0, atol=1e-3)


def test_far_tails_stay_finite() -> None:
    drawn = sample(TanhNormal(jnp.array([[60.0, -60.0]]), jnp.array([[2.0, 2.0]])), jnp.array([[5.0, -5.0]]))
    assert np.isfinite(drawn.log_prob).all()
    np.testing.assert_array_equal(drawn.action, [[1.0, -1.0]])


def test_the_mode_is_the_squashed_mean() -> None:
    np.testing.assert_allclose(mode(TanhNormal(jnp.array([[0.5]]), jnp.array([[1.0]]))), np.tanh([[0.5]]), rtol=1e-6)
