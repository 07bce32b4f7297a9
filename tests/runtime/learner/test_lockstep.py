"""Lock-step training is deterministic, and stopping it changes nothing."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.runtime.config import EvalConfig
from robot_rl.runtime.episode_files import episode_files, read_records
from robot_rl.runtime.learner.checkpoint import latest_checkpoint, load_checkpoint
from robot_rl.runtime.learner.resume import resume
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.run_folder import RunFolder
from robot_rl.runtime.stop import StopFlag
from tests.runtime.fakes import ACTIONS, SPEC, PointEnv, tiny_config
from tests.runtime.runs import archived, final_arrays, go, rows, same, start


class StopAfter(StopFlag):
    """Asks to stop once the run has taken so many steps."""

    def __init__(self, session: Session, steps: int) -> None:
        self._session, self._steps = session, steps
        self.urgent = False

    @property
    def requested(self) -> bool:  # type: ignore[override]
        return self._session.learner.counters.env_steps >= self._steps


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nobody stopped."""
    session = start(tiny_config(out_dir=tmp_path_factory.mktemp("straight")))
    assert go(session)
    return session.run


def test_a_run_writes_what_its_folder_promises(straight: RunFolder) -> None:
    info = straight.info()
    assert info["status"] == "finished" and info["end"] and info["counters"]["env_steps"] >= 200
    table = rows(straight.path / "episodes.csv")
    assert [int(r["episode"]) for r in table] == list(range(len(table)))
    assert sum(int(r["length"]) for r in table) == info["counters"]["env_steps"]
    assert float(table[-1]["robot_s"]) == pytest.approx(info["counters"]["env_steps"] / 10)
    assert {r["source"] for r in table} <= {"policy", "policy+scripted"}
    assert all(int(r["intervention_steps"]) == min(2, max(0, int(r["length"]) - 1)) for r in table)
    learner = rows(straight.path / "learner.csv")
    assert [int(float(r["update"])) for r in learner] == [50, 100, 150]
    assert float(learner[-1]["utd"]) == pytest.approx(2.0, rel=0.05)
    assert "critic_loss" in learner[0]
    assert list(straight.tensorboard.iterdir())
    assert [p.name for p in straight.episodes.iterdir()] == ["a0"]
    assert len(episode_files(straight.episodes / "a0")) == len(table)
    assert [r.step_index for r in read_records(straight.episodes / "a0")].count(0) == len(table)


def test_the_achieved_utd_is_the_target(straight: RunFolder) -> None:
    counters = straight.info()["counters"]
    assert counters["updates"] == counters["env_steps"] - 20
    assert counters["utd"] == pytest.approx(2.0)


def test_two_runs_with_one_seed_are_bit_identical(straight: RunFolder, tmp_path: Path) -> None:
    again = start(tiny_config(out_dir=tmp_path))
    go(again)
    assert same(final_arrays(straight), final_arrays(again.run))


def test_another_seed_is_another_run(straight: RunFolder, tmp_path: Path) -> None:
    other = start(tiny_config(out_dir=tmp_path, seed=1))
    go(other)
    assert not same(final_arrays(straight), final_arrays(other.run))


@pytest.mark.parametrize("steps", [15, 70, 130])
def test_a_stopped_and_resumed_run_is_bit_identical(straight: RunFolder, tmp_path: Path, steps: int) -> None:
    config = tiny_config(out_dir=tmp_path)
    first = start(config)
    assert not go(first, StopAfter(first, steps))
    second = start(config, first.run)
    assert second.learner.counters.env_steps >= steps
    assert go(second)
    assert same(final_arrays(straight), final_arrays(first.run))


class Killed(Exception):
    """Stands for a signal that leaves no time to save."""


class KillAfter(StopAfter):
    @property
    def requested(self) -> bool:  # type: ignore[override]
        if super().requested:
            raise Killed
        return False


def test_a_killed_run_repeats_what_came_after_its_checkpoint(straight: RunFolder, tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path)
    first = start(config)
    with pytest.raises(Killed):
        go(first, KillAfter(first, 100))
    saved = load_checkpoint(latest_checkpoint(first.run.checkpoints)).state["counters"]
    assert 60 <= saved["env_steps"] < 100
    second = start(config, first.run)
    assert second.learner.counters.env_steps == saved["env_steps"]
    assert go(second)
    assert same(final_arrays(straight), final_arrays(first.run))
    for name, column in (("episodes.csv", "episode"), ("learner.csv", "update")):
        numbers = [float(r[column]) for r in rows(first.run.path / name)]
        assert numbers == [float(r[column]) for r in rows(straight.path / name)]


def test_a_run_killed_before_its_first_checkpoint_begins_again(straight: RunFolder, tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path)
    first = start(config)
    with pytest.raises(Killed):
        go(first, KillAfter(first, 30))
    assert archived(first.run) and not list(first.run.checkpoints.iterdir())
    second = start(config, first.run)
    assert second.learner.counters.env_steps == 0 and not archived(first.run)
    assert go(second)
    assert same(final_arrays(straight), final_arrays(first.run))


def test_the_repeated_steps_are_those_of_the_log(straight: RunFolder, tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path)
    first = start(config)
    with pytest.raises(Killed):
        go(first, KillAfter(first, 100))
    go(start(config, first.run))
    pairs = zip(read_records(straight.episodes / "a0"), read_records(first.run.episodes / "a0"), strict=True)
    for a, b in pairs:
        assert a.obs.state.tobytes() == b.obs.state.tobytes()
        assert a.action_executed.tobytes() == b.action_executed.tobytes()


def test_a_ring_that_has_wrapped_is_rebuilt_to_the_bit(tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path / "straight", capacity=100)
    one = start(config)
    go(one)
    two = start(tiny_config(out_dir=tmp_path / "cut", capacity=100))
    go(two, StopAfter(two, 150))
    assert two.learner.replay.counters.overwritten > 20
    three = start(tiny_config(out_dir=tmp_path / "cut", capacity=100), two.run)
    assert three.learner.replay.counters == two.learner.replay.counters
    go(three)
    assert same(final_arrays(one.run), final_arrays(three.run))


def test_a_damaged_checkpoint_is_passed_over_and_its_steps_are_repeated(
    straight: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(out_dir=tmp_path)
    first = start(config)
    go(first, StopAfter(first, 150))
    newest = latest_checkpoint(first.run.checkpoints)
    (newest / "agent.safetensors").write_bytes(b"damaged")
    second = start(config, first.run)
    assert 0 < second.learner.counters.env_steps < first.learner.counters.env_steps
    assert "agent.safetensors does not match its recorded hash; an older one is used" in capsys.readouterr().out
    assert not newest.exists() and newest.with_name(newest.name + ".damaged").is_dir()
    assert go(second)
    assert same(final_arrays(straight), final_arrays(first.run))


def test_a_checkpoint_of_another_layout_is_refused_with_all_differences(straight: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(straight.path, tmp_path / "run"))
    other = StateSpec((Part("position", 1, "mm"), Part("goal", 2, "m")))
    session = Session(run, tiny_config(), other, ACTIONS, 10.0, Progress("Point", live=False))
    with pytest.raises(DataError) as e:
        resume(session)
    for piece in (
        "state part position: unit is 'm', expected 'mm'",
        "state part goal: size is 1, expected 2",
        "normaliser/center is float32[2], expected float32[3]",
    ):
        assert piece in str(e.value)
    session.close()


def test_a_log_that_lacks_steps_is_refused_unless_the_loss_is_accepted(straight: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(straight.path, tmp_path / "run"))
    gone = run.episodes / "a0" / "000003.mcap"
    steps = len(list(read_records(gone.parent, 3))) - len(list(read_records(gone.parent, 4)))
    gone.unlink()
    session = Session(run, tiny_config(), SPEC, ACTIONS, 10.0, Progress("Point", live=False))
    with pytest.raises(DataError, match=f"the log lacks steps .*000003.mcap yields 0 of {steps} steps; .*accept-loss"):
        resume(session)
    session.close()
    session = Session(run, tiny_config(), SPEC, ACTIONS, 10.0, Progress("Point", live=False))
    assert resume(session, accept_loss=True)
    assert session.learner.replay.counters.added == session.learner.counters.env_steps + 6 - steps
    session.close()


def test_a_checkpoint_holds_no_experience_and_says_what_made_it(straight: RunFolder) -> None:
    path = latest_checkpoint(straight.checkpoints)
    state = load_checkpoint(path).state
    assert {p.name for p in path.iterdir()} == {"agent.safetensors", "actor.safetensors", "state.json", "manifest.json"}
    assert state["config"]["task"] == "Point" and state["versions"]["robot-rl"]
    account = Counter({(actor, n): steps for actor, of in state["episodes"].items() for n, steps in of})
    assert account == Counter((actor, n) for actor, n, _ in archived(straight))


def test_evaluations_during_training_do_not_disturb_it(straight: RunFolder, tmp_path: Path) -> None:
    config = tiny_config(out_dir=tmp_path, evaluation=EvalConfig(every=60, episodes=3, final_episodes=0))
    session = start(config)
    made = []

    def make() -> PointEnv:
        made.append(PointEnv(limit=12))
        return made[-1]

    go(session, make_eval_env=make)
    lines = session.run.evaluations_file.read_text().splitlines()
    assert len(lines) == len(made) == 3 and all(env.closed for env in made)
    first = config.evaluation.validation_seed
    assert all(env.seeds == [first, first + 1, first + 2] for env in made)
    assert same(final_arrays(straight), final_arrays(session.run))
