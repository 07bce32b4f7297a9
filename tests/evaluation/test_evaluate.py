"""Evaluations: fixed starts, deterministic, unaided, honest about failures and about broken observations."""

import json

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.transition import Observation
from robot_rl.evaluation.evaluate import EVALUATION_SEED, Evaluation, evaluate, evaluate_in
from robot_rl.evaluation.rollout import EpisodeResult, prepared
from tests.evaluation.conftest import ForwardPolicy, LineEnv


def outcome(successes: int, n: int) -> Evaluation:
    episodes = tuple(EpisodeResult(k, k < successes, 10, 1.0, float(k < successes), "") for k in range(n))
    return Evaluation("PickCube", episodes, limit_s=5.0)


def test_line_has_exactly_this_form() -> None:
    assert outcome(98, 100).line() == "PickCube: n=100 success=0.98 lower bound=0.93"
    assert outcome(100, 100).line() == "PickCube: n=100 success=1.00 lower bound=0.96"
    assert outcome(0, 3).line() == "PickCube: n=3 success=0.00 lower bound=0.00"


def test_every_policy_meets_the_same_starts(line_env: LineEnv) -> None:
    result = evaluate(ForwardPolicy(), "Line", n=6)
    assert line_env.resets == [EVALUATION_SEED + k for k in range(6)]
    assert result.seeds == tuple(line_env.resets)
    assert line_env.closed
    assert evaluate(ForwardPolicy(), "Line", n=6) == result


def test_counts_times_and_reasons(line_env: LineEnv) -> None:
    result = evaluate(ForwardPolicy(), "Line", n=4, seed=0)
    assert [e.success for e in result.episodes] == [True, False, True, False]
    assert [e.length for e in result.episodes] == [5, 30, 5, 30]
    assert [e.stop_reason for e in result.episodes] == ["success", "time_out"] * 2
    assert result.success == 0.5 and result.limit_s == 3.0 and result.policy_version == 7
    times = result.time_to_success
    assert times.restricted_mean_s == pytest.approx((0.5 + 3.0) / 2)
    assert times.mean_successful_s == pytest.approx(0.5)


def test_row_is_valid_json_without_nan(line_env: LineEnv) -> None:
    env = LineEnv()
    row = evaluate_in(ForwardPolicy(), env, "Line", [1, 3]).row()
    parsed = json.loads(json.dumps(row, allow_nan=False))
    assert parsed["successes"] == 0 and parsed["wilson_low"] == 0.0
    assert parsed["median_time_to_success_s"] is None and parsed["mean_time_of_successes_s"] is None
    assert parsed["mean_time_to_success_s"] == 3.0
    assert [e["seed"] for e in parsed["episodes"]] == [1, 3]


def test_a_sensor_that_fails_in_real_time_costs_the_episode_and_not_the_evaluation(line_env: LineEnv) -> None:
    line_env.lockstep, line_env.raises_at = False, 7
    result = evaluate(ForwardPolicy(), "Line", n=4, seed=0)
    assert [(e.success, e.length, e.stop_reason) for e in result.episodes] == [
        (True, 5, "success"),
        (False, 6, "bad_observation"),
    ] * 2
    assert line_env.holds == 2 and result.time_to_success.restricted_mean_s == pytest.approx((0.5 + 3.0) / 2)
    line_env.lockstep = True
    with pytest.raises(DataError, match="no reading"):
        evaluate(ForwardPolicy(), "Line", n=2)


def test_broken_observation_is_named(line_env: LineEnv) -> None:
    line_env.nan_at = 3
    with pytest.raises(DataError, match=r"seed 10000, step 3: .*not finite in position"):
        evaluate(ForwardPolicy(), "Line", n=2)
    assert line_env.closed


def test_broken_action_is_named(line_env: LineEnv) -> None:
    class Broken(ForwardPolicy):
        def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> np.ndarray:
            return np.full(7, np.nan, np.float32)

    with pytest.raises(DataError, match="action is not finite"):
        evaluate(Broken(), "Line", n=1)


def test_no_episodes_is_no_evaluation(line_env: LineEnv) -> None:
    for n, seed in ((0, 0), (1, -1)):
        with pytest.raises(ConfigError):
            evaluate(ForwardPolicy(), "Line", n=n, seed=seed)


def test_an_evaluation_waits_for_the_object_and_says_what_is_wanted(
    line_env: LineEnv, capsys: pytest.CaptureFixture[str]
) -> None:
    line_env.lockstep, line_env.requests = False, ["put it there", "put it there", "put it there"]
    result = evaluate(ForwardPolicy(), "Line", n=1, seed=0)
    assert result.episodes[0].success
    assert (line_env.looks, line_env.holds) == (1, 1)
    assert capsys.readouterr().out == "put it there\n"


def test_an_evaluation_does_not_wait_for_ever() -> None:
    env = LineEnv(lockstep=False, requests=["put it there"] * 3)
    with pytest.raises(DeviceError, match="put it there.*reset_by=program"):
        prepared(env, limit_s=0.0)
