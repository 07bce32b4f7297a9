"""Comparisons: no curve beyond its data, tables that add up, files that tell how they were made."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ActionSpec
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.evaluation.aggregate import aggregate, final_rows, human_min_to_success, series_of
from robot_rl.evaluation.compare import compare
from robot_rl.evaluation.figures import comparison_figure, plot_learning_curve, save_figure
from robot_rl.evaluation.run_record import read_run
from robot_rl.evaluation.stats import interquartile_mean, wilson_interval
from tests.evaluation.conftest import SPEC, make_run
from tests.runtime.fakes import stream


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [make_run(folder, seed=k, episodes=e, evaluations=2) for k, e in enumerate((60, 80, 100, 120, 140))]


def test_a_curve_ends_where_half_of_the_runs_end(seeds: list[Path]) -> None:
    runs = [read_run(p) for p in seeds]
    curve = aggregate(runs, "success", "env_step")
    ends = sorted(r.episodes.numbers("env_step")[-1] for r in runs)
    assert curve.x[-1] <= ends[2] < curve.x[-1] + ends[-1] / 150
    assert set(curve.runs) <= {3.0, 4.0, 5.0}
    assert (curve.low <= curve.mean + 1e-12).all() and (curve.mean <= curve.high + 1e-12).all()


def test_a_point_is_the_interquartile_mean_of_the_runs_there(seeds: list[Path]) -> None:
    runs = [read_run(p) for p in seeds]
    curve = aggregate(runs, "intervention_share", "robot_min")
    at = 20
    values = []
    for run in runs:
        x, y = series_of(run, "intervention_share", "robot_min")
        values.append(y[x <= curve.x[at]][-1])
    assert curve.mean[at] == pytest.approx(float(interquartile_mean(values)))


def test_evaluations_are_matched_by_their_number(seeds: list[Path]) -> None:
    runs = [read_run(p) for p in seeds]
    curve = aggregate(runs, "evaluation_success", "env_step")
    assert curve.x.size == 2 and curve.runs.tolist() == [5, 5]
    assert curve.x[0] == pytest.approx(np.mean([r.evaluations[0]["env_step"] for r in runs]))


def test_one_run_has_no_band(seeds: list[Path]) -> None:
    curve = aggregate([read_run(seeds[0])], "success", "env_step")
    assert (curve.low == curve.mean).all() and (curve.high == curve.mean).all()


def test_nothing_gives_an_empty_curve(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path, episodes=0, evaluations=0))
    assert aggregate([run], "success", "env_step").x.size == 0


def test_the_sum_row_adds_up(seeds: list[Path]) -> None:
    rows = final_rows("a", [read_run(p) for p in seeds])
    single, total = rows[:-1], rows[-1]
    assert [r.seed for r in rows] == ["0", "1", "2", "3", "4", "all"]
    assert total.n == 500 and total.successes == sum(r.successes for r in single)
    assert total.wilson_low == wilson_interval(total.successes, 500).low
    assert total.human_min == pytest.approx(np.mean([r.human_min for r in single]))
    assert final_rows("a", [read_run(seeds[0])])[0].seed == "0"


def test_human_minutes_to_success_need_a_full_window_without_help(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    header = "episode,env_step,robot_s,length,success,intervention_steps\n"

    def write(helped: list[int]) -> float:
        rows = "".join(f"{k},{10 * (k + 1)},{k + 1},10,1,{h}\n" for k, h in enumerate(helped))
        (run / "episodes.csv").write_text(header + rows)
        return human_min_to_success(read_run(run))

    assert math.isnan(write([0] * 19))
    assert write([0] * 20) == 0.0
    # 18 unaided of the last 20 come after the third helped episode has left the window: 5 x 6 steps of 0.1 s were
    # spent.
    assert write([6] * 5 + [0] * 18) == pytest.approx(5 * 6 * 0.1 / 60)
    assert math.isnan(write([6] * 30))


def test_files_say_what_was_done(seeds: list[Path], tmp_path: Path) -> None:
    groups = {"with": seeds[:3], "without": seeds[3:]}
    summary = compare(
        groups, tmp_path / "out", "Peg: corrections, or none?", command="robot-rl compare with=... without=..."
    )
    names = [p.name for p in summary.files]
    assert names == [f"peg_corrections_or_none.{s}" for s in ("svg", "png", "csv", "md")]
    assert all(p.stat().st_size > 0 for p in summary.files)
    page = summary.files[3].read_text()
    assert "robot-rl compare with=... without=..." in page and "peg_corrections_or_none.svg" in page
    assert page.count("| with | ") == 4 and page.count("| without | ") == 3
    assert summary.lines()[0].startswith("with: n=300 success=0.99 [0.9") and summary.lines()[0].endswith(
        "over 3 seeds"
    )
    with summary.files[2].open() as file:
        rows = list(csv.DictReader(file))
    assert {r["label"] for r in rows} == {"with", "without"}
    assert {r["metric"] for r in rows} >= {"success", "unaided_success", "intervention_share", "evaluation_success"}
    assert all(0 <= float(r["interquartile_mean"]) <= 1 for r in rows if r["metric"] != "human_min")


def test_the_same_data_give_the_same_figure(seeds: list[Path], tmp_path: Path) -> None:
    runs = {"a": [read_run(p) for p in seeds[:2]]}
    figures = [comparison_figure(runs, "t", [("success", "env_step")]) for _ in range(2)]
    first, second = (save_figure(f, tmp_path / f"{k}.svg").read_bytes() for k, f in enumerate(figures))
    assert first == second


def test_failures_and_gaps_are_remarked(tmp_path: Path) -> None:
    run = make_run(tmp_path, seed=3, episodes=0, evaluations=0)
    (run / "run.json").write_text(json.dumps({"status": "failed", "hz": 10}))
    summary = compare({"a": [run, run]}, tmp_path / "out", "t")
    text = " ".join(summary.notes)
    assert "no evaluation" in text and "'failed'" in text and "no finished training episode" in text
    assert "not all different" in text
    assert summary.lines() == ["a: not evaluated over 2 seeds"]
    assert summary.files[3].read_text().count("not all different") == 1


def test_bad_requests(seeds: list[Path], tmp_path: Path) -> None:
    for groups, title, kind in (
        ({}, "t", ConfigError),
        ({"a": []}, "t", ConfigError),
        ({"a": seeds[:1]}, "???", ConfigError),
        ({"a": [tmp_path / "absent"]}, "t", DataError),
    ):
        with pytest.raises(kind):
            compare(groups, tmp_path / "out", title)
    assert not (tmp_path / "out").exists()


def test_learning_curve_for_a_readme(seeds: list[Path], tmp_path: Path) -> None:
    path = plot_learning_curve(seeds[0], tmp_path / "images" / "curve.png")
    with Image.open(path) as image:
        assert image.format == "PNG" and image.width > 800
        colors = {tuple(c) for c in np.asarray(image.convert("RGB")).reshape(-1, 3)[::7]}
    assert (0x24, 0x63, 0xC9) in colors
    empty = make_run(tmp_path, episodes=0)
    with pytest.raises(DataError, match="no finished training episode"):
        plot_learning_curve(empty, tmp_path / "x.png")


def test_demonstrations_that_cannot_be_read_are_remarked_on(tmp_path: Path) -> None:
    run = make_run(tmp_path, episodes=30, evaluations=1)
    (run / "demos").mkdir(exist_ok=True)
    (run / "demos" / "000000.mcap").write_bytes(b"of another format")
    page = next(f for f in compare({"a": [run]}, tmp_path / "out", "A").files if f.suffix == ".md")
    assert "a, seed 0: 1 demonstration file(s) cannot be read and do not count." in page.read_text()


def test_a_policy_cloned_without_acting_has_cost_its_demonstrations(tmp_path: Path) -> None:
    cloned, other = make_run(tmp_path, episodes=0, evaluations=1), make_run(tmp_path, seed=1, evaluations=1)
    config = cloned / "config.yaml"
    config.write_text(config.read_text() + "env_steps: 0\n")
    with EpisodeWriter(cloned / "demos" / "000000.mcap", EpisodeMeta("Point", SPEC, ActionSpec(0.1, 0.1))) as demo:
        for record in stream([30], "demo-0"):
            demo.append(record)
    summary = compare({"cloned": [cloned], "other": [other]}, tmp_path / "out", "Cloned")
    row = summary.rows[0]
    assert (row.env_steps, row.robot_min, row.n) == (0.0, 0.0, 100)
    assert row.human_min == pytest.approx(30 / 10 / 60)
    assert not any("cloned" in note for note in summary.notes)
