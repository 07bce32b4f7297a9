"""Runs on top of a base policy: bit-identical however they are stopped, and never on top of another base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EDIT_PRESETS
from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Float32
from robot_rl.policies.plan import Planner
from robot_rl.runtime.base_config import BaseConfig
from robot_rl.runtime.based import BasedEnv, base_action
from robot_rl.runtime.config import PaceConfig, TrainConfig
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.learner.lockstep import train_lockstep
from robot_rl.runtime.learner.resume import resume
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.run_folder import RunFolder, create_run
from robot_rl.runtime.stop import StopFlag
from tests.runtime.bases import TellingBase
from tests.runtime.fakes import ACTIONS, Helper, PointEnv, tiny_config
from tests.runtime.learner.test_lockstep import StopAfter
from tests.runtime.runs import final_arrays, same

PACE = PaceConfig(learning_starts=20, publish_every=3)
AGENT = SacConfig(hidden=(8,), batch_size=8, utd=2, n_step=3)
BEST = replace(EDIT_PRESETS["expo"], chunk=2, critic_only_steps=30, sigma=0.0)
ACTIVE = list(ACTIONS.active)
OPTIONS: dict[str, dict[str, Any]] = {
    "edit": {"algorithm": "edit", "edit": BEST, "base": BaseConfig("told", proposals=3, replan_every=4)},
    "noise": {"algorithm": "noise", "base": BaseConfig("told")},
}


def based_config(kind: str, folder: Path) -> TrainConfig:
    return tiny_config(env_steps=120, agent=AGENT, pace=PACE, out_dir=folder, **OPTIONS[kind])


def based_env(config: TrainConfig, checksum: str = "one") -> BasedEnv:
    """As `robot_rl.runtime.based.on_base` makes it of a base that lies at the path."""
    use = config.base_use
    assert use is not None
    how = use.base
    planner = Planner(
        TellingBase(checksum), proposals=how.proposals, lookahead=use.lookahead, replan_every=how.replan_every
    )
    return BasedEnv(PointEnv(limit=12), planner, use.noise_bound)


def play(config: TrainConfig, run: RunFolder | None = None, *, stop_after: int = 0, checksum: str = "one") -> RunFolder:
    """Begin a run, or go on with it, and train in lock-step with an operator now and then."""
    env = based_env(config, checksum)
    folder = run or create_run(config, env.state_spec, env.action_spec, env.hz)
    session = Session(folder, config, env.state_spec, env.action_spec, env.hz, Progress("Point", live=False))
    try:
        if run is None:
            session.begin()
        else:
            resume(session)
        stop = StopAfter(session, stop_after) if stop_after else StopFlag()
        train_lockstep(session, env, stop, make_teleop=lambda rng: Helper({1, 2}, rng.uniform(-1, 1)))
    finally:
        session.finish("finished")
        session.close()
    return folder


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """Runs that nobody stopped."""
    return {kind: play(based_config(kind, tmp_path_factory.mktemp(kind))) for kind in OPTIONS}


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_stopped_and_resumed_run_is_bit_identical(kind: str, straight: dict[str, RunFolder], tmp_path: Path) -> None:
    """Nothing of a plan, of its noise or of a chunk under way is lost with the process."""
    config = based_config(kind, tmp_path)
    run = play(config, stop_after=47)
    assert not same(final_arrays(straight[kind]), final_arrays(run))
    play(config, run)
    assert same(final_arrays(straight[kind]), final_arrays(run))


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_run_does_not_go_on_with_another_base(kind: str, tmp_path: Path) -> None:
    config = based_config(kind, tmp_path)
    run = play(config, stop_after=30)
    with pytest.raises(DataError, match="base_plan"):
        play(config, run, checksum="two")


def records_of(run: RunFolder) -> list[StepRecord]:
    return list(read_records(run.episodes / "a0"))


def test_until_the_actor_learns_every_step_is_as_near_to_the_base_as_an_edit_may_be(
    straight: dict[str, RunFolder],
) -> None:
    """While there is nothing but the base, and while the critics learn what it is worth."""
    run = straight["edit"]
    spec = based_env(based_config("edit", run.path)).state_spec
    records = records_of(run)
    assert len(records) >= 120
    until = PACE.learning_starts + BEST.critic_only_steps
    for record in records[:until]:
        np.testing.assert_array_equal(record.action_base, base_action(record.obs, spec))
        if not record.intervention:
            assert away(record)[ACTIVE].max() <= BEST.scale + 1e-6
    # the versions of parameters: the base is proposed for before there are any, and corrected in the end
    assert records[0].policy_version == 0 < records[-1].policy_version


def away(record: StepRecord) -> Float32:
    """How far each value of what was proposed is from what the base would have done ``[7]``."""
    assert record.action_base is not None
    return np.abs(record.action_policy - record.action_base)


def test_the_log_of_steering_holds_noise_and_what_it_became(straight: dict[str, RunFolder]) -> None:
    records = records_of(straight["noise"])
    helped = [r for r in records if r.intervention]
    assert helped and all(np.ptp(r.action_executed[:6]) == 0.0 for r in helped)
    steered = [r for r in records if not r.intervention]
    # the base's second value says where the arm is, whatever the noise
    for r in steered:
        assert r.action_executed[1] == pytest.approx(np.clip(r.obs.state[0], -0.8, 0.8), abs=1e-6)
    assert np.std([r.action_policy[0] for r in steered]) > 0.1
