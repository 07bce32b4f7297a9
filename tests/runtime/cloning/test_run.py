"""A whole cloning run on the real simulated cell: what it leaves behind, and that what it leaves behind can be used."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from robot_rl.core.config import from_dict, read_yaml
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.envs import make_env
from robot_rl.evaluation.checkpoints import evaluate_checkpoint, load_saved_policy
from robot_rl.evaluation.report import write_report
from robot_rl.evaluation.run_record import read_run
from robot_rl.policies.base.config import BaseConfig, FitConfig, NetworkConfig, SightConfig
from robot_rl.policies.base.open import open_base
from robot_rl.runtime.cloning.config import CloneConfig
from robot_rl.runtime.cloning.run import CloneResult, clone
from robot_rl.runtime.learner.checkpoint import best_checkpoint, list_checkpoints

SMALL = BaseConfig(
    objective="regression",
    horizon=8,
    network=NetworkConfig(width=64, depth=1),
    fit=FitConfig(steps=300, batch=64, report_every=100, learning_rate=2e-3),
)
LITTLE = CloneConfig(
    task="Reach",
    task_options={"episode_steps": 25},
    n_demos=20,
    replan_every=2,
    rollout_every=100,
    rollout_episodes=4,
    eval_episodes=10,
    model=SMALL,
    report=False,
)


@dataclass(frozen=True)
class Done:
    result: CloneResult
    said: list[str]
    shown: dict[str, list[tuple[int, int, str]]]

    @property
    def path(self) -> Path:
        return self.result.run.path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    said: list[str] = []
    shown: dict[str, list[tuple[int, int, str]]] = {}

    def meter(what: str):  # type: ignore[no-untyped-def]
        rows = shown.setdefault(what, [])
        return lambda n, total, note="": rows.append((n, total, note))

    config = replace(LITTLE, out_dir=tmp_path_factory.mktemp("runs"))
    return Done(clone(config, note=said.append, meter=meter), said, shown)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_it_learns_the_task(done: Done) -> None:
    """Twenty demonstrations of moving to a point are enough."""
    assert done.result.finished
    assert done.result.evaluation is not None
    assert done.result.evaluation.success >= 0.8
    losses = [float(r["loss"]) for r in rows(done.path / "learner.csv")]
    assert losses[-1] < 0.5 * losses[0]


def test_the_folder_tells_everything(done: Done) -> None:
    info = done.result.run.info()
    assert info["status"] == "finished" and info["end"]
    assert info["counters"]["demonstrations"] == 18
    assert [int(r["update"]) for r in rows(done.path / "learner.csv")] == [100, 200, 300]
    assert all(float(r["held_out_loss"]) > 0 for r in rows(done.path / "learner.csv"))
    assert len(list((done.path / "demos").glob("*.mcap"))) == 20
    config = from_dict(CloneConfig, read_yaml(done.path / "config.yaml"))
    assert config == replace(LITTLE, out_dir=config.out_dir)


def test_progress_is_shown(done: Done) -> None:
    assert done.shown["recording"][-1][:2] == (20, 20)
    assert [n for n, _, _ in done.shown["training"]] == [100, 200, 300]
    assert done.shown["evaluating"][-1][:2] == (10, 10)
    assert "held-out loss" in done.shown["training"][-1][2]
    assert any(line.startswith("18 demonstrations of ") for line in done.said)


def test_rollouts_choose_the_best_from_states_of_their_own(done: Done) -> None:
    found = [json.loads(line) for line in (done.path / "evaluations.jsonl").read_text().splitlines()]
    assert [r["checkpoint"] for r in found] == ["000000100", "000000200", "000000300", "000000300"]
    assert [r["seed"] for r in found] == [1_000_000] * 3 + [10_000]
    best = best_checkpoint(done.result.run.checkpoints)
    assert max(found[:3], key=lambda r: (r["success"], r["checkpoint"]))["checkpoint"] == best.name
    assert len(list_checkpoints(done.result.run.checkpoints)) == 3


def test_the_run_is_played_alone(done: Done) -> None:
    """It knows its task, layout and pace; workers do not change what is played."""
    saved = load_saved_policy(done.path)
    assert (saved.task, saved.hz, saved.policy.version) == ("Reach", 10.0, 300)
    assert dict(saved.task_options) == {"episode_steps": 25}
    again = evaluate_checkpoint(done.path, n=10, workers=2, record=False)
    assert done.result.evaluation is not None
    assert again.episodes == done.result.evaluation.episodes


def test_the_base_says_what_it_was_made_of(done: Done) -> None:
    base = open_base(done.path)
    env = make_env("Reach")
    try:
        assert base.info.state_checksum == env.state_spec.checksum
        assert (base.info.hz, base.info.horizon) == (env.hz, 8)
    finally:
        env.close()
        base.close()


def test_another_layout_is_refused(done: Done) -> None:
    with pytest.raises(DataError, match="expects the state layout"):
        evaluate_checkpoint(done.path, n=1, task="PegInsert", task_options={}, record=False)


def test_the_report_shows_what_there_is(done: Done) -> None:
    run = read_run(done.path)
    assert run.cloned and not run.acts
    assert run.notes == ()
    assert run.judged["n"] == 10
    page = write_report(done.path, video=False).read_text()
    for piece in ("held out, averaged weights", "base policy, regression, mlp", "of 10 evaluation episodes", "Success"):
        assert piece in page
    for piece in ("Updates per step", "No data was recorded", "training episodes explore"):
        assert piece not in page


def test_equal_runs_give_equal_weights(done: Done, tmp_path: Path) -> None:
    config = replace(LITTLE, out_dir=tmp_path, demos=done.path / "demos", rollout_every=0, eval_episodes=0)
    again = clone(config, note=lambda line: None)
    assert again.evaluation is None
    one, other = open_base(done.path), open_base(again.run.path)
    assert one.info.checksum == other.info.checksum


def test_a_plan_is_not_followed_beyond_its_end() -> None:
    with pytest.raises(ConfigError, match="replan_every is 9, but a plan holds 8 actions"):
        replace(LITTLE, replan_every=9)


def test_a_device_that_is_not_there_is_said_before_anything_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torch cannot compute on 'abacus'"):
        clone(replace(LITTLE, out_dir=tmp_path, device="abacus"), note=lambda line: None)
    assert not list(tmp_path.iterdir())


def test_what_fails_is_noted_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no demonstrations in"):
        clone(replace(LITTLE, out_dir=tmp_path / "runs", demos=tmp_path / "empty"), note=lambda line: None)
    (info,) = (tmp_path / "runs").rglob("run.json")
    assert json.loads(info.read_text())["status"] == "failed"


@pytest.mark.gl
def test_pictures_are_cloned_from_and_looked_at(tmp_path: Path) -> None:
    """Recorded at the size of the run; played through the same eyes."""
    sight = SightConfig(cameras=("side",), features=4)
    model = replace(SMALL, sight=sight, fit=FitConfig(steps=4, batch=4, report_every=4))
    changes = {"n_demos": 2, "image_size": 40, "model": model, "rollout_every": 0, "eval_episodes": 1}
    result = clone(replace(LITTLE, out_dir=tmp_path, held_out=0.0, **changes), note=lambda line: None)  # type: ignore[arg-type]
    saved = load_saved_policy(result.run.path)
    assert saved.pictures.cameras == ("side",) and saved.pictures.image_size == 40
    assert "held_out_loss" in rows(result.run.path / "learner.csv")[0]
    assert result.evaluation is not None and result.evaluation.n == 1
