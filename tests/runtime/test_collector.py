"""Who commands, what is stored, and what a broken observation does."""

from itertools import pairwise

import numpy as np
import pytest

from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from tests.runtime.fakes import Constant, Helper, PointEnv

CONFIG = ActingConfig(seed=3, episode_prefix="run-a0", teleop_source=Source.SCRIPTED)


def play(collector: Collector, steps: int) -> list[StepRecord]:
    return [r for _ in range(steps) for r in collector.step()]


def episodes(records: list[StepRecord]) -> list[list[StepRecord]]:
    out: dict[str, list[StepRecord]] = {}
    for r in records:
        out.setdefault(r.episode_id, []).append(r)
    return list(out.values())


def test_records_are_gapless_valid_and_handed_out_one_step_late() -> None:
    collector = Collector(PointEnv(limit=5), Constant(0.0), CONFIG)
    assert [len(collector.step()) for _ in range(5)] == [0, 1, 1, 1, 2]
    assert collector.between_episodes
    records = play(collector, 50)
    for episode in episodes(records):
        assert [r.step_index for r in episode] == list(range(len(episode)))
        assert [r.last for r in episode] == [False] * (len(episode) - 1) + [True]


def test_a_time_out_is_a_truncation_and_success_a_termination() -> None:
    records = play(Collector(PointEnv(limit=5), Constant(0.3), CONFIG), 100)
    ends = [r for r in records if r.last]
    assert {(r.terminated, r.truncated, r.stop_reason) for r in ends} == {
        (True, False, "success"),
        (False, True, "time_out"),
    }


def test_the_observation_of_a_step_is_the_one_seen_before_it() -> None:
    for episode in episodes(play(Collector(PointEnv(limit=6), Constant(0.5), CONFIG), 60)):
        for now, after in pairwise(episode):
            assert after.obs.state[0] == pytest.approx(now.obs.state[0] + 0.05, abs=1e-6)
        final = episode[-1].final_obs
        assert final is not None
        assert final.state[0] == pytest.approx(episode[-1].obs.state[0] + 0.05, abs=1e-6)


def test_the_executed_action_is_stored_and_the_proposal_beside_it() -> None:
    for r in play(Collector(PointEnv(limit=4), Constant(1.0), CONFIG), 12):
        assert r.action_executed == pytest.approx(0.8)
        assert r.action_policy == pytest.approx(1.0)
        assert (r.source, r.intervention, r.policy_version) == (Source.POLICY, False, 7)


def test_an_operator_takes_over_and_hands_back_on_a_control_tick() -> None:
    env = PointEnv(limit=6)
    collector = Collector(env, Constant(0.0), CONFIG, make_teleop=lambda rng: Helper({2, 3}, 0.01))
    for episode in episodes(play(collector, 30)):
        for r in episode:
            helped = r.step_index in (2, 3)
            assert r.intervention == helped
            assert r.source is (Source.SCRIPTED if helped else Source.POLICY)
            assert r.action_executed[0] == pytest.approx(0.01 if helped else 0.0)
            assert r.action_policy[0] == 0.0


def test_an_operator_aborts_the_episode_as_a_truncation() -> None:
    collector = Collector(
        PointEnv(limit=9), Constant(0.0), CONFIG, make_teleop=lambda rng: Helper({1}, 0.0, frozenset({"abort"}))
    )
    first = episodes(play(collector, 9))[0]
    assert len(first) == 1, "the press at the second step is about what the first one led to"
    assert (first[-1].truncated, first[-1].terminated, first[-1].stop_reason) == (True, False, "operator")


def test_a_command_that_is_not_finite_stops_the_device() -> None:
    collector = Collector(PointEnv(), Constant(0.0), CONFIG, make_teleop=lambda rng: Helper({0}, np.nan))
    with pytest.raises(DeviceError, match="operator's command is not finite"):
        collector.step()


def test_random_steps_stay_in_the_active_dimensions_and_name_no_policy() -> None:
    config = ActingConfig(seed=3, episode_prefix="r", random_steps=10)
    records = play(Collector(PointEnv(limit=30), Constant(0.0), config), 15)
    random, own = records[:10], records[10:]
    assert all(r.policy_version == -1 and np.all(r.action_policy[2:] == 0) for r in random)
    assert np.std([r.action_policy[:2] for r in random]) > 0.3
    assert own and all(r.policy_version == 7 for r in own)


@pytest.mark.parametrize("raises", [False, True])
def test_a_bad_observation_ends_the_episode_with_its_last_good_frame(raises: bool) -> None:
    env = PointEnv(limit=9, bad_at=lambda e, s: e == 0 and s == 4, raise_bad=raises)
    collector = Collector(env, Constant(0.0), CONFIG)
    records = play(collector, 4)
    assert [r.step_index for r in records] == [0, 1, 2]
    end = records[-1]
    assert (end.truncated, end.terminated, end.stop_reason) == (True, False, "bad_observation")
    assert end.final_obs is not None and np.isfinite(end.final_obs.state).all()
    assert collector.bad_episodes == 1 and "position" in collector.last_problem
    assert play(collector, 3)[0].episode_id.endswith("-000001")
    assert collector.env_steps == 3 + 3


def test_repeated_bad_observations_are_a_device_error_that_names_the_part() -> None:
    collector = Collector(PointEnv(bad_at=lambda e, s: s == 1), Constant(0.0), CONFIG)
    with pytest.raises(DeviceError, match=r"3 episodes in a row .* not finite in position"):
        play(collector, 10)


def test_a_bad_reset_is_tried_again() -> None:
    collector = Collector(PointEnv(limit=4, bad_at=lambda e, s: e < 2 and s == 0), Constant(0.0), CONFIG)
    assert play(collector, 6)[0].episode_id.endswith("-000002")


def test_an_interrupted_episode_is_truncated_where_it_is() -> None:
    collector = Collector(PointEnv(limit=9), Constant(0.0), CONFIG)
    given = play(collector, 4)
    (end,) = collector.interrupt()
    assert [r.step_index for r in [*given, end]] == [0, 1, 2, 3]
    assert end.truncated and end.stop_reason == "interrupted"
    assert collector.interrupt() == [] and collector.between_episodes


def test_an_episode_depends_on_its_number_only() -> None:
    policy = Noisy()
    straight = episodes(play(Collector(PointEnv(limit=5), policy, CONFIG), 40))
    later = Collector(PointEnv(limit=5), policy, CONFIG, first_episode=3)
    again = episodes(play(later, 10))[0]
    original = straight[3]
    assert [r.action_policy.tolist() for r in again] == [r.action_policy.tolist() for r in original]
    assert again[0].episode_id == original[0].episode_id


class Noisy:
    version = 0

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> np.ndarray:
        return rng.uniform(-1, 1, 7).astype(np.float32)


class RealTime(PointEnv):
    """The point in a time that passes by itself; one command is refused, one start is impossible."""

    lockstep = False

    def __init__(self, refuse_at: int = -1, faulted_starts: int = 0) -> None:
        super().__init__(limit=6)
        self.refuse_at, self.faulted_starts = refuse_at, faulted_starts

    def reset(self, *, seed=None, options=None):
        if self.faulted_starts:
            self.faulted_starts -= 1
            raise SafetyFault("the arm has latched a reflex", "reflex")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        refused = self.steps == self.refuse_at
        info["problem"] = "the arm is gone" if refused else ""
        info["missed"] = self.steps == 3
        if refused:
            truncated, info["stop_reason"] = True, "device_error"
        return obs, reward, terminated, truncated, info


def test_lateness_is_counted_where_time_passes_by_itself() -> None:
    collector = Collector(RealTime(), Constant(0.0), CONFIG)
    play(collector, 6)
    assert (collector.lateness.counts[2], collector.lateness.total, collector.lateness.missed) == (6, 6, 1)
    in_lockstep = Collector(PointEnv(limit=6), Constant(0.0), CONFIG)
    play(in_lockstep, 6)
    assert in_lockstep.lateness.total == 0


def test_a_refused_command_is_told_and_its_record_is_sound() -> None:
    collector = Collector(RealTime(refuse_at=4), Constant(0.0), CONFIG)
    records = play(collector, 4)
    assert collector.last_refusal == "the arm is gone"
    assert (records[-1].stop_reason, records[-1].truncated, len(records)) == ("device_error", True, 4)
    play(collector, 1)
    assert collector.last_refusal == ""


def test_a_start_that_a_fault_prevents_is_tried_again_but_not_for_ever() -> None:
    collector = Collector(RealTime(faulted_starts=2), Constant(0.0), CONFIG)
    assert play(collector, 8)[-1].stop_reason == "time_out"
    assert collector.bad_episodes == 2
    with pytest.raises(DeviceError, match="3 episodes in a row .* latched a reflex"):
        play(Collector(RealTime(faulted_starts=9), Constant(0.0), CONFIG), 9)


@pytest.mark.parametrize("end", ["interrupt", "abort", "bad observation"])
def test_the_arm_holds_when_not_the_environment_ends_the_episode(end: str) -> None:
    env = PointEnv(limit=9, bad_at=lambda e, s: end == "bad observation" and s == 3)
    helper = Helper({2}, buttons=frozenset({"abort"})) if end == "abort" else None
    collector = Collector(env, Constant(0.0), CONFIG, make_teleop=None if helper is None else lambda rng: helper)
    play(collector, 2)
    assert env.holds == 0
    if end == "interrupt":
        collector.interrupt()
    else:
        play(collector, 1)
    assert collector.between_episodes and env.holds == 1
    collector.interrupt()
    assert env.holds == 1
