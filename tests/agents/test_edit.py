"""Agents that propose and select on top of a frozen base policy."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import edit
from robot_rl.agents.arrays import flatten_state, unflatten_state
from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EDIT_PRESETS, EditConfig
from robot_rl.agents.edit_proposals import acted, candidates, chunk_values
from robot_rl.agents.edit_state import set_up
from robot_rl.core.base import BaseInfo, plan_part
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ACTION_SIZE, ActionSpec, Part, StateSpec, ViewSpec
from robot_rl.core.transition import Batch, ChunkBatch, Observation
from robot_rl.policies.edit import EditPolicy
from robot_rl.policies.published import published_policy

OWN = 3
ACTIONS = ActionSpec(0.01, 0.05, (0, 1, 2, 6))
CONFIG = SacConfig(hidden=(16, 16), utd=2, batch_size=8, critics=3, subset=2)
PROPOSALS = {"first": 1, "argmax": 4, "softmax": 4}
SOFTMAX = replace(EDIT_PRESETS["expo"], select="softmax")
OPTIONS = [EDIT_PRESETS["rlt"], SOFTMAX, EDIT_PRESETS["ibrl"], EDIT_PRESETS["qc"]]
"""Between them every kind of actor, selection and chunk."""


def spec_for(options: EditConfig) -> StateSpec:
    info = BaseInfo("test", "sum", 16)
    return StateSpec((Part("a", OWN, "m", scale=2.0), plan_part(info, PROPOSALS[options.select], options.chunk)))


def some_batch(options: EditConfig, seed: int = 0, utd: int = 2, rows: int = 8) -> ChunkBatch:
    rng, spec, h = np.random.default_rng(seed), spec_for(options), options.chunk

    def uniform(*shape: int) -> Any:
        return rng.uniform(-1.0, 1.0, (utd, rows, *shape)).astype(np.float32)

    actions = uniform(h, ACTION_SIZE)
    batch = Batch(
        uniform(spec.size),
        actions[:, :, 0],
        uniform() * 0.1,
        0.0 * uniform(),
        0.9 + 0.0 * uniform(),
        uniform(spec.size),
    )
    ones = np.ones((utd, rows, h), np.float32)
    return ChunkBatch(batch, actions, ones, 0.0 * ones)


@lru_cache
def compiled(options: EditConfig, config: SacConfig, critic_only: bool) -> Any:
    return edit.make_update(config, spec_for(options), ACTIONS, options=options, critic_only=critic_only)


def make(options: EditConfig, config: SacConfig = CONFIG, *, critic_only: bool = False) -> tuple[edit.EditState, Any]:
    state = edit.init(config, spec_for(options), ACTIONS, 0, options=options)
    return state, compiled(options, config, critic_only)


def acting(state: edit.EditState, options: EditConfig, config: SacConfig = CONFIG) -> EditPolicy:
    policy = published_policy(edit.actor_params(state, config, options=options), 1)
    assert isinstance(policy, EditPolicy)
    return policy


def plans_in(options: EditConfig, row: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return row[OWN:].reshape(-1, options.chunk, ACTION_SIZE)


@pytest.mark.parametrize("options", OPTIONS)
def test_before_training_the_base_acts_to_the_bit(options: EditConfig) -> None:
    """The gripper too, and zero where nobody is in command."""
    policy = acting(make(options)[0], options)
    for row in some_batch(options, seed=5).batch.state[0]:  # type: ignore[union-attr]
        policy.reset()
        for step in range(options.chunk):
            action = policy.act(Observation(row), np.random.default_rng(0), deterministic=True)
            np.testing.assert_array_equal(action[[0, 1, 2, 6]], plans_in(options, row)[0, step, [0, 1, 2, 6]])
            assert not action[[3, 4, 5]].any()


def test_an_armed_agent_whose_actor_is_untouched_still_repeats_the_base() -> None:
    """The change itself is zero to the bit, not only not yet used."""
    options = EDIT_PRESETS["edit"]
    state, _ = make(options)
    policy = acting(state._replace(armed=jnp.ones((), jnp.int32)), options)
    for row in some_batch(options, seed=6).batch.state[0]:  # type: ignore[union-attr]
        action = policy.act(Observation(row), np.random.default_rng(0), deterministic=True)
        np.testing.assert_array_equal(action[[0, 1, 2, 6]], plans_in(options, row)[0, 0, [0, 1, 2, 6]])


@pytest.mark.parametrize("options", OPTIONS)
def test_what_acts_is_what_was_trained(options: EditConfig) -> None:
    """Numpy and JAX propose the same candidates, give them the same values and choose the same one."""
    state, update = make(options)
    for k in range(30):
        state, _ = update(state, some_batch(options, seed=k))
    problem = set_up(CONFIG, options, spec_for(options), ACTIONS)
    policy = acting(state, options)
    for row in some_batch(options, seed=99).batch.state[0]:  # type: ignore[union-attr]
        policy.reset()
        x = jnp.asarray(row[:OWN] / 2.0)[:, None]
        plans = jnp.asarray(plans_in(options, row)[..., [0, 1, 2, 6]].reshape(PROPOSALS[options.select], -1, 1))
        chunks = candidates(problem, state.average_actor, x, plans)
        values = chunk_values(problem, state.critic, x, plans, chunks).mean(axis=0)[:, 0]
        best = 0 if options.select == "first" else int(values.argmax())
        got = [policy.act(Observation(row), np.random.default_rng(0), deterministic=True) for _ in range(options.chunk)]
        wanted = np.asarray(chunks[best, :, 0]).reshape(options.chunk, 4)
        np.testing.assert_allclose(np.stack(got)[:, [0, 1, 2, 6]], wanted, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS)
def test_edits_are_bounded_and_leave_the_gripper_to_the_base(options: EditConfig) -> None:
    state, update = make(replace(options, lr_actor=1e-2))
    for k in range(30):
        state, _ = update(state, some_batch(options, seed=k))
    policy = acting(state, options)
    rng = np.random.default_rng(1)
    for row in some_batch(options, seed=98).batch.state[0]:  # type: ignore[union-attr]
        policy.reset()
        action = policy.act(Observation(row), rng, deterministic=True)
        plans = plans_in(options, row)[:, 0]
        if options.actor != "free":
            away = np.abs(action[:3] - plans[:, :3]).max(axis=1)
            assert away.min() <= options.scale + 1e-6
            assert action[6] in plans[:, 6]
        assert (np.abs(policy.act(Observation(row), rng)) <= 1.0).all()


def test_the_target_is_the_window_and_the_value_of_what_would_be_done() -> None:
    """``y = R + D max_c min_m Q``, written out for one slice and all members (no subset, no noise)."""
    options = replace(EDIT_PRESETS["expo"], sigma=0.0)
    config = replace(CONFIG, critics=2, subset=2, utd=1, q_range=None)
    state, update = make(options, config, critic_only=True)
    given = some_batch(options, utd=1)
    problem = set_up(config, options, spec_for(options), ACTIONS)
    batch = given.batch
    assert isinstance(batch, Batch)
    x = jnp.asarray(batch.next_state[0, :, :OWN] / 2.0).T
    plans = jnp.asarray(batch.next_state[0, :, OWN:].reshape(8, 4, 1, 7)[..., [0, 1, 2, 6]]).reshape(8, 4, 4)
    plans = plans.transpose(1, 2, 0)
    chunks = candidates(problem, state.average_actor, x, plans)
    following = chunk_values(problem, state.target_critic, x, plans, chunks).min(axis=0).max(axis=0)
    wanted = batch.reward[0] + batch.discount[0] * np.asarray(following)
    _, info = update(state, given)
    assert float(info["target_mean"]) == pytest.approx(float(wanted.mean()), abs=1e-5)


def test_critics_alone_leave_the_actor_as_it_is() -> None:
    options = EDIT_PRESETS["edit"]
    state, update = make(options, critic_only=True)
    before = jax.tree.map(np.array, (state.actor, state.actor_optimiser))
    critic = np.array(state.critic["out"]["w"])
    state, info = update(state, some_batch(options))
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves((state.actor, state.actor_optimiser)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(critic, state.critic["out"]["w"]) and info["actor_loss"] == 0.0 and not state.armed


@pytest.mark.parametrize("guided", [False, True])
def test_the_anchor_pulls_to_the_base_or_to_what_a_person_did(guided: bool) -> None:
    """With nothing else in the loss the actor ends at the reference, and what only fills the chunk pulls nowhere."""
    options = EditConfig(chunk=2, anchor=100.0, reference_dropout=0.0, lr_actor=3e-3, sigma=0.0, scale=0.5)
    config = replace(CONFIG, n_step=2, actor_average=0.0)
    state, update = make(options, config)
    given = some_batch(options)
    batch = given.batch
    assert isinstance(batch, Batch)
    plans = batch.state[..., OWN:].reshape(2, 8, 2, ACTION_SIZE) * 0.3
    batch.state[..., OWN:] = plans.reshape(2, 8, -1)
    valid = given.valid.copy()
    valid[..., 1] = 0.0
    actions = np.clip(plans + 0.25, -1.0, 1.0)
    actions[..., 1, :] = -1.0  # not valid: must not be followed
    given = ChunkBatch(batch._replace(reward=0.0 * batch.reward), actions, valid, np.full_like(valid, float(guided)))
    for _ in range(300):
        state, info = update(state, given)
    policy = acting(state, options, config)
    got = []
    for row in batch.state[0]:
        policy.reset()
        got.append(policy.act(Observation(row), np.random.default_rng(0), deterministic=True))
    moved = np.stack(got)[:, :3] - plans[0, :, 0, :3]
    assert np.abs(moved - (0.25 if guided else 0.0)).mean() < 0.05
    assert float(info["anchor_loss"]) < 0.01


def test_reference_dropout_hides_the_proposal_from_the_actor_alone() -> None:
    """The change is still added to the proposal that the actor does not see."""
    options = EDIT_PRESETS["edit"]
    state, update = make(options)
    for k in range(20):
        state, _ = update(state, some_batch(options, seed=k))
    problem = set_up(CONFIG, options, spec_for(options), ACTIONS)
    assert state.actor is not None
    x, rng = jnp.zeros((OWN, 2)), np.random.default_rng(0)
    plans = jnp.asarray(rng.uniform(-0.5, 0.5, (1, 4, 2)), jnp.float32)
    hidden = acted(problem, state.actor, x, plans, seen=jnp.zeros(2)).chunks - plans
    np.testing.assert_allclose(hidden[..., 0], hidden[..., 1], atol=1e-7)
    seen = acted(problem, state.actor, x, plans, seen=jnp.ones(2)).chunks - plans
    assert np.abs(np.asarray(seen[..., 0] - seen[..., 1])).max() > 1e-6


def test_a_chunk_is_done_to_its_end_unless_somebody_else_acts() -> None:
    options = EDIT_PRESETS["rlt"]
    policy = acting(make(options)[0], options)
    first, second = some_batch(options, seed=1).batch.state[0][:2]  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    wanted = plans_in(options, first)[0, :, 0]
    assert policy.act(Observation(first), rng, deterministic=True)[0] == wanted[0]
    assert policy.act(Observation(second), rng, deterministic=True)[0] == wanted[1]
    newer = acting(make(options)[0], options)
    newer.continue_from(policy)
    assert newer.act(Observation(second), rng, deterministic=True)[0] == wanted[2]
    policy.flush()
    assert policy.act(Observation(second), rng, deterministic=True)[0] == plans_in(options, second)[0, 0, 0]


def test_softmax_draws_and_its_mode_does_not() -> None:
    options = replace(SOFTMAX, softmax_temperature=1.0, sigma=0.0)
    state, update = make(options)
    for k in range(5):
        state, _ = update(state, some_batch(options, seed=k))
    policy, rng = acting(state, options), np.random.default_rng(0)
    obs = Observation(some_batch(options, seed=7).batch.state[0][0])  # type: ignore[union-attr]
    drawn = {policy.act(obs, rng)[0].item() for _ in range(50)}
    modes = {policy.act(obs, rng, deterministic=True)[0].item() for _ in range(5)}
    assert len(drawn) > 2 and len(modes) == 1
    assert 0.0 < policy.chose_base < 1.0


@pytest.mark.parametrize("where", ["reward", "state", "actions"])
def test_a_number_that_is_not_finite_changes_nothing(where: str) -> None:
    options = EDIT_PRESETS["edit"]
    state, update = make(options)
    before, given = flatten_state(state), some_batch(options)
    array = given.actions if where == "actions" else getattr(given.batch, where)
    array[0, 0] = np.nan
    state, info = update(state, given)
    assert info["skipped"] == 1.0
    for name, value in flatten_state(state).items():
        if name != "key":
            np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("options", OPTIONS)
def test_goes_on_bit_identically_from_what_was_saved(options: EditConfig) -> None:
    state, update = make(options)
    state, _ = update(state, some_batch(options))
    saved = flatten_state(state)
    again = unflatten_state(make(options)[0], saved)
    for a, b in zip(
        flatten_state(update(state, some_batch(options, 3))[0]).values(),
        flatten_state(update(again, some_batch(options, 3))[0]).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_is_refused() -> None:
    options, spec = EDIT_PRESETS["edit"], spec_for(EDIT_PRESETS["edit"])
    plain = StateSpec(spec.parts[:1])
    with pytest.raises(ConfigError, match="--base PATH"):
        set_up(CONFIG, options, plain, ACTIONS)
    with pytest.raises(ConfigError, match="--agent.n-step 5"):
        set_up(CONFIG, replace(options, chunk=5), spec, ACTIONS)
    with pytest.raises(ConfigError, match="gripper"):
        set_up(replace(CONFIG, gripper_critic=True), options, spec, ACTIONS)
    with pytest.raises(ConfigError, match="pictures"):
        set_up(CONFIG, options, spec, ACTIONS, ViewSpec((("wrist", (8, 8, 3)),)))
    with pytest.raises(ConfigError, match=r"edit\.bases"):
        EditConfig(actor="none")
    state, update = make(options)
    with pytest.raises(DataError, match="expected a ChunkBatch"):
        update(state, some_batch(options).batch)
    with pytest.raises(DataError, match=r"batch\.actions"):
        update(make(options)[0], some_batch(replace(options, chunk=2))._replace(batch=some_batch(options).batch))


def test_learns_what_the_base_does_wrong() -> None:
    """A problem of one step: the base misses a target by 0.15, which is within the radius."""
    options = EditConfig(scale=0.3, lr_actor=1e-3, anchor=0.0)
    config = SacConfig(hidden=(32, 32), utd=4, batch_size=64, lr_critic=1e-3, actor_steps=2, actor_average=0.9)
    state, update = make(options, config)
    rng = np.random.default_rng(0)

    def rows(count: int) -> np.ndarray[Any, Any]:
        own = rng.uniform(-1.0, 1.0, (count, OWN)).astype(np.float32)
        plans = np.zeros((count, ACTION_SIZE), np.float32)
        plans[:, :3] = 0.5 * own + 0.15
        return np.concatenate([own, plans], axis=1)

    for _ in range(600):
        states = rows(256)
        actions = states[:, OWN:] + np.concatenate([rng.normal(0.0, 0.2, (256, 3)), np.zeros((256, 4))], 1)
        actions = np.clip(actions, -1.0, 1.0).astype(np.float32)
        miss = np.linalg.norm(actions[:, :3] - 0.5 * states[:, :OWN], axis=1)
        reward = np.exp(-3.0 * miss).astype(np.float32)
        shape = (4, 64)
        batch = Batch(
            *(a.reshape(*shape, *a.shape[1:]) for a in (states, actions, reward, 0 * reward, 0 * reward, states))
        )
        ones = np.ones((*shape, 1), np.float32)
        state, _ = update(state, ChunkBatch(batch, batch.action[:, :, None], ones, 0 * ones))
    policy, tests = acting(state, options, config), rows(100)
    done = np.stack([policy.act(Observation(row), rng, deterministic=True)[:3] for row in tests])
    base_miss = np.linalg.norm(tests[:, OWN : OWN + 3] - 0.5 * tests[:, :OWN], axis=1).mean()
    miss = np.linalg.norm(done - 0.5 * tests[:, :OWN], axis=1).mean()
    assert base_miss > 0.25 and miss < 0.4 * base_miss
