"""What is worked out from a run folder: rates, operator time, and the evaluation it is judged by."""

import json
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.evaluation.run_record import read_demos, read_run
from tests.evaluation.conftest import HZ, SPEC, make_run

HEADER = "episode,env_step,robot_s,wall_s,length,return,success,stop_reason,intervention_steps,intervention_share\n"


def small_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = "0,10,1.0,2.0,10,1,1,success,5,0.5\n1,40,4.0,5.0,30,0,0,time_out,0,0\n2,50,5.0,6.0,10,1,1,success,0,0\n"
    (folder / "episodes.csv").write_text(HEADER + rows)
    return folder


def test_success_with_and_without_help(tmp_path: Path) -> None:
    run = read_run(small_run(tmp_path / "run"))
    assert run.rolling_success().tolist() == pytest.approx([1.0, 0.5, 2 / 3])
    assert run.rolling_success(unaided=True).tolist() == pytest.approx([0.0, 0.0, 1 / 3])


def test_intervention_share_weighs_steps_not_episodes(tmp_path: Path) -> None:
    run = read_run(small_run(tmp_path / "run"))
    assert run.rolling_intervention_share().tolist() == pytest.approx([5 / 10, 5 / 40, 5 / 50])


def test_a_persons_time_needs_no_stated_rate(tmp_path: Path) -> None:
    # 50 steps took 5 s, so a step is 0.1 s, and five of them were an operator's.
    run = read_run(small_run(tmp_path / "run"))
    assert run.step_s == pytest.approx(0.1)
    assert run.human_min().tolist() == pytest.approx([0.5 / 60] * 3)


def test_stated_rate_wins(tmp_path: Path) -> None:
    folder = small_run(tmp_path / "run")
    (folder / "run.json").write_text(json.dumps({"hz": 20.0}))
    assert read_run(folder).human_min()[-1] == pytest.approx(5 / 20 / 60)


def test_names_come_from_wherever_they_are(tmp_path: Path) -> None:
    folder = small_run(tmp_path / "Reach" / "run")
    run = read_run(folder)
    assert run.task == "Reach" and run.seed == "?"
    (folder / "config.yaml").write_text("task: PickCube\nseed: 3\n")
    assert read_run(folder).task == "PickCube" and read_run(folder).seed == "3"


def test_judged_by_most_episodes_then_newest_checkpoint_never_by_success(tmp_path: Path) -> None:
    folder = small_run(tmp_path / "run")
    rows = [
        {"n": 20, "env_step": 500, "success": 1.0},
        {"n": 100, "env_step": 100, "success": 0.9},
        {"n": 100, "env_step": 400, "success": 0.3},
        {"n": 100, "env_step": 200, "success": 0.8},
    ]
    (folder / "evaluations.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert read_run(folder).judged["success"] == 0.3


def test_judged_on_the_runs_own_cell_where_it_was_evaluated_there(tmp_path: Path) -> None:
    folder = small_run(tmp_path / "run")
    (folder / "config.yaml").write_text("task: Reach\ncell: ros\n")
    simulated = {"n": 100, "env_step": 400, "success": 0.9, "cell": "sim"}
    rows = [{"n": 20, "env_step": 300, "success": 0.4, "cell": "ros"}, simulated, {**simulated, "env_step": 500}]
    (folder / "evaluations.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert read_run(folder).judged["success"] == 0.4
    (folder / "evaluations.jsonl").write_text(json.dumps(simulated) + "\n")
    assert read_run(folder).judged["success"] == 0.9


def test_everything_missing_is_said(tmp_path: Path) -> None:
    notes = " ".join(read_run(small_run(tmp_path / "run")).notes)
    for name in ("run.json", "config.yaml", "learner.csv", "evaluations.jsonl"):
        assert name in notes
    assert "episodes.csv" not in notes
    assert read_run(make_run(tmp_path / "whole")).notes == ()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        read_run(tmp_path / "absent")
    with pytest.raises(DataError, match="holds no run"):
        read_run(tmp_path)


def write_demo(path: Path, steps: int) -> None:
    from robot_rl.core.specs import ActionSpec
    from robot_rl.core.transition import Observation, Source, StepRecord
    from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter

    action, state = np.zeros(7, np.float32), np.zeros(SPEC.size, np.float32)
    meta = EpisodeMeta(task="Synthetic", state_spec=SPEC, action_spec=ActionSpec(0.1, 0.1))
    with EpisodeWriter(path, meta) as writer:
        for k in range(steps):
            last = k == steps - 1
            writer.append(
                StepRecord(
                    episode_id=path.stem,
                    step_index=k,
                    obs=Observation(state),
                    action_executed=action,
                    action_policy=action,
                    rewards={"success": float(last)},
                    terminated=last,
                    truncated=False,
                    stop_reason="success" if last else "",
                    intervention=True,
                    source=Source.DEMO,
                    policy_version=-1,
                    task="Synthetic",
                    t_wall_s=float(k),
                    t_control_s=5.0 + k / HZ,
                    final_obs=Observation(state) if last else None,
                )
            )


def test_demonstrations_count_as_a_persons_time(run_dir: Path) -> None:
    before = read_run(run_dir).human_min()
    for k in range(2):
        write_demo(run_dir / "demos" / f"{k}.mcap", 30)
    (run_dir / "demos" / "broken.mcap").write_bytes(b"no episode")
    demos = read_demos(run_dir / "demos")
    assert (demos.episodes, demos.steps, demos.successes, demos.unreadable) == (2, 60, 2, 1)
    assert demos.robot_s == pytest.approx(60 / HZ)
    run = read_run(run_dir)
    np.testing.assert_allclose(run.human_min() - before, 60 / HZ / 60)
    assert any("demonstration file" in note for note in run.notes)
