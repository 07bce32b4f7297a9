"""An agent that sees: who trains the encoder, who sees with which, and that what only a picture shows is learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import bc, sac, slices
from robot_rl.agents.arrays import copy_tree, flatten_state, unflatten_state
from robot_rl.agents.config import SacConfig
from robot_rl.agents.state import optimisers
from robot_rl.agents.updates import Info, Update
from robot_rl.agents.value import step_value
from robot_rl.agents.vision_config import VisionConfig
from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, Part, StateSpec, ViewSpec
from robot_rl.core.transition import Batch, Observation, ViewBatch
from robot_rl.policies.gaussian import GaussianPolicy

STATE = StateSpec((Part("nothing", 1, "1"),))
ACTION = ActionSpec(0.02, 0.1, active=(0, 6))
VIEWS = ViewSpec((("side", (16, 16, 3)), ("wrist", (16, 16, 3))))
ONE = ViewSpec((("side", (16, 16, 3)),))
CONFIG = SacConfig(
    hidden=(32,),
    gripper_critic=True,
    utd=2,
    batch_size=64,
    lr_actor=1e-3,
    lr_critic=1e-3,
    actor_average=0.9,
    vision=VisionConfig(channels=(8, 8), bottleneck=16),
)


@cache
def update_of(make: Callable[..., Update], views: ViewSpec, critic_only: bool = False) -> Update:
    return make(CONFIG, STATE, ACTION, views, critic_only=critic_only)


def lit(where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noisy pictures with a bright blob at columns in [-1, 1] ``uint8[..., 16, 16, 3]``."""
    pictures = rng.integers(0, 80, (*where.shape, 16, 16, 3)).astype(np.float32)
    columns = np.arange(16) - (7.5 + 5.0 * where[..., None])
    pictures[..., 6:10, :, :] += 170.0 * np.exp(-np.square(columns / 1.5))[..., None, :, None]
    return np.clip(pictures, 0, 255).astype(np.uint8)


def batch(rng: np.random.Generator, views: ViewSpec = ONE, *, expert: bool = False) -> ViewBatch:
    """One-step episodes that pay for a motion to the blob and for a gripper command by its side."""
    lead = (CONFIG.utd, CONFIG.batch_size)
    where = rng.uniform(-1, 1, lead)
    action = np.zeros((*lead, 7), np.float32)
    action[..., 0] = 0.9 * where if expert else rng.uniform(-1, 1, lead)
    action[..., 6] = np.sign(where) if expert else rng.integers(-1, 2, lead)
    reward = np.maximum(0.0, 1.0 - np.abs(action[..., 0] - where)).astype(np.float32)
    bonus = (action[..., 6] == np.sign(where)).astype(np.float32) - reward
    nothing = np.zeros((*lead, 1), np.float32)
    rows = Batch(nothing, action, reward, bonus, np.zeros(lead, np.float32), nothing)
    seen = {name: lit(where, rng) for name in views.cameras}
    return ViewBatch(rows, seen, {name: lit(rng.uniform(-1, 1, lead), rng) for name in views.cameras})


def leaves(tree: Any) -> list[np.ndarray]:
    return [np.array(leaf) for leaf in jax.tree.leaves(tree)]


def trained(make: Any, updates: int, *, expert: bool = False) -> tuple[Any, list[Info]]:
    rng = np.random.default_rng(0)
    state, update = make.init(CONFIG, STATE, ACTION, 0, ONE), update_of(make.make_update, ONE)
    infos = []
    for _ in range(updates):
        state, info = update(state, batch(rng, expert=expert))
        infos.append(info)
    return state, infos


def acts_by_what_it_sees(module: Any, state: Any) -> tuple[float, float]:
    """Mean distance of the motion from the blob, and share of right gripper commands."""
    policy, rng = GaussianPolicy.from_params(module.actor_params(state, CONFIG), 1), np.random.default_rng(9)
    where = rng.uniform(-1, 1, 300)
    nothing = np.zeros(1, np.float32)
    actions = np.stack(
        [policy.act(Observation(nothing, {"side": lit(w, rng)}), rng, deterministic=True) for w in where]
    )
    clear = np.abs(where) > 0.2
    return float(np.abs(actions[:, 0] - where).mean()), float((actions[:, 6] == np.sign(where))[clear].mean())


def test_what_only_a_picture_shows_is_learnt() -> None:
    """Without seeing, the best motion is 0.5 away from the blob on average, and half of the commands are right."""
    state, infos = trained(sac, 250)
    assert float(infos[0]["skipped"]) == 0.0
    error = [float(np.mean([i["td_error"] for i in part])) for part in (infos[:10], infos[-10:])]
    assert error[1] < 0.4 * error[0]
    distance, commands = acts_by_what_it_sees(sac, state)
    assert distance < 0.25 and commands > 0.9


def test_cloning_sees_too() -> None:
    """Its encoder learns from what is cloned: features nobody trained would leave the motion blurred."""
    state, infos = trained(bc, 150, expert=True)
    assert float(infos[-1]["actor_loss"]) < 0.05
    distance, commands = acts_by_what_it_sees(bc, state)
    assert distance < 0.2 and commands > 0.9


def test_critics_train_the_encoder_and_the_actor_does_not() -> None:
    given = batch(np.random.default_rng(1))
    start = sac.init(CONFIG, STATE, ACTION, 0, ONE)
    full, info = update_of(sac.make_update, ONE)(copy_tree(start), given)
    critic, _ = update_of(sac.make_update, ONE, critic_only=True)(copy_tree(start), given)
    for a, b in zip(leaves(full.encoder), leaves(critic.encoder), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert all(not np.array_equal(a, b) for a, b in zip(leaves(start.encoder), leaves(full.encoder), strict=True))
    for moved, kept in ((full.average_encoder, critic.average_encoder), (full.actor, critic.actor)):
        assert all(np.array_equal(a, b) for a, b in zip(leaves(kept), leaves(_like(start, kept, critic)), strict=True))
        assert any(not np.array_equal(a, b) for a, b in zip(leaves(moved), leaves(kept), strict=True))
    between = zip(leaves(start.encoder), leaves(full.target_encoder), leaves(full.encoder), strict=True)
    assert all(np.abs(t - s).max() <= 0.02 * np.abs(e - s).max() + 1e-6 for s, t, e in between)
    assert {"gripper_loss", "td_error", "actor_loss"} <= set(info)


def _like(start: sac.AgentState, tree: Any, state: sac.AgentState) -> Any:
    return start.actor if tree is state.actor else start.average_encoder


def test_targets_see_with_the_target_encoder() -> None:
    given = batch(np.random.default_rng(2))
    given = given._replace(batch=given.batch._replace(discount=np.full_like(given.batch.discount, 0.9)))
    update = update_of(sac.make_update, ONE, critic_only=True)
    start = sac.init(CONFIG, STATE, ACTION, 0, ONE)
    other = start._replace(target_encoder=jax.tree.map(lambda p: p + 0.3, start.target_encoder))
    means = [float(update(copy_tree(s), given)[1]["target_mean"]) for s in (start, start, other)]
    assert means[0] == means[1] != means[2]


def test_cameras_moments_and_groups_are_shifted_apart() -> None:
    rng = np.random.default_rng(3)
    one = rng.integers(0, 256, (1, 1, 16, 16, 3), np.uint8)
    same = dict.fromkeys(VIEWS.cameras, np.broadcast_to(one, (2, 64, 16, 16, 3)))
    given = batch(rng)._replace(views=same, next_views=same)
    config = replace(CONFIG, vision=replace(CONFIG.vision, augment_px=32))
    problem = slices.Problem(config, (0,), -0.5, optimisers(config), 1, VIEWS, None)
    cut = jax.jit(partial(slices.cut, problem))
    state = sac.init(config, STATE, ACTION, 0, VIEWS)
    shifted = []
    for seed in (0, 1):
        key, shift_key = jax.random.split(jax.random.PRNGKey(seed))
        out = cut(state, given, key, shift_key)
        shifted += [np.asarray(views[name]) for views in (out.views, out.next_views) for name in VIEWS.cameras]
    for i, a in enumerate(shifted):
        for b in shifted[:i]:
            assert (a == b).all(axis=(2, 3, 4)).mean() < 0.1


def test_every_update_has_a_random_key_of_its_own() -> None:
    given, update = batch(np.random.default_rng(4)), update_of(sac.make_update, ONE)
    state, keys = sac.init(CONFIG, STATE, ACTION, 0, ONE), set()
    for _ in range(3):
        keys.add(tuple(np.asarray(state.key).tolist()))
        state, _ = update(state, given)
    assert len(keys) == 3


def test_a_saved_agent_that_sees_goes_on_bit_for_bit() -> None:
    given = batch(np.random.default_rng(5))
    for module in (sac, bc):
        update = update_of(module.make_update, ONE)
        state, _ = update(module.init(CONFIG, STATE, ACTION, 0, ONE), given)
        resumed = unflatten_state(module.init(CONFIG, STATE, ACTION, 9, ONE), flatten_state(state))
        ends = [flatten_state(update(s, given)[0]) for s in (state, resumed)]
        assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_batch_that_is_not_finite_leaves_an_agent_that_sees_as_it_was() -> None:
    given, update = batch(np.random.default_rng(8)), update_of(sac.make_update, ONE)
    given.batch.reward[1, 2] = np.nan
    before = flatten_state(sac.init(CONFIG, STATE, ACTION, 0, ONE))
    after, info = update(sac.init(CONFIG, STATE, ACTION, 0, ONE), given)
    arrays = flatten_state(after)
    assert {name for name in before if not np.array_equal(before[name], arrays[name])} == {"key"}
    assert float(info["skipped"]) == 1.0


def test_a_step_in_which_a_number_stops_being_finite_is_left_out() -> None:
    def broken_from_the_second_on(critic: Any, state: sac.AgentState, item: slices.Slices) -> Any:
        return jnp.where(state.updates > 0, jnp.nan, 0.0) * critic["out"]["b"].sum()

    given = batch(np.random.default_rng(9))
    start = partial(sac.init, CONFIG, STATE, ACTION, 0, ONE)
    update = sac.make_update(CONFIG, STATE, ACTION, ONE, critic_only=True, penalty=broken_from_the_second_on)
    state, info = update(start(), given)
    assert float(info["skipped"]) == 0.5 and int(state.updates) == 1
    assert all(np.isfinite(leaf).all() for leaf in leaves(state))
    moved = zip(leaves(state.encoder), leaves(start().encoder), strict=True)
    assert all(not np.array_equal(a, b) for a, b in moved)


def test_frozen_weights_and_unused_ones_never_travel() -> None:
    views = ViewSpec((("side", (4, 4, 32)),), "checksum")
    params = sac.actor_params(sac.init(CONFIG, STATE, ACTION, 0, views), CONFIG)
    assert {n for n in params if n.startswith(("encoder", "views"))} == {
        "views/side",
        "encoder/side/spatial/w",
        *(f"encoder/side/neck/{part}" for part in ("w", "b", "gain", "shift")),
    }


def test_views_that_do_not_fit_are_refused() -> None:
    given = batch(np.random.default_rng(6))
    for module in (sac, bc):
        update, state = update_of(module.make_update, ONE), module.init(CONFIG, STATE, ACTION, 0, ONE)
        with pytest.raises(DataError, match=r"views of \[\], expected \['side'\]"):
            update(state, given.batch)
        dark = {"side": given.views["side"].astype(np.float16)}
        with pytest.raises(DataError, match="'side' is float16"):
            update(state, given._replace(views=dark))


def test_the_value_of_a_step_depends_on_what_is_seen() -> None:
    agent, rng = sac.init(CONFIG, STATE, ACTION, 0, ONE), np.random.default_rng(7)
    row, action = np.zeros(1, np.float32), np.zeros(7, np.float32)
    values = [float(step_value(CONFIG, agent, row, action, {"side": lit(np.array(w), rng)})) for w in (-1.0, 1.0)]
    assert values[0] != values[1]
