"""A recorded episode repeats bit for bit in the simulator, and where it does not, one is told where and by how much."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, Source
from robot_rl.data.episode_log import Episode, EpisodeMeta, read_episode
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.demos import record_demos
from robot_rl.runtime.episode_files import EpisodeSink
from robot_rl.runtime.repeat import (
    compare,
    conclude,
    expected_observations,
    read_repeat_facts,
    repeat_episode,
    repeat_facts,
    training_facts,
)
from tests.runtime.fakes import ACTIONS, SPEC, Constant, Expert, Helper, PointEnv, tiny_config


def record_training(
    folder: Path, *, episodes: int = 3, helper: Helper | None = None, actor: str = "a0"
) -> list[Episode]:
    """Training episodes, the longest first; the policy asks for more than the environment lets through."""
    config = tiny_config(seed=4, task_options={"limit": 12})
    collector = Collector(
        PointEnv(limit=12),
        Constant(0.9),
        ActingConfig(config.seed, f"run-{actor}", actor=actor),
        make_teleop=None if helper is None else lambda rng: Helper(helper.steps, helper.value),
    )
    sink = EpisodeSink(folder, EpisodeMeta("Point", SPEC, ACTIONS, run_id="run"), training_facts(config, actor))
    while collector.next_episode < episodes or not collector.between_episodes:
        for r in collector.step():
            sink.append(r)
    sink.close()
    return sorted(map(read_episode, folder.glob("*.mcap")), key=lambda e: -len(e.records))


@pytest.mark.parametrize("actor", ["a0", "a1"])
@pytest.mark.parametrize("helper", [None, Helper({2, 3, 4}, -0.7)])
def test_training_episodes_repeat_bit_for_bit(tmp_path: Path, helper: Helper | None, actor: str) -> None:
    episodes = record_training(tmp_path, helper=helper, actor=actor)
    assert len(episodes) == 3 and len({e.records[0].obs.state.tobytes() for e in episodes}) == 3
    for episode in episodes:
        assert read_repeat_facts(episode.meta)[1] == {"limit": 12}
        result = conclude(repeat_episode(episode, PointEnv(limit=12)), episode)
        assert result.identical and result.observations == expected_observations(episode)
        assert result.other_versions == ()


def test_demonstrations_repeat_although_failed_attempts_left_no_file(tmp_path: Path) -> None:
    env = PointEnv(limit=3)
    report = record_demos(env, lambda rng: Expert(env), n=3, seed=5, folder=tmp_path, task_options={"limit": 3})
    assert report.failed > 0
    for path in sorted(tmp_path.glob("*.mcap")):
        episode = read_episode(path)
        assert conclude(repeat_episode(episode, PointEnv(limit=3)), episode).identical


def test_where_it_parts_is_told(tmp_path: Path) -> None:
    (episode, *_) = record_training(tmp_path, helper=Helper({1, 2, 3}, 0.3))
    changed = list(episode.records)
    state = changed[3].obs.state.copy()
    state[1] += np.float32(0.25)
    changed[3] = replace(changed[3], obs=Observation(state))
    altered = replace(episode, records=tuple(changed))
    result = conclude(repeat_episode(altered, PointEnv(limit=12)), altered)
    assert result.first is not None and result.first == result.largest
    assert (result.first.step, result.first.part) == (3, "goal")
    assert result.first.difference == pytest.approx(0.25, abs=1e-6)
    assert result.after_operator and changed[2].intervention


def test_an_unfinished_episode_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    (episode, *_) = record_training(tmp_path)
    open_end = replace(episode, records=episode.records[:3], complete=False)
    result = conclude(repeat_episode(open_end, PointEnv(limit=12)), open_end)
    assert result.identical and result.observations == expected_observations(open_end) == 3


def test_other_versions_are_named(tmp_path: Path) -> None:
    (episode, *_) = record_training(tmp_path)
    older = replace(episode, meta=replace(episode.meta, versions={**episode.meta.versions, "mujoco": "2.0"}))
    (text,) = conclude(repeat_episode(older, PointEnv(limit=12)), older).other_versions
    assert text.startswith("mujoco 2.0 there, ")


def test_every_bit_counts() -> None:
    a = np.array([0.0, 1.0], np.float32)
    assert compare(2, a, a.copy(), SPEC).same
    signed = compare(2, a, np.array([-0.0, 1.0], np.float32), SPEC)
    assert not signed.same and signed.difference == 0.0


def test_what_cannot_be_repeated_is_one_sentence(tmp_path: Path) -> None:
    (episode, *_) = record_training(tmp_path)
    bare = replace(episode, meta=replace(episode.meta, extra={}))
    with pytest.raises(DataError, match="the header lacks reset_seed and task_options"):
        next(repeat_episode(bare, PointEnv()))
    with pytest.raises(DataError, match="no complete step"):
        next(repeat_episode(replace(episode, records=()), PointEnv()))
    for extra in ({"reset_seed": "x", "task_options": "{}"}, {"reset_seed": "1", "task_options": "[]"}):
        with pytest.raises(DataError, match="cannot be read|expected a mapping"):
            read_repeat_facts(replace(episode.meta, extra=extra))
    other = PointEnv()
    other.state_spec = replace(SPEC, parts=SPEC.parts[:1])
    with pytest.raises(DataError, match="state layout"):
        next(repeat_episode(episode, other))


def test_facts_come_back() -> None:
    options = {"clearance_mm": 0.5, "dense_reward": True, "steps": 3}
    meta = EpisodeMeta("Point", SPEC, ACTIONS, extra=repeat_facts(12, options))
    assert read_repeat_facts(meta) == (12, options)


@pytest.mark.parametrize("task", ["Reach", "PegInsert"])
def test_the_simulated_cell_repeats_itself(tmp_path: Path, task: str) -> None:
    from robot_rl.envs import make_env, make_expert

    class Restless:
        """Pushes against every limit."""

        version = 1

        def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> np.ndarray:
            return rng.uniform(-1.0, 1.0, 7).astype(np.float32)

    env = make_env(task, episode_steps=40)
    config = tiny_config(task=task, task_options={"episode_steps": 40})
    collector = Collector(env, Restless(), ActingConfig(config.seed, "run-a0"))
    meta = EpisodeMeta(task, env.state_spec, env.action_spec, run_id="run")
    sink = EpisodeSink(tmp_path / "episodes", meta, training_facts(config, "a0"))
    while collector.next_episode < 2 or not collector.between_episodes:
        for r in collector.step():
            sink.append(r)
    sink.close()
    record_demos(env, lambda rng: make_expert(env, rng), n=1, seed=0, folder=tmp_path / "demos",
                 task_options={"episode_steps": 40})  # fmt: skip
    env.close()
    limited = 0
    for path in sorted(tmp_path.rglob("*.mcap")):
        episode = read_episode(path)
        _, options = read_repeat_facts(episode.meta)
        fresh = make_env(task, **options)
        assert conclude(repeat_episode(episode, fresh), episode).identical, path
        fresh.close()
        limited += sum(
            not np.array_equal(r.action_policy, r.action_executed) for r in episode.records if r.source is Source.POLICY
        )
    assert task == "Reach" or limited > 0, "limits were at work"


@pytest.mark.parametrize(
    "changes", [{"task_options": {"reset_by": "person"}}, {"task_options": {"reset_by": "nobody"}}, {"pair": "Other"}]
)
def test_an_episode_that_begins_where_somebody_left_the_objects_does_not_claim_to_repeat(changes: dict) -> None:  # type: ignore[type-arg]
    assert training_facts(tiny_config(**changes), "a0")(3) == {}
    assert training_facts(tiny_config(task_options={"reset_by": "program"}), "a0")(3) != {}
