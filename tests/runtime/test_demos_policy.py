"""A policy demonstrates: what it does is recorded as it would be seen by one that has no base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.base import BASE_PLAN
from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, Source
from robot_rl.core.types import Float32
from robot_rl.data.demos import load_demos
from robot_rl.policies.plan import Planner
from robot_rl.runtime.based import BasedEnv
from robot_rl.runtime.demos import record_policy
from robot_rl.runtime.reduced import reduced, reduced_spec
from tests.runtime.bases import TellingBase
from tests.runtime.fakes import SPEC, PointEnv


class Follower:
    """Does what the base plans, and remembers it."""

    version = 7

    def __init__(self, sign: float = 1.0) -> None:
        self.done, self.sign = list[Float32](), sign

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        assert deterministic and obs.state.shape == (SPEC.size + 7,)
        action = np.zeros(7, np.float32)
        action[0] = self.sign * obs.state[SPEC.size]
        self.done.append(action)
        return action


def test_what_a_policy_does_on_its_base_is_recorded_without_the_plans(tmp_path: Path) -> None:
    policy, base = Follower(), TellingBase()
    env = BasedEnv(PointEnv(limit=60), Planner(base, replan_every=3))
    report = record_policy(env, policy, n=3, seed=0, folder=tmp_path, task_options={"limit": 60})
    assert report.kept == 3 and report.failed == 0
    demos = load_demos(tmp_path, SPEC, "Point")
    records = [r for demo in demos for r in demo]
    assert np.array_equal([r.action_policy for r in records], policy.done)
    for r in records:
        assert (r.source, r.policy_version, r.intervention) == (Source.POLICY, 7, False)
        assert r.action_base is not None and r.action_base[0] == r.action_policy[0]
    assert len(base.asked) <= len(records) / 3 + 2 * len(demos), "plans were followed, not made anew at each step"


def test_a_policy_that_cannot_do_it_is_reported(tmp_path: Path) -> None:
    env = BasedEnv(PointEnv(limit=3), Planner(TellingBase(), replan_every=3))
    with pytest.raises(DataError, match=r"the policy on Point succeeded in \d+ of \d+ attempts, 30 were wanted"):
        record_policy(env, Follower(-1.0), n=30, seed=0, folder=tmp_path)


def test_parts_that_another_policy_is_not_told_are_not_written(tmp_path: Path) -> None:
    env = BasedEnv(PointEnv(limit=60), Planner(TellingBase(), replan_every=3))
    assert BASE_PLAN in env.state_spec.slices and reduced_spec(env.state_spec, {BASE_PLAN}).checksum == SPEC.checksum
    record_policy(env, Follower(), n=1, seed=0, folder=tmp_path / "whole")
    env = BasedEnv(PointEnv(limit=60), Planner(TellingBase(), replan_every=3))
    name = SPEC.parts[0].name
    record_policy(env, Follower(), n=1, seed=0, folder=tmp_path / "part", without=(name,))
    (whole,) = load_demos(tmp_path / "whole", SPEC, "Point")
    (part,) = load_demos(tmp_path / "part", reduced_spec(SPEC, {name}), "Point")
    assert [r.obs.state.tobytes() for r in reduced(whole, SPEC, ())] == [r.obs.state.tobytes() for r in whole]
    assert [r.obs.state.tolist() for r in part] == [r.obs.state[1:].tolist() for r in whole]
    last, end = whole[-1].final_obs, part[-1].final_obs
    assert last is not None and end is not None and np.array_equal(end.state, last.state[1:])
