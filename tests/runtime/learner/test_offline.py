"""Runs that begin with recorded episodes: bit-identical however they are stopped, and fed with what they ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.agents.offline_config import CalqlConfig, IqlConfig
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.data.demos import load_demos
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.data.relabels import write_relabels
from robot_rl.runtime.config import DemoConfig, PaceConfig, TrainConfig
from robot_rl.runtime.gathering import gather_demos
from robot_rl.runtime.run_folder import create_run
from tests.runtime.fakes import ACTIONS, SPEC, PointEnv, stream, tiny_config
from tests.runtime.learner.test_lockstep import StopAfter
from tests.runtime.runs import final_arrays, go, open_session, same, start

PACE = PaceConfig(learning_starts=20, warmup_updates=6)
ALGORITHMS = {
    "iql": {"algorithm": "iql", "iql": IqlConfig(actor_decay_steps=100)},
    "calql": {"algorithm": "calql", "calql": CalqlConfig(samples=2)},
    "wsrl": {"algorithm": "calql", "calql": CalqlConfig(samples=2, online="sac", keep_demos=False)},
}


def config(out_dir: Path, **changes: Any) -> TrainConfig:
    return tiny_config(**{"out_dir": out_dir, "env_steps": 60, "pace": PACE, **changes})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_stopped_and_resumed_run_is_bit_identical(name: str, tmp_path: Path) -> None:
    made = config(tmp_path / "straight", **ALGORITHMS[name])
    straight = start(made)
    assert go(straight)
    assert straight.learner.counters.warmup_updates == 6
    assert straight.learner.counters.updates > 6, "it goes on from there"
    made = replace(made, out_dir=tmp_path / "stopped")
    first = start(made)
    assert not go(first, StopAfter(first, 30))
    second = start(made, first.run)
    assert go(second)
    assert same(final_arrays(straight.run), final_arrays(second.run))


@pytest.mark.parametrize(("env_steps", "end"), [(0, "update 6/6 on stored episodes · "), (20, "step ")])
def test_the_progress_line_counts_updates_until_something_acts(
    env_steps: int, end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = start(config(tmp_path, env_steps=env_steps, **ALGORITHMS["iql"]))
    assert go(session)
    assert "Point: update 1/6 on stored episodes" in capsys.readouterr().out
    session.show(force=True)
    session.close()
    assert f"Point: {end}" in capsys.readouterr().out


def test_dropped_demonstrations_are_drawn_until_the_first_step_and_never_after(tmp_path: Path) -> None:
    session = start(config(tmp_path, **ALGORITHMS["wsrl"]))
    learner = session.learner
    assert len(learner.replay.demo) == 6 and learner.can_sample
    learner.add(next(iter(stream([4], "run-a0-000000"))))
    assert len(learner.replay.demo) == 0
    session.close()


def recorded(folder: Path) -> Path:
    """Two episodes, of which the second is a failure."""
    for number, steps in enumerate((5, 7)):
        with EpisodeWriter(folder / f"{number:06d}.mcap", EpisodeMeta("Point", SPEC, ACTIONS)) as writer:
            for record in stream([steps], f"demo-{number}"):
                writer.append(record)
    return folder


def judged(folder: Path, low: float) -> Path:
    values = {r[0].episode_id: np.linspace(low, 0.0, len(r)) for r in load_demos(folder, SPEC, "Point")}
    write_relabels(folder, "judged", "process", "model", {k: v.astype(np.float32) for k, v in values.items()})
    return folder


def test_relabels_travel_with_the_run_and_are_what_it_learns_from(tmp_path: Path) -> None:
    folder = judged(recorded(tmp_path / "data"), -1.0)
    demos = DemoConfig(dir=folder, relabel="judged", relabel_only=True)
    made = config(tmp_path / "runs", **{**ALGORITHMS["iql"], "env_steps": 0, "demos": demos})
    made = replace(made, agent=replace(made.agent, q_range=(-1.0, 0.0)))
    run = create_run(made, SPEC, ACTIONS, 10.0)
    gather_demos(made, run.demos, PointEnv(), lambda line: None)
    session = open_session(run, made)
    assert session.begin() == 12
    steps = session.learner.replay
    out = [steps.weights.motion() @ row[SPEC.size + 7 : -2] for row in steps._store.rows if row[-1] > 0]
    gamma = made.agent.gamma
    loaded = load_demos(folder, SPEC, "Point", relabel="judged", alone=gamma)
    expected = [r.rewards["process"] for episode in loaded for r in episode]
    np.testing.assert_allclose(sorted(out), sorted(expected), rtol=1e-5, atol=1e-7)
    session.close()


@pytest.mark.parametrize(
    ("q_range", "only", "says"),
    [((0.0, 1.0), True, "come to between -1 and 0"), ((-1.0, 0.0), False, r"come to between -33.3 and 0")],
)
def test_relabels_that_would_be_clipped_are_refused(
    q_range: tuple[float, float], only: bool, says: str, tmp_path: Path
) -> None:
    demos = DemoConfig(dir=judged(recorded(tmp_path / "data"), -1.0), relabel="judged", relabel_only=only)
    made = config(tmp_path / "runs", **{**ALGORITHMS["iql"], "env_steps": 0, "demos": demos})
    made = replace(made, agent=replace(made.agent, q_range=q_range, gamma=0.97))
    (tmp_path / "demos").mkdir()
    with pytest.raises(ConfigError, match=says):
        gather_demos(made, tmp_path / "demos", PointEnv(), lambda line: None)


def test_relabels_that_are_not_there_are_one_sentence(tmp_path: Path) -> None:
    demos = DemoConfig(dir=recorded(tmp_path / "data"), relabel="judged")
    with pytest.raises(DataError, match="unknown relabels 'judged'"):
        gather_demos(config(tmp_path, demos=demos), tmp_path / "data", PointEnv(), lambda line: None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"env_steps": 0, "algorithm": "iql", "pace": PaceConfig()}, "with --pace.warmup-updates above 0"),
        ({"env_steps": 0, "algorithm": "rlpd"}, "nothing would act"),
        ({"demos": DemoConfig(dir=Path("x"), relabel="r", relabel_only=True)}, "add --env-steps 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        config(tmp_path, **changes)


def test_a_gripper_critic_is_refused(tmp_path: Path) -> None:
    agent = replace(tiny_config().agent, gripper_critic=True)
    for name in ("iql", "calql"):
        with pytest.raises(ConfigError, match=f"the actor of {name} commands the gripper too"):
            config(tmp_path, agent=agent, algorithm=name)


def test_relabels_need_a_folder_and_a_name() -> None:
    with pytest.raises(ConfigError, match="give the folder that was relabelled with --demos DIR"):
        DemoConfig(relabel="judged")
    with pytest.raises(ConfigError, match=r"name them with --demos\.relabel"):
        DemoConfig(dir=Path("x"), relabel_only=True)
