"""What goes wrong where a base policy, a policy on top of it, a person and a log meet; each test is named after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.base import BASE_PLAN
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ACTION_SIZE, ActionSpec
from robot_rl.core.transition import ChunkBatch, Observation, Source, StepRecord
from robot_rl.core.types import Float32, TeleopState
from robot_rl.data.replay import MixtureSampler, ReplayBuffer
from robot_rl.policies.plan import Planner
from robot_rl.policies.planned import PlannedPolicy
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.based import BasedEnv, Planned, base_action, with_plans
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.pictures import Seeing
from tests.runtime.bases import HORIZON, TellingBase
from tests.runtime.fakes import SPEC, Constant, Helper, PointEnv

CONFIG = ActingConfig(seed=3, episode_prefix="run-a0", teleop_source=Source.SCRIPTED)
BOUND = 1.5


class FollowsBase:
    """Does what the base's first proposal in the state says."""

    version = 1

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        return obs.state[SPEC.size : SPEC.size + ACTION_SIZE].copy()


class Chunked(FollowsBase):
    """Decides on three steps at a time, and says in the last dimension in which of them it is."""

    def __init__(self) -> None:
        self.left = list[Float32]()

    def reset(self) -> None:
        self.flush()

    def flush(self) -> None:
        self.left.clear()

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        if not self.left:
            chunk = obs.state[SPEC.size : SPEC.size + 3 * ACTION_SIZE].reshape(3, ACTION_SIZE).copy()
            chunk[:, 0] *= 0.1  # so that an episode lasts
            chunk[:, 6] = (0.0, 0.1, 0.2)
            self.left = list(chunk)
        return self.left.pop(0)


def based(*, proposals: int = 1, lookahead: int = 1, replan_every: int = 4, checksum: str = "one") -> BasedEnv:
    env = PointEnv(limit=15)
    env.action_spec = ActionSpec(0.1, 0.1)
    planner = Planner(TellingBase(checksum), proposals=proposals, lookahead=lookahead, replan_every=replan_every)
    return BasedEnv(env, planner)


def play(env: BasedEnv, policy: Policy, steps: int, *, helped: set[int] | None = None) -> list[StepRecord]:
    """Records of whole episodes, in some steps of which somebody else acts."""
    make = None if helped is None else lambda rng: Helper(helped or set(), 0.05)
    collector = Collector(env, policy, CONFIG, make_teleop=make)
    records = [r for _ in range(steps) for r in collector.step()]
    return [*records, *collector.interrupt()]


def plans_of(env: BasedEnv, state: Float32) -> Float32:
    shape = env.planner.proposals, env.planner.lookahead, ACTION_SIZE
    return state[env.state_spec.slices[BASE_PLAN]].reshape(shape)


@given(
    st.sets(st.integers(0, 14)), st.integers(1, 3), st.integers(1, 3), st.integers(1, HORIZON - 2), st.integers(1, 40)
)
def test_the_next_proposal_is_that_of_the_next_state_and_of_the_same_base(
    helped: set[int], proposals: int, lookahead: int, replan_every: int, steps: int
) -> None:
    """Every state that is logged, final ones too, holds what a planner of its own makes of the same episode."""
    env = based(proposals=proposals, lookahead=lookahead, replan_every=replan_every)
    records = play(env, FollowsBase(), steps, helped=helped)
    other = Planner(TellingBase(), proposals=proposals, lookahead=lookahead, replan_every=replan_every)
    assert isinstance(env.env, PointEnv)
    for record in records:
        if record.step_index == 0:
            number = int(record.episode_id.rpartition("-")[2])
            seed = env.env.seeds[number]
            assert seed is not None
            other.reset(seed)
        for obs in (record.obs, record.final_obs):
            if obs is not None:
                expected = other.see(Observation(obs.state[: SPEC.size]))
                np.testing.assert_array_equal(plans_of(env, obs.state), expected)
            if obs is record.obs and record.intervention:
                other.flush()


def test_the_replay_bootstraps_from_the_proposal_of_the_state_it_bootstraps_from() -> None:
    env = based(proposals=2, lookahead=2)
    records = play(env, FollowsBase(), 60, helped={3, 4, 9})
    buffer = ReplayBuffer(env.state_spec, 200, pinned=0, n_step=3)
    seen = {}
    for r in records:
        buffer.add(r)
        seen[r.episode_id, r.step_index] = r.obs.state
        if r.final_obs is not None:
            seen[r.episode_id, r.step_index + 1] = r.final_obs.state
    states = {state.tobytes() for state in seen.values()}
    out = MixtureSampler(buffer, 64, 2, chunk=2).sample()
    assert isinstance(out, ChunkBatch)
    batch = out.batch.batch if hasattr(out.batch, "batch") else out.batch
    assert all(row.tobytes() in states for row in batch.next_state.reshape(-1, env.state_spec.size))


def test_data_of_two_bases_never_mix() -> None:
    specs = [
        based().state_spec,
        based(checksum="two").state_spec,
        based(proposals=2).state_spec,
        based(lookahead=2).state_spec,
    ]
    assert len({spec.checksum for spec in specs}) == len(specs)
    assert based().state_spec.checksum == based().state_spec.checksum


def test_a_base_of_another_cell_is_refused() -> None:
    base = TellingBase()
    base.info = replace(base.info, state_checksum="0123456789abcdef")
    with pytest.raises(DataError, match="expects the state layout 0123456789abcdef"):
        BasedEnv(PointEnv(), Planner(base, replan_every=4))
    base.info = replace(base.info, state_checksum="", hz=20.0)
    with pytest.raises(DataError, match="plans steps at 20 Hz, but the cell runs at 10 Hz"):
        BasedEnv(PointEnv(), Planner(base, replan_every=4))


def test_a_plan_reaches_as_far_as_it_is_looked_at() -> None:
    for lookahead, replan_every in ((1, HORIZON), (3, HORIZON - 2)):
        Planner(TellingBase(), lookahead=lookahead, replan_every=replan_every)
        with pytest.raises(ConfigError, match="replan more often"):
            Planner(TellingBase(), lookahead=lookahead + 1, replan_every=replan_every)


def test_what_was_executed_is_stored_and_not_what_was_asked_for() -> None:
    env = based()
    records = play(env, Constant(1.0), 20)
    for r in records:
        assert r.action_policy == pytest.approx(1.0) and r.action_executed == pytest.approx(0.8)
        assert r.action_base is not None
        np.testing.assert_array_equal(r.action_base, plans_of(env, r.obs.state)[0, 0])
    for r in play(env, FollowsBase(), 20):
        np.testing.assert_array_equal(r.action_policy, r.action_base)
        np.testing.assert_array_equal(r.action_executed, np.clip(r.action_policy, -0.8, 0.8))


@pytest.mark.parametrize("policy", [FollowsBase(), Chunked()])
def test_a_take_over_voids_the_plan_that_was_running(policy: Policy) -> None:
    """The first step that is the policy's again follows a plan made of what is seen then, from its beginning."""
    env = based(lookahead=3, replan_every=10)
    records = play(env, policy, 45, helped={3, 4, 8})
    assert any(r.intervention for r in records)
    for before, now in pairwise(records):
        if before.episode_id == now.episode_id and before.intervention:
            x, position = plans_of(env, now.obs.state)[0, 0, 3], plans_of(env, now.obs.state)[0, 0, 1]
            assert (x, position) == (0.0, now.obs.state[0])
        if before.episode_id == now.episode_id and not before.intervention and not now.intervention:
            assert plans_of(env, now.obs.state)[0, 0, 3] != 0.0 or before.step_index == 9


def test_a_take_over_voids_the_rest_of_a_chunk() -> None:
    env = based(lookahead=3, replan_every=10)
    for r in play(env, Chunked(), 45, helped={3, 4, 8}):
        if not r.intervention:
            start = max(s for s in (0, 5, 9) if s <= r.step_index)
            assert r.action_policy[6] == pytest.approx(0.1 * ((r.step_index - start) % 3))


def test_a_base_that_acts_alone_plans_anew_after_a_take_over() -> None:
    """Looking through eyes or not; otherwise it would go on with a plan for where the arm no longer is."""

    class Eyes:
        def see(self, obs: Observation) -> Observation:
            return obs

    for wrap in (lambda p: p, lambda p: Seeing(p, Eyes())):  # type: ignore[arg-type,return-value]
        policy = wrap(PlannedPolicy(Planner(TellingBase(), replan_every=HORIZON)))
        assert isinstance(policy, Planned)
        env = PointEnv(limit=10)
        env.action_spec = ActionSpec(0.1, 0.1)
        collector = Collector(env, policy, CONFIG, make_teleop=lambda rng: Helper({3, 4}, 0.05))
        records = [r for _ in range(25) for r in collector.step()]
        for r in records:
            if r.step_index in (0, 5):
                assert (r.action_policy[1], r.action_policy[3]) == (r.obs.state[0], 0.0)
            elif not r.intervention:
                assert r.action_policy[3] == pytest.approx((r.step_index - (5 if r.step_index > 5 else 0)) / 100)


class Pausing(Helper):
    """Asks for a pause before one step and for going on some reads later."""

    def read(self) -> TeleopState:
        state = super().read()
        return replace(state, buttons=frozenset({"pause"}) if self.reads in (1, 4) else frozenset())


def test_a_wait_voids_what_was_planned_before_it() -> None:
    env = based(lookahead=3, replan_every=10)
    collector = Collector(env, Chunked(), CONFIG, make_teleop=lambda rng: Pausing(set()))
    records: list[StepRecord] = []
    while len(records) < 5:
        records += collector.step()
        if collector.paused:
            assert isinstance(env.env, PointEnv)
            env.env.x += 0.001  # what was held may sag
    assert [r.step_index for r in records] == [0, 1, 2, 3, 4]
    after, moved = records[1].obs.state, records[0].obs.state[0] + 0.1 * records[0].action_executed[0]
    assert after[0] - moved > 5e-4
    assert plans_of(env, after)[0, 0, 1] == after[0]
    assert [round(10 * float(r.action_policy[6])) for r in records] == [0, 0, 1, 2, 0]


def test_chunks_say_which_of_their_steps_were_guided() -> None:
    """A window that a take-over begins or ends in is drawn as it was executed, with each step's own label."""
    env = based(lookahead=3)
    records = play(env, FollowsBase(), 60, helped={3, 4})
    buffer = ReplayBuffer(env.state_spec, 200, pinned=0, n_step=3)
    by_state = {}
    for i, r in enumerate(records):
        buffer.add(r)
        window = [w for w in records[i : i + 3] if w.episode_id == r.episode_id]
        by_state[r.obs.state.tobytes()] = window
    out = MixtureSampler(buffer, 64, 2, 0.5, chunk=3).sample()
    assert isinstance(out, ChunkBatch)
    batch = out.batch.batch if hasattr(out.batch, "batch") else out.batch
    kinds = set()
    for at in np.ndindex(2, 64):
        window = by_state[batch.state[at].tobytes()]
        k = int(out.valid[at].sum())
        assert k == len(window)
        np.testing.assert_array_equal(out.actions[at][:k], [w.action_executed for w in window])
        np.testing.assert_array_equal(out.guided[at][:k], [float(w.intervention) for w in window])
        kinds.add(tuple(out.guided[at]))
    assert {(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)} <= kinds


def test_demonstrations_are_planned_for_as_if_the_base_had_watched() -> None:
    env = based(proposals=2, lookahead=2)
    watched = play(env, FollowsBase(), 12, helped=set(range(20)))
    episode = [r for r in watched if r.episode_id == watched[0].episode_id]
    bare = [
        replace(
            r,
            obs=Observation(r.obs.state[: SPEC.size]),
            final_obs=None if r.final_obs is None else Observation(r.final_obs.state[: SPEC.size]),
            action_base=None,
        )
        for r in episode
    ]
    assert isinstance(env.env, PointEnv) and env.env.seeds[0] is not None
    for made, expected in zip(with_plans(bare, env.planner, env.state_spec, env.env.seeds[0]), episode, strict=True):
        np.testing.assert_array_equal(made.obs.state, expected.obs.state)
        np.testing.assert_array_equal(made.action_base, expected.action_base)
        assert (made.final_obs is None) == (expected.final_obs is None)
        if made.final_obs is not None and expected.final_obs is not None:
            np.testing.assert_array_equal(made.final_obs.state, expected.final_obs.state)


def steered(dimensions: int = 2) -> BasedEnv:
    return BasedEnv(PointEnv(limit=8), Planner(TellingBase(noise_dimensions=dimensions), replan_every=1), BOUND)


def test_steering_stores_the_noise_as_the_proposal_and_what_the_arm_did_as_executed() -> None:
    env = steered()
    for r in play(env, Constant(0.4), 20):
        base = TellingBase()
        seen = [Observation(r.obs.state[: SPEC.size])] * 2
        noise = np.full((1, HORIZON, 2), np.float32(BOUND) * np.float32(0.4), np.float32)
        expected = base.propose(seen, noise)[0, 0]
        assert r.action_policy[:2] == pytest.approx(0.4)
        np.testing.assert_allclose(r.action_executed[[0, 1, 4]], np.clip(expected, -0.8, 0.8)[[0, 1, 4]], rtol=1e-6)
        zero = base.propose(seen, np.zeros_like(noise))[0, 0]
        np.testing.assert_allclose(base_action(r.obs, env.state_spec)[[0, 1, 4]], zero[[0, 1, 4]], rtol=1e-6)


def test_noise_leaves_the_bound_nowhere() -> None:
    env = steered()
    play(env, Constant(5.0), 10)
    base = env.planner.base
    assert isinstance(base, TellingBase)
    assert max(float(np.abs(noise).max()) for _, noise in base.asked) == pytest.approx(BOUND)


def test_what_an_operator_does_is_not_taken_for_noise() -> None:
    """He commands the arm. His steps are never a beginning to learn noise from, and rewards flow through them."""
    env = steered()
    records = play(env, Constant(0.4), 30, helped={2, 3})
    buffer = ReplayBuffer(env.state_spec, 100, pinned=10, n_step=3, action="policy")
    for r in records:
        buffer.add(r)
        if r.intervention:
            assert r.action_executed[:6] == pytest.approx(0.05)
    helped = {r.obs.state.tobytes() for r in records if r.intervention}
    assert helped and not len(buffer.demo)
    out = MixtureSampler(buffer, 64, 2).sample()
    assert not isinstance(out, ChunkBatch)
    batch = out.batch if hasattr(out, "batch") else out
    assert not {row.tobytes() for row in batch.state.reshape(-1, env.state_spec.size)} & helped
    assert batch.action[..., :2] == pytest.approx(0.4)


def test_noise_of_another_shape_than_the_action_is_refused() -> None:
    for dimensions in (2, ACTION_SIZE):
        steered(dimensions)
    with pytest.raises(ConfigError, match="can only be steered"):
        steered(3)


def test_the_same_seed_is_the_same_plans_whatever_was_played_before() -> None:
    def states(env: BasedEnv, seeds: Sequence[int]) -> list[Float32]:
        out = [env.reset(seed=seed)[0]["state"] for seed in seeds]
        for _ in range(6):
            out.append(env.step(plans_of(env, out[-1])[0, 0])[0]["state"])
        return out

    for a, b in zip(states(based(), [5])[1:], states(based(), [9, 8, 5])[3:], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(states(based(), [5])[-1], states(based(), [6])[-1])
