"""What the policy sees in numpy is what it was trained on in JAX; broken parameters and views are named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import bc, encoders, networks, sac, tanh_normal
from robot_rl.agents.config import SacConfig
from robot_rl.agents.vision_config import VisionConfig
from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ActionSpec, Part, StateSpec, ViewSpec
from robot_rl.core.transition import Observation
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.testing import PolicyContract

STATE = StateSpec((Part("a", 4, "m", scale=0.3, center=0.2),))
ACTION = ActionSpec(0.02, 0.1, active=(0, 1, 2, 6))
CONFIG = SacConfig(hidden=(16,), gripper_critic=True, vision=VisionConfig(channels=(4, 5, 6), bottleneck=7))
VIEWS = {
    "pictures": ViewSpec((("wrist", (36, 45, 3)), ("side", (16, 16, 3)))),
    "features": ViewSpec((("wrist", (2, 3, 9)), ("side", (2, 3, 9))), "abc"),
    "pooled": ViewSpec((("wrist", (1, 1, 9)),), "abc"),
}


def shaken(tree: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x) + 0.3 * rng.standard_normal(x.shape), jnp.float32), tree)


def agent(views: ViewSpec) -> sac.AgentState:
    state = sac.init(CONFIG, STATE, ACTION, 0, views)
    acting = shaken((state.average_actor, state.average_encoder, state.average_gripper))
    return state._replace(average_actor=acting[0], average_encoder=acting[1], average_gripper=acting[2])


def policy_of(views: ViewSpec) -> GaussianPolicy:
    return GaussianPolicy.from_params(sac.actor_params(agent(views), CONFIG), 3)


def rows(views: ViewSpec, n: int) -> list[Observation]:
    rng = np.random.default_rng(1)
    states = rng.standard_normal((n, STATE.size)).astype(np.float32)
    if views.encoder:
        return [
            Observation(
                s, features={c: rng.standard_normal((2, *shape)).astype(np.float16) for c, shape in views.shapes}
            )
            for s in states
        ]
    return [Observation(s, {c: rng.integers(0, 256, shape, np.uint8) for c, shape in views.shapes}) for s in states]


@pytest.mark.parametrize("kind", VIEWS)
def test_equals_the_jax_policy(kind: str) -> None:
    views, state = VIEWS[kind], agent(VIEWS[kind])
    seen = rows(views, 32)
    stacked = {
        c: jnp.asarray(np.stack([o.features[c][0] if views.encoder else o.images[c] for o in seen]))
        for c in views.cameras
    }
    x = networks.normalise(state.normaliser, jnp.asarray(np.stack([o.state for o in seen]))).T
    x = jax.jit(encoders.encode)(state.average_encoder or {}, stacked, x)
    low, high = CONFIG.log_std_min, CONFIG.log_std_max
    modes = tanh_normal.mode(tanh_normal.distribution(state.average_actor, x, CONFIG.activation, low, high))
    commands = networks.gripper_values(state.average_gripper or {}, x, CONFIG.activation).argmax(axis=0) - 1
    policy = policy_of(views)
    got = np.stack([policy.act(o, np.random.default_rng(0), deterministic=True) for o in seen])
    np.testing.assert_allclose(got[:, :3], modes.T, atol=1e-5)
    np.testing.assert_array_equal(got[:, 6], commands)
    assert np.abs(got[:, :3]).std(axis=0).min() > 0.01  # the views make a difference


@pytest.mark.parametrize("kind", VIEWS)
class TestPolicyThatSees(PolicyContract):
    @pytest.fixture(autouse=True)
    def _choose(self, kind: str) -> None:
        self.kind = kind

    def make(self) -> tuple[Policy, StateSpec]:
        return policy_of(VIEWS[self.kind]), STATE

    def views(self) -> ViewSpec:
        return VIEWS[self.kind]


def test_a_cloned_policy_sees_too() -> None:
    views = VIEWS["pictures"]
    policy = GaussianPolicy.from_params(bc.actor_params(bc.init(CONFIG, STATE, ACTION, 0, views), CONFIG), 1)
    a, b = rows(views, 2)
    actions = [policy.act(replace(a, images=o.images), np.random.default_rng(0)) for o in (a, b)]
    assert not np.array_equal(*actions)


@pytest.mark.parametrize(
    ("kind", "name", "change", "message"),
    [
        ("pictures", "views/side", None, "'views/side' is missing"),
        ("pictures", "views/side", np.array([16, 16]), r"'views/side' is \[16.0, 16.0\], expected \(h, w, c\)"),
        ("pictures", "encoder/side/1/w", np.zeros((2, 2, 9, 5)), "'encoder/side/1/w' has shape"),
        ("pictures", "encoder/side/1/b", np.zeros(4), "'encoder/side/1/w' has shape"),
        ("pictures", "encoder/side/neck/gain", None, "'encoder/side/neck/gain' is missing"),
        ("pictures", "encoder/side/neck/shift", np.zeros(8), "encoder/side/neck"),
        ("pictures", "encoder/side/neck/w", np.full((7, 96), np.nan), "not finite"),
        ("pictures", "views/wrist", np.array([36, 99, 3]), "'encoder/wrist/neck/w' has shape"),
        ("features", "encoder/wrist/spatial/w", None, "'encoder/wrist/spatial/w' is missing"),
        ("features", "encoder/wrist/spatial/w", np.zeros((2, 2, 9, 8)), "'encoder/wrist/spatial/w' has shape"),
        ("pooled", "encoder/wrist/neck/w", None, "'encoder/wrist/neck/w' is missing"),
    ],
)
def test_broken_parameters_are_named(kind: str, name: str, change: np.ndarray | None, message: str) -> None:
    params = sac.actor_params(sac.init(CONFIG, STATE, ACTION, 0, VIEWS[kind]), CONFIG)
    assert name in params
    if change is None:
        del params[name]
    else:
        params[name] = change.astype(np.float32)
    with pytest.raises(DataError, match=message):
        GaussianPolicy.from_params(params, 1)
