"""The arithmetic of PPO against definitions written out in plain loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from robot_rl.agents.ppo_losses import advantages, log_prob, new_scaler, policy_loss, scale_rewards

T, E = 12, 3


def episodes(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    ended = (rng.random((T, E)) < 0.25).astype(np.float32)
    return {
        "rewards": rng.normal(size=(T, E)).astype(np.float32),
        "values": rng.normal(size=(T, E)).astype(np.float32),
        "next_values": rng.normal(size=(T, E)).astype(np.float32),
        "stop": ended * (rng.random((T, E)) < 0.5).astype(np.float32),
        "ended": ended,
    }


@given(seed=st.integers(0, 1000), gamma=st.floats(0.5, 1.0), decay=st.floats(0.0, 1.0))
@settings(max_examples=10, deadline=None)
def test_advantages_are_the_sum_of_their_definition(seed: int, gamma: float, decay: float) -> None:
    given_ = episodes(seed)
    got = advantages(**given_, gamma=gamma, gae_lambda=decay)  # type: ignore[arg-type]
    wanted = np.zeros((T, E))
    for e in range(E):
        for t in range(T):
            weight = 1.0
            for k in range(t, T):
                after = gamma * (1.0 - given_["stop"][k, e]) * given_["next_values"][k, e]
                wanted[t, e] += weight * (given_["rewards"][k, e] + after - given_["values"][k, e])
                if given_["ended"][k, e]:
                    break
                weight *= gamma * decay
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_the_end_by_the_clock_bootstraps_and_the_end_of_the_task_does_not() -> None:
    one = np.ones((1, 2), np.float32)
    stop = np.array([[0.0, 1.0]], np.float32)
    gains = advantages(0 * one, 0 * one, one, stop, one, gamma=0.9, gae_lambda=0.95)  # type: ignore[arg-type]
    np.testing.assert_allclose(gains, [[0.9, 0.0]], atol=1e-6)


@given(seed=st.integers(0, 1000), at=st.sampled_from((1, 7)))
@settings(max_examples=8, deadline=None)
def test_rewards_are_scaled_alike_however_the_steps_are_cut_into_rollouts(seed: int, at: int) -> None:
    data = episodes(seed)
    whole, _ = scale_rewards(new_scaler(E), data["rewards"], data["ended"], 0.9, 5.0)  # type: ignore[arg-type]
    parts, _ = scale_rewards(new_scaler(E), data["rewards"][:at], data["ended"][:at], 0.9, 5.0)  # type: ignore[arg-type]
    parts, scaled = scale_rewards(parts, data["rewards"][at:], data["ended"][at:], 0.9, 5.0)  # type: ignore[arg-type]
    np.testing.assert_allclose(parts.scale(), whole.scale(), rtol=1e-4)
    wanted = np.clip(data["rewards"][at:] / float(whole.scale()), -5.0, 5.0)
    np.testing.assert_allclose(scaled, wanted, rtol=1e-3, atol=1e-5)
    running, seen = np.zeros(E), []
    for reward, ended in zip(data["rewards"], data["ended"], strict=True):
        running = 0.9 * running + reward
        seen.append(running)
        running = running * (1.0 - ended)
    np.testing.assert_allclose(whole.scale(), np.std(seen), rtol=1e-4)


def test_rewards_that_never_differ_stay_as_they_are_and_great_ones_are_clipped() -> None:
    zero = jnp.zeros((T, E))
    _, scaled = scale_rewards(new_scaler(E), zero, zero, 0.99, 5.0)
    assert (np.asarray(scaled) == 0.0).all()
    rare = zero.at[-1, 0].set(1.0)
    _, scaled = scale_rewards(new_scaler(E), rare, zero, 0.99, 5.0)
    assert float(scaled[-1, 0]) == 5.0


def test_log_probabilities_are_those_of_independent_gaussians() -> None:
    rng = np.random.default_rng(0)
    edits, means = rng.normal(size=(2, 5, 4))
    wanted = norm.logpdf(edits, means, np.exp(-1.0)).sum(axis=-1)
    np.testing.assert_allclose(log_prob(jnp.array(edits), jnp.array(means), -1.0), wanted, rtol=1e-5)


def test_a_ratio_outside_counts_only_where_it_would_undo_harm() -> None:
    """The slope is 0 where a good action has become likelier by more than the clip, or a bad one less likely."""
    gains = jnp.array([1.0, 1.0, -1.0, -1.0])
    ratios = jnp.array([1.5, 0.5, 1.5, 0.5])
    slope = jax.grad(lambda r: policy_loss(r, gains, 0.2)[0])(jnp.log(ratios))
    assert [bool(s == 0.0) for s in slope] == [True, False, False, True]
    assert float(policy_loss(jnp.log(ratios), gains, 0.2)[1]["clipped"]) == 1.0


def test_divergence_is_zero_for_the_policy_that_acted_and_positive_for_others() -> None:
    gains = jnp.arange(4.0)
    assert float(policy_loss(jnp.zeros(4), gains, 0.2)[1]["kl"]) == 0.0
    assert float(policy_loss(jnp.array([0.1, -0.2, 0.3, 0.0]), gains, 0.2)[1]["kl"]) == pytest.approx(0.01844, abs=1e-5)
