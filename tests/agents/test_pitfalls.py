"""What goes wrong in learning on top of a frozen base, where it would not be seen; each test is named after it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import edit
from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EDIT_PRESETS, EditConfig
from robot_rl.agents.edit_proposals import acted, candidates, chunk_values
from robot_rl.agents.edit_state import set_up
from robot_rl.agents.networks import normalise
from robot_rl.core.base import BaseInfo, plan_part
from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Batch, ChunkBatch, Observation, Source, StepRecord
from robot_rl.core.types import Float32
from robot_rl.data.replay import MixtureSampler, ReplayBuffer
from robot_rl.policies.edit import EditPolicy

OWN = (Part("a", 3, "m", scale=0.5, center=0.1), Part("b", 2, "rad"))
ACTION = ActionSpec(0.02, 0.1, active=(0, 1, 2, 6))
ACTIVE = list(ACTION.active)
AGENT = SacConfig(hidden=(8,), critics=3, subset=3, utd=1, batch_size=6, q_range=None, n_step=3, gamma=0.9)
PLAIN = EditConfig(reference_dropout=0.0, sigma=0.0, normalise_q=False, anchor=1.0)
N = sum(part.size for part in OWN)


def spec(proposals: int = 1, chunk: int = 1) -> StateSpec:
    return StateSpec((*OWN, plan_part(BaseInfo("b", "c", 12), proposals, chunk)))


def chunks(proposals: int = 1, chunk: int = 1, *, rows: int = 6, seed: int = 0) -> ChunkBatch:
    rng = np.random.default_rng(seed)
    lead = (1, rows)

    def states() -> Float32:
        plans = rng.uniform(-0.8, 0.8, (*lead, proposals * chunk * 7))
        return np.concatenate([rng.standard_normal((*lead, N)), plans], axis=-1).astype(np.float32)

    actions = rng.uniform(-1, 1, (*lead, chunk, 7)).astype(np.float32)
    zeros, ones = np.zeros(lead, np.float32), np.ones((*lead, chunk), np.float32)
    return ChunkBatch(
        Batch(states(), actions[..., 0, :], zeros, zeros, zeros, states()), actions, ones, np.zeros_like(ones)
    )


def rows_of(given: ChunkBatch) -> Batch:
    assert isinstance(given.batch, Batch)
    return given.batch


def worth(given: ChunkBatch, reward: float, discount: float) -> ChunkBatch:
    """The same windows with other rewards and discounts."""
    ones = np.ones_like(rows_of(given).reward)
    return given._replace(batch=rows_of(given)._replace(reward=reward * ones, discount=discount * ones))


def constant(critic: Any, values: list[float]) -> Any:
    """Critics that say the same everywhere."""
    out = {"w": jnp.zeros_like(critic["out"]["w"]), "b": jnp.array(values, jnp.float32)[:, None]}
    return jax.tree.map(jnp.copy, {**critic, "out": out})


def varied(tree: Any, seed: int) -> Any:
    """The same networks with other weights, none of them zero."""
    leaves, form = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.PRNGKey(seed), len(leaves))
    made = [leaf + 0.5 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(form, made)


def started(options: EditConfig, state_spec: StateSpec, agent: SacConfig = AGENT, seed: int = 0) -> edit.EditState:
    return edit.init(agent, state_spec, ACTION, seed, options=options)


def acting(state: edit.EditState, options: EditConfig, agent: SacConfig = AGENT) -> EditPolicy:
    return EditPolicy.from_params(edit.actor_params(state, agent, options=options), 1)


@lru_cache
def update_of(
    options: EditConfig, state_spec: StateSpec, agent: SacConfig = AGENT, *, critic_only: bool = True
) -> edit.Update:
    """Compiled once for all tests."""
    return edit.make_update(agent, state_spec, ACTION, options=options, critic_only=critic_only)


def done(policy: EditPolicy, row: Float32) -> Float32:
    """The active values of what a policy does in a state."""
    rng = np.random.default_rng(0)
    policy.reset()
    return policy.act(Observation(row), rng, deterministic=True)[ACTIVE]


def episode(number: int, steps: int, *, terminated: bool, state_spec: StateSpec) -> list[StepRecord]:
    rng = np.random.default_rng([5, number])
    seen = [Observation(rng.uniform(-0.9, 0.9, state_spec.size).astype(np.float32)) for _ in range(steps + 1)]
    out = []
    for i in range(steps):
        last = i == steps - 1
        action = rng.uniform(-1, 1, 7).astype(np.float32)
        out.append(
            StepRecord(
                f"e-{number}", i, seen[i], action, action, {"success": float(rng.random())}, last and terminated,
                last and not terminated, "", i % 3 == 0, Source.POLICY, 0, "T", 0.0, 0.0,
                final_obs=seen[-1] if last else None,
            )
        )  # fmt: skip
    return out


@pytest.mark.parametrize("chunk", [1, 3])
def test_targets_are_discounted_by_the_length_of_each_window_and_bootstrap_after_time_outs(chunk: int) -> None:
    """From records to the target: windows at ends are short, a time-out continues, a success does not."""
    state_spec, options, value = spec(1, chunk), replace(PLAIN, chunk=chunk), 0.7
    buffer = ReplayBuffer(state_spec, 200, pinned=0, n_step=AGENT.n_step, gamma=AGENT.gamma)
    expected: dict[bytes, float] = {}
    for number in range(4):
        records = episode(number, 2 + 2 * number, terminated=number % 2 == 0, state_spec=state_spec)
        for i, record in enumerate(records):
            buffer.add(record)
            window = records[i : i + AGENT.n_step]
            target = sum(AGENT.gamma**j * r.rewards["success"] for j, r in enumerate(window))
            if not window[-1].terminated:
                target += AGENT.gamma ** len(window) * value
            expected[record.obs.state.tobytes()] = target
    sampler = MixtureSampler(buffer, AGENT.batch_size, AGENT.utd, chunk=chunk)
    update = update_of(options, state_spec)
    for _ in range(5):
        state = started(options, state_spec)
        state = state._replace(target_critic=constant(state.critic, [value] * 3))
        batch = sampler.sample()
        assert isinstance(batch, ChunkBatch)
        wanted = [expected[row.tobytes()] for row in rows_of(batch).state.reshape(-1, state_spec.size)]
        _, info = update(state, batch)
        assert float(info["target_mean"]) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_the_target_builds_on_the_proposal_of_the_next_state() -> None:
    """That of the state itself would teach the value of a plan that is over."""
    options = replace(PLAIN, critic_sees_base=True)
    update = update_of(options, spec())
    given = worth(chunks(), 0.0, 1.0)
    rows = rows_of(given)
    other = rows.state.copy(), rows.next_state.copy()
    for array in other:
        array[..., N:] *= -0.5
    targets = [
        float(update(started(options, spec()), given._replace(batch=batch))[1]["target_mean"])
        for batch in (rows, rows._replace(state=other[0]), rows._replace(next_state=other[1]))
    ]
    assert targets[0] == targets[1] != targets[2]


def test_critics_learn_of_what_was_executed() -> None:
    options = replace(PLAIN, critic_sees_base=False)
    update = update_of(options, spec())
    given = chunks()
    rows = rows_of(given)
    planned = rows.state.copy()
    planned[..., N:] *= -0.5
    values = [
        float(update(started(options, spec()), changed)[1]["q_mean"])
        for changed in (
            given,
            given._replace(batch=rows._replace(state=planned)),
            given._replace(actions=-0.5 * given.actions),
        )
    ]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("guided", [False, True])
def test_the_anchor_is_the_base_or_the_person_and_never_the_padding(guided: bool) -> None:
    """A fresh actor does what the base does, so all distance is that to a person, at steps that were really done."""
    state_spec, options = spec(1, 3), replace(PLAIN, chunk=3)
    given = chunks(1, 3)
    valid, marks = given.valid.copy(), given.guided.copy()
    valid[-1, :3, 1:] = 0.0
    if guided:
        marks[-1, 1], marks[-1, 4, 1:] = 1.0, 1.0
    given = given._replace(valid=valid, guided=marks)
    _, info = update_of(options, state_spec, critic_only=False)(started(options, state_spec), given)
    plan = rows_of(given).state[-1, :, N:].reshape(-1, 3, 7)
    moved = np.array([float(i in ACTION.motion) for i in range(7)])
    away = np.square(given.actions[-1] - plan) * (valid * marks)[-1][..., None] * moved
    assert float(info["anchor_loss"]) == pytest.approx(away.sum() / (valid[-1].sum() * 3), rel=1e-5, abs=1e-12)
    assert (float(info["anchor_loss"]) > 0.0) == guided


def test_padding_moves_no_actor() -> None:
    state_spec, options = spec(1, 3), replace(PLAIN, chunk=3)
    update = update_of(options, state_spec, critic_only=False)
    given = chunks(1, 3)
    given.valid[..., 1:], given.guided[...] = 0.0, 1.0
    other = given.actions.copy()
    other[..., 1:, :] *= -0.3
    made = []
    for actions in (given.actions, other):
        state = started(options, state_spec)
        blind = constant(state.critic, [0.0] * 3)
        target = constant(state.critic, [0.0] * 3)
        state, info = update(state._replace(critic=blind, target_critic=target), given._replace(actions=actions))
        assert float(info["anchor_loss"]) > 0.0
        made.append(jax.tree.leaves(state.actor))
    assert all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(*made, strict=True))


@pytest.mark.parametrize("options", [PLAIN, EDIT_PRESETS["edit"], EDIT_PRESETS["ibrl"]])
def test_acting_and_learning_normalise_and_propose_alike(options: EditConfig) -> None:
    """Far states are clipped on both sides, the proposal is seen on both sides unless it never is."""
    state_spec = spec(2)
    state = started(options, state_spec)
    state = state._replace(average_actor=varied(state.actor, 2), armed=jnp.ones((), jnp.int32))
    first = replace(options, select="first")
    policy, problem = acting(state, first), set_up(AGENT, first, state_spec, ACTION)
    rows = rows_of(chunks(2, rows=40)).state[0]
    rows[:10, :N] *= 1e4
    x = normalise(state.normaliser, jnp.asarray(rows[:, :N])).T
    plans = jnp.asarray(rows[:, N:].reshape(-1, 2, 7)[..., ACTIVE].transpose(1, 2, 0))
    learnt = np.asarray(candidates(problem, state.average_actor, x, plans))[0].T
    assert state.average_actor is not None
    seen = float(options.reference_dropout < 1.0)
    same = np.asarray(acted(problem, state.average_actor, x, plans, seen=seen).chunks)[0].T
    executed = np.array([done(policy, row) for row in rows])
    np.testing.assert_allclose(executed, learnt, atol=2e-5)
    np.testing.assert_allclose(executed, same, atol=2e-5)
    assert np.abs(executed - rows[:, N : N + 7][:, ACTIVE]).max() > 0.01


def test_the_best_of_n_is_chosen_by_the_critics_when_acting_and_by_the_targets_when_learning() -> None:
    options = EditConfig(actor="none", bases=True, select="argmax")
    state_spec = spec(5)
    problem = set_up(AGENT, options, state_spec, ACTION)
    given = worth(chunks(5, rows=60), 0.0, 1.0)

    def made() -> edit.EditState:
        state = started(options, state_spec)
        one, two = varied(state.critic, 3), varied(state.critic, 4)
        return state._replace(critic=one, target_critic=two, armed=jnp.ones((), jnp.int32))

    def values(critic: Any, rows: Float32) -> Float32:
        x = normalise(state.normaliser, jnp.asarray(rows[:, :N])).T
        plans = jnp.asarray(rows[:, N:].reshape(-1, 5, 7)[..., ACTIVE].transpose(1, 2, 0))
        return np.asarray(chunk_values(problem, critic, x, plans, plans))

    state = made()
    rows, following = rows_of(given).state[0], rows_of(given).next_state[0]
    policy = acting(state, options)
    online, target = (
        values(critic, rows).mean(axis=0).argmax(axis=0) for critic in (state.critic, state.target_critic)
    )
    assert 0.1 < (online == target).mean() < 0.9
    plans = rows[:, N:].reshape(-1, 5, 7)
    for row, plan, best in zip(rows, plans, online, strict=True):
        np.testing.assert_array_equal(done(policy, row), plan[best, ACTIVE])
    wanted = values(state.target_critic, following).min(axis=0).max(axis=0).mean()
    wrong = values(state.critic, following).min(axis=0).max(axis=0).mean()
    _, info = update_of(options, state_spec)(made(), given)
    assert float(info["target_mean"]) == pytest.approx(wanted, rel=1e-4) != pytest.approx(wrong, rel=1e-2)
    assert float(info["base_chosen"]) == pytest.approx(1.0)


def test_members_of_the_target_are_drawn_without_replacement() -> None:
    """Of the values 0, 1, 2 the least of two different ones is never 2."""
    agent = replace(AGENT, subset=2)
    update, given, found = update_of(PLAIN, spec(), agent), worth(chunks(), 0.0, 1.0), set()
    for seed in range(24):
        state = started(PLAIN, spec(), agent, seed)
        state = state._replace(target_critic=constant(state.critic, [0.0, 1.0, 2.0]))
        found.add(round(float(update(state, given)[1]["target_mean"])))
    assert found == {0, 1}


def test_each_critic_regresses_by_its_own_error() -> None:
    """Squaring the mean of their errors would pull one by what another got wrong."""
    update, given = update_of(PLAIN, spec()), worth(chunks(), 1.0, 0.0)
    firsts = []
    for others in (3, 4):
        state = started(PLAIN, spec())
        critic = jax.tree.map(lambda a, b: a.at[1:].set(b[1:]), state.critic, varied(state.critic, others))
        state, _ = update(state._replace(critic=critic), given)
        firsts.append([np.asarray(leaf)[0] for leaf in jax.tree.leaves(state.critic)])
    for a, b in zip(*firsts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_critics_have_layer_norm_and_values_beyond_what_can_be_earned_are_counted() -> None:
    agent = replace(AGENT, q_range=(0.0, 1.0))
    state = started(PLAIN, spec(), agent)
    assert all("gain" in state.critic[str(i)] for i in range(len(agent.hidden)))
    state = state._replace(critic=constant(state.critic, [2.0] * 3))
    _, info = update_of(PLAIN, spec(), agent)(state, worth(chunks(), 5.0, 0.0))
    assert float(info["q_outside"]) == 1.0
    assert float(info["target_mean"]) == 1.0 and float(info["target_clipped"]) == 1.0


def test_softmax_weighs_before_it_sums() -> None:
    """Chances add up to one, however large the values are."""
    options = EditConfig(bases=True, select="softmax", softmax_temperature=0.5)
    problem = set_up(AGENT, options, spec(2), ACTION)
    q = jnp.array([[[1000.0, 0.0], [999.5, 0.0], [0.0, 0.5]]])
    value, chance = edit.selected_value(problem, q)
    weights = np.exp(np.array([[0.0, 0.0], [-1.0, 0.0], [-2000.0, 1.0]]))
    expected = weights / weights.sum(axis=0)
    np.testing.assert_allclose(chance, expected, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(value, (expected * np.asarray(q[0])).sum(axis=0), rtol=1e-5)


def test_windows_shorter_than_a_chunk_are_refused() -> None:
    options = replace(PLAIN, chunk=4)
    with pytest.raises(ConfigError, match="add --agent.n-step 4"):
        started(options, spec(1, 4))
