"""The numpy actor equals the JAX actor, and refuses what is broken."""

import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.agents import networks, sac, tanh_normal
from robot_rl.agents.config import SacConfig
from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.policies.gaussian import GaussianPolicy

STATE = StateSpec((Part("a", 4, "m", scale=0.3, center=0.2), Part("b", 5, "rad", scale=2.0)))
ACTION = ActionSpec(0.02, 0.1, active=(0, 1, 2, 5, 6))
PLAIN = SacConfig(hidden=(32, 16))
VARIANTS = {
    "plain": PLAIN,
    "tanh and norm": replace(PLAIN, activation="tanh", actor_layer_norm=True),
    "gripper": replace(PLAIN, gripper_critic=True, gripper_epsilon=0.0),
}


def random_agent(config: SacConfig, seed: int = 0) -> sac.AgentState:
    """An agent whose every weight is random, also biases and gains."""
    rng = np.random.default_rng(seed)

    def shake(leaf: jax.Array) -> jax.Array:
        return jnp.asarray((np.asarray(leaf) + 0.5 * rng.standard_normal(leaf.shape)).astype(np.float32))

    state = sac.init(config, STATE, ACTION, seed)
    average = jax.tree.map(shake, state.average_actor)
    return state._replace(average_actor=average, gripper=jax.tree.map(shake, state.gripper))


def policy_of(config: SacConfig, seed: int = 0) -> GaussianPolicy:
    return GaussianPolicy.from_params(sac.actor_params(random_agent(config, seed), config), version=5)


@pytest.mark.parametrize("name", VARIANTS)
def test_equals_the_jax_actor(name: str) -> None:
    config = VARIANTS[name]
    agent = random_agent(config)
    policy = policy_of(config)
    rows = np.random.default_rng(1).normal(0, 3, (64, 9)).astype(np.float32)
    rows[0] = 1e6  # far outside, where the clip acts
    noise = np.stack([np.random.default_rng(i).standard_normal(agent.owned.size, dtype=np.float32) for i in range(64)])

    @jax.jit
    def everything() -> tuple[jax.Array, jax.Array, jax.Array]:
        """Modes, samples and gripper values, feature-major."""
        x = networks.normalise(agent.normaliser, jnp.asarray(rows)).T
        gaussian = tanh_normal.distribution(
            agent.average_actor, x, config.activation, config.log_std_min, config.log_std_max
        )
        values = jnp.zeros((3, 64))
        if agent.gripper is not None:
            values = networks.gripper_values(agent.gripper, x, config.activation)
        return tanh_normal.mode(gaussian), tanh_normal.sample(gaussian, jnp.asarray(noise.T)).action, values

    modes, samples, values = map(np.asarray, everything())
    for deterministic in (True, False):
        wanted = np.zeros((64, 7))
        wanted[:, np.asarray(agent.owned)] = (modes if deterministic else samples).T
        if agent.gripper is not None:
            wanted[:, 6] = values.argmax(axis=0) - 1
        got = [
            policy.act(Observation(row), np.random.default_rng(i), deterministic=deterministic)
            for i, row in enumerate(rows)
        ]
        np.testing.assert_allclose(np.stack(got), wanted, atol=1e-5)


@given(state=st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=9, max_size=9), seed=st.integers(0, 99))
def test_every_finite_state_gives_an_action_within_bounds(state: list[float], seed: int) -> None:
    policy = policy_of(VARIANTS["gripper"])
    action = policy.act(Observation(np.array(state, np.float32)), np.random.default_rng(seed))
    assert action.shape == (7,)
    assert action.dtype == np.float32
    assert (np.abs(action) <= 1).all()
    assert action[6] in (-1, 0, 1)
    np.testing.assert_array_equal(action[[3, 4]], 0)  # not active


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_state_that_is_not_finite_is_refused(bad: float) -> None:
    state = np.zeros(9, np.float32)
    state[3] = bad
    with pytest.raises(DataError, match=r"not finite at indices \[3\]"):
        policy_of(PLAIN).act(Observation(state), np.random.default_rng(0))


def test_a_state_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match=r"\(8,\), the policy expects \(9,\)"):
        policy_of(PLAIN).act(Observation(np.zeros(8, np.float32)), np.random.default_rng(0))


def test_deterministic_actions_leave_the_random_source_alone() -> None:
    rng = np.random.default_rng(0)
    policy_of(VARIANTS["gripper"]).act(Observation(np.zeros(9, np.float32)), rng, deterministic=True)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_epsilon_explores_the_gripper_only_while_exploring() -> None:
    policy = policy_of(replace(VARIANTS["gripper"], gripper_epsilon=0.3))
    rng, state = np.random.default_rng(0), np.zeros(9, np.float32)
    greedy = policy.act(Observation(state), rng, deterministic=True)[6]
    tries = [policy.act(Observation(state), rng)[6] for _ in range(3000)]
    assert set(tries) == {-1.0, 0.0, 1.0}
    assert np.mean(np.array(tries) != greedy) == pytest.approx(0.2, abs=0.03)  # two of three random commands differ
    assert {policy.act(Observation(state), rng, deterministic=True)[6] for _ in range(100)} == {greedy}


def test_parameters_are_copied() -> None:
    params = sac.actor_params(random_agent(PLAIN), PLAIN)
    policy = GaussianPolicy.from_params(params, 1)
    before = policy.act(Observation(np.ones(9, np.float32)), np.random.default_rng(0), deterministic=True)
    for value in params.values():
        value[...] = 0.0
    after = policy.act(Observation(np.ones(9, np.float32)), np.random.default_rng(0), deterministic=True)
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("actor/0/w", None, "'actor/0/w' is missing"),
        ("actor/0/w", np.zeros((32, 8)), r"'actor/0/w' has shape \(32, 8\), expected \(32, 9\)"),
        ("actor/1/b", np.zeros(15), "actor/1"),
        ("actor/out/b", np.full(10, np.nan), "'actor/out/b' is not finite"),
        ("owned", np.array([0, 0, 1, 2, 5]), "distinct action indices"),
        ("owned", np.array([0, 1, 2, 5, 7]), "distinct action indices"),
        ("normaliser/scale", np.zeros(9), "must be positive"),
    ],
)
def test_broken_parameters_are_named(name: str, change: np.ndarray | None, message: str) -> None:
    params = sac.actor_params(random_agent(PLAIN), PLAIN)
    if change is None:
        del params[name]
    else:
        params[name] = change.astype(np.float32)
    with pytest.raises(DataError, match=message):
        GaussianPolicy.from_params(params, 1)


def test_is_a_policy_with_a_version() -> None:
    policy = policy_of(PLAIN)
    assert isinstance(policy, Policy)
    assert policy.version == 5


def test_needs_no_jax() -> None:
    code = "import sys, robot_rl.policies.gaussian, robot_rl.agents.config; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
