"""A run on a real base policy, from its demonstrations to the evaluation of what was saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EDIT_PRESETS, EditConfig
from robot_rl.cli.train import read_arguments
from robot_rl.core.base import BASE_PLAN
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ActionSpec
from robot_rl.data.demos import read_demos
from robot_rl.envs import make_env, make_expert
from robot_rl.evaluation.checkpoints import evaluate_checkpoint, load_saved_policy
from robot_rl.policies.base.checkpoint import save_base
from robot_rl.policies.base.config import BaseConfig as CloneConfig
from robot_rl.policies.base.config import FitConfig, NetworkConfig
from robot_rl.policies.base.train import train_base
from robot_rl.policies.base.windows import Demonstration
from robot_rl.runtime.base_config import BaseConfig, BaseUse
from robot_rl.runtime.based import BasedEnv, on_base, with_plans
from robot_rl.runtime.config import DemoConfig, EvalConfig, PaceConfig, TrainConfig
from robot_rl.runtime.demos import record_demos
from robot_rl.runtime.tasks import open_simulation
from robot_rl.runtime.train import train

TASK = "Reach"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four demonstrations, as a run without a base records them."""
    folder, env = tmp_path_factory.mktemp("demos"), make_env(TASK)
    record_demos(env, lambda rng: make_expert(env, rng), n=4, seed=0, folder=folder)
    env.close()
    return folder


@pytest.fixture(scope="module")
def base(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hardly trained: it need not be good."""
    env = make_env(TASK)
    demos = [
        Demonstration(
            np.stack([r.obs.state for r in e.records]),
            np.stack([r.action_executed for r in e.records]),
        )
        for e in read_demos(recorded, env.state_spec, TASK)
    ]
    config = CloneConfig(horizon=8, network=NetworkConfig(width=16, depth=1), fit=FitConfig(steps=20, batch=16))
    *_, report = train_base(config, demos, state_spec=env.state_spec, action_spec=env.action_spec, hz=env.hz)
    env.close()
    folder = tmp_path_factory.mktemp("base")
    save_base(folder, report.snapshot())
    return folder


@pytest.fixture
def env(base: Path) -> Iterator[BasedEnv]:
    found = open_simulation(config_for(base))
    assert isinstance(found, BasedEnv)
    yield found
    found.close()


def config_for(where: Path, **more: Any) -> TrainConfig:
    config = TrainConfig(
        task=TASK,
        lockstep=True,
        algorithm="edit",
        base=BaseConfig(str(where), replan_every=3),
        env_steps=60,
        demos=DemoConfig(n=2),
        agent=SacConfig(hidden=(8,), batch_size=8, utd=1),
        edit=EditConfig(chunk=2, critic_only_steps=10),
        pace=PaceConfig(learning_starts=20),
        evaluation=EvalConfig(every=0, final_episodes=2),
        report=False,
    )
    return replace(config, **more)


@pytest.mark.parametrize("algorithm", ["edit", "noise"])
def test_a_run_learns_is_logged_and_evaluated_on_its_base(base: Path, tmp_path: Path, algorithm: str) -> None:
    result = train(config_for(base, algorithm=algorithm, out_dir=tmp_path), live=False)
    assert result.finished
    saved = load_saved_policy(result.run.path)
    assert saved.base is not None and (saved.base.noise_bound is None) == (algorithm == "edit")
    again = [evaluate_checkpoint(result.run.path, n=2, record=False).row() for _ in range(2)]
    assert again[0] == again[1]
    env = open_simulation(config_for(base, algorithm=algorithm))
    episodes = [read_demos(folder, env.state_spec, TASK) for folder in (result.run.demos, result.run.episodes / "a0")]
    where = env.state_spec.slices[BASE_PLAN]
    env.close()
    for record in (r for group in episodes for e in group for r in e.records):
        assert record.action_base is not None
        np.testing.assert_array_equal(record.action_base, record.obs.state[where][:7])


def test_an_unlearnt_edit_evaluates_to_what_the_base_does(base: Path, tmp_path: Path) -> None:
    """Episode for episode: with nothing learnt the correction is the base."""
    long = replace(config_for(base, out_dir=tmp_path), edit=EditConfig(chunk=1, critic_only_steps=10_000))
    run = train(long, live=False).run
    evaluated = evaluate_checkpoint(run.path, n=3, record=False)
    env = on_base(BaseUse(BaseConfig(str(base), replan_every=3)), make_env(TASK))
    assert isinstance(env, BasedEnv)
    where, lengths = env.state_spec.slices[BASE_PLAN], []
    for episode in evaluated.episodes:
        obs, _ = env.reset(seed=episode.seed, options={"reset_by": "program"})
        done, steps = False, 0
        while not done:
            obs, _, terminated, truncated, _ = env.step(obs["state"][where][:7])
            done, steps = terminated or truncated, steps + 1
        lengths.append(steps)
    env.close()
    assert lengths == [episode.length for episode in evaluated.episodes]


def test_recorded_demonstrations_get_the_plans_of_the_base(
    base: Path, recorded: Path, env: BasedEnv, tmp_path: Path
) -> None:
    """Those of a folder as those that are recorded now: the base is asked anew in every state."""
    config = config_for(base, demos=DemoConfig(dir=recorded), out_dir=tmp_path)
    run = train(config, live=False).run
    given = read_demos(recorded, env.env.state_spec, TASK)
    planned = read_demos(run.demos, env.state_spec, TASK)
    assert [e.path.name for e in given] == [e.path.name for e in planned]
    own = env.env.state_spec.size
    for before, after in zip(given, planned, strict=True):
        for a, b in zip(before.records, after.records, strict=True):
            np.testing.assert_array_equal(a.obs.state, b.obs.state[:own])
            np.testing.assert_array_equal(a.action_executed, b.action_executed)
        assert after.records[-1].final_obs is not None
        asked = env.planner.asked
        again = with_plans(before.records, env.planner, env.state_spec, config.seed)
        np.testing.assert_array_equal(again[-1].obs.state, after.records[-1].obs.state)
        assert env.planner.asked - asked == len(again) + 1


def test_short_flags_choose_a_method_and_a_base() -> None:
    config = read_arguments(["Reach", "--edit", "expo", "--base", "runs/b", "--base.proposals", "4"]).train
    assert (config.algorithm, config.edit, config.base.path) == ("edit", EDIT_PRESETS["expo"], "runs/b")
    changed = read_arguments(["Reach", "--edit", "expo", "--edit.scale", "0.5", "--base", "http://127.0.0.1:1"]).train
    assert (changed.edit.scale, changed.base.path) == (0.5, "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"unknown --edit 'exp'.*expo"):
        read_arguments(["Reach", "--edit", "exp", "--base", "runs/b"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base": BaseConfig()}, "give --base PATH"),
        ({"algorithm": "rlpd"}, "corrected by --algorithm edit or noise, not by rlpd"),
        ({"base": BaseConfig("b", proposals=3)}, "edit.select is first"),
        ({"base": BaseConfig("b", proposals=3), "algorithm": "noise"}, "leave base.proposals at 1"),
        ({"edit": EditConfig(chunk=9)}, "add --agent.n-step 9"),
        ({"pace": PaceConfig(random_steps=5)}, "not chance"),
        ({"pair": "MoveCubeOut"}, "--pair trains two policies"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config_for(Path("b"), **changes)


def test_a_base_that_does_not_fit_the_cell_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="plans 8 steps, but 9 are needed"):
        open_simulation(config_for(base, base=BaseConfig(str(base), replan_every=8)))
    with pytest.raises(DataError, match="expects the state layout"):
        open_simulation(config_for(base, task="PickCube"))
    with pytest.raises(DataError, match="no base policy at"):
        open_simulation(config_for(tmp_path))


def test_noise_goes_where_the_base_takes_it_from(env: BasedEnv) -> None:
    """One value a modelled dimension, the same in all steps of the plan, and none of it when a person acts."""
    info = env.planner.base.info
    active = ActionSpec(0.01, 0.05, (0, 1, 2))
    assert info.noise_shape[1] == len(active.active)
    steered = BasedEnv(env.env, env.planner, noise_bound=2.0)
    steered.reset(seed=3)
    seen: list[Any] = []
    ask = env.planner.propose

    def listen(noise: Any) -> Any:
        seen.append(noise.copy())
        return ask(noise)

    env.planner.propose = listen  # type: ignore[method-assign]
    action = np.array([0.5, -1.0, 0.25, 9.0, 9.0, 9.0, 9.0], np.float32)
    steered.step(action)
    np.testing.assert_array_equal(seen[0], np.tile(np.float32([1.0, -2.0, 0.5]), (1, info.noise_shape[0], 1)))
    assert not seen[1].any(), "the state holds what the base does with no noise at all"
    steered.flush()
    _, _, _, _, told = steered.step(np.clip(action, -1.0, 1.0))
    assert told["action_executed"][1] == pytest.approx(-1.0)
    assert len(seen) == 3, "a person's action is decoded from nothing"
