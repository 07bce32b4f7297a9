"""The page: self-contained, truthful about what is missing, and never a reason to lose a run."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.evaluation.report import write_report
from robot_rl.evaluation.report_runtime import actor_table, runtime_charts, utd_chart
from robot_rl.evaluation.run_record import read_run
from tests.evaluation.conftest import make_run

VOID = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Fails on tags that are not closed in order, and collects addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_page(path: Path) -> str:
    html = path.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert all(a.startswith("data:") for a in checker.addresses)
    assert not re.search(r"https?://", html)
    return html


def test_whole_run(run_dir: Path) -> None:
    html = read_page(write_report(run_dir))
    for text in (
        "<h1>Synthetic</h1>",
        "99 of 100 evaluation episodes succeeded.",
        "Reached: the lower bound is at least 0.9",
        "Success against environment steps",
        "Success against robot time (min)",
        "share of steps",
        "Updates per environment step (UTD)",
        "Floor 0.5 x target",
        "Cap 2 x target",
        "Time spent waiting",
        "second-pc",
        "2000-01-01T00:07:00+00:00, step 4200: resumed after &lt;a&gt; kill",
        "Temperature",
        "clearance_mm = 0.5",
        "SYNTHETIC: made up for tests",
        "none, this run is made up",
        "made up &lt;for&gt; tests",
        "There is no video.",
    ):
        assert text in html, text
    assert html.count("<svg") >= 12
    assert not run_dir.joinpath("report.html.partial").exists()


@pytest.mark.parametrize(
    ("successes", "text"), [(99, "Reached: the lower"), (92, "Open: the interval"), (40, "Not reached: even the upper")]
)
def test_verdict_follows_the_interval(run_dir: Path, successes: int, text: str) -> None:
    from robot_rl.evaluation.stats import wilson_interval

    interval = wilson_interval(successes, 100)
    row = {"n": 100, "successes": successes, "success": successes / 100, "env_step": 5}
    row |= {"wilson_low": interval.low, "wilson_high": interval.high}
    (run_dir / "evaluations.jsonl").write_text(json.dumps(row) + "\n")
    assert text in write_report(run_dir).read_text()


def test_without_evaluation_there_is_no_verdict(tmp_path: Path) -> None:
    html = read_page(write_report(make_run(tmp_path, evaluations=0)))
    assert "No verdict" in html and "not evaluated" in html
    assert "evaluations.jsonl (evaluations without help) is missing" in html


def test_videos_and_stills_are_embedded(run_dir: Path) -> None:
    (run_dir / "videos" / "evaluation_000000003.mp4").write_bytes(b"film")
    (run_dir / "videos" / "evaluation_000000003_1.jpg").write_bytes(b"still")
    html = read_page(write_report(run_dir))
    assert 'src="data:video/mp4;base64,ZmlsbQ=="' in html
    assert 'src="data:image/jpeg;base64,' in html
    assert "There is no video" not in html


def test_says_why_there_is_no_video(run_dir: Path) -> None:
    (run_dir / "videos" / "no_video.txt").write_text("This machine could not film: install libegl1.\n")
    assert "There is no video. This machine could not film: install libegl1." in write_report(run_dir).read_text()


def test_a_broken_checkpoint_does_not_cost_the_report(run_dir: Path) -> None:
    (run_dir / "checkpoints" / "000000001").mkdir(parents=True)
    html = write_report(run_dir).read_text()
    assert "There is no video. Filming failed: " in html


FILES = ("config.yaml", "run.json", "episodes.csv", "learner.csv", "actors.csv", "evaluations.jsonl")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.fixed_dictionaries({name: st.none() | st.floats(0, 1) for name in FILES}))
def test_any_partly_written_run_gives_a_page(cuts: dict[str, float | None], tmp_path: Path) -> None:
    """Every file may be absent or cut anywhere, as long as one is left."""
    whole = tmp_path / "whole"
    if not whole.exists():
        make_run(whole, episodes=30, evaluations=2)
    run = tmp_path / "cut"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(next(whole.glob("*/*")), run)
    for name, share in cuts.items():
        if share is None:
            (run / name).unlink()
        else:
            data = (run / name).read_bytes()
            (run / name).write_bytes(data[: int(share * len(data))])
    if all(share is None for share in cuts.values()):
        with pytest.raises(DataError, match="holds no run"):
            write_report(run)
    else:
        read_page(write_report(run))


def test_values_of_the_wrong_type_do_not_break_it(run_dir: Path) -> None:
    odd = {"task": 3, "argv": "text", "hz": "fast", "versions": [], "machine": None, "state_spec": {}, "counters": 1}
    odd |= {"events": ["text", {"text": 3}, {}]}
    (run_dir / "run.json").write_text(json.dumps(odd))
    (run_dir / "config.yaml").write_text("- a\n- list\n")
    (run_dir / "actors.csv").write_text("actor,host,env_step\na0,,soon\n")
    (run_dir / "evaluations.jsonl").write_text('{"n": null, "success": "high", "checkpoint": 1, "env_step": true}\n')
    read_page(write_report(run_dir))


def test_text_from_files_cannot_become_markup(run_dir: Path) -> None:
    (run_dir / "config.yaml").write_text("task: '<script>alert(1)</script>'\n")
    (run_dir / "run.json").write_text(
        json.dumps({"argv": ["x", "<img src=x>"], "start": "<b>", "machine": {"<i>": "<i>"}})
    )
    html = read_page(write_report(run_dir))
    assert "<script>alert" not in html and "<img src=x" not in html
    assert "started &lt;b&gt;" in html and "&lt;i&gt;: &lt;i&gt;" in html


def test_no_run_no_page(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_films_what_it_is_judged_by_once(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from robot_rl.evaluation import report

    asked: list[Path] = []
    monkeypatch.setattr(report, "record_run_video", lambda path, checkpoint: asked.append(checkpoint))
    for name in ("000000003", "000000009"):
        (run_dir / "checkpoints" / name).mkdir(parents=True)
    write_report(run_dir)
    assert [p.name for p in asked] == ["000000003"]
    (run_dir / "evaluations.jsonl").unlink()
    write_report(run_dir)
    assert [p.name for p in asked] == ["000000003", "000000009"]
    (run_dir / "videos" / "evaluation_000000009.mp4").write_bytes(b"film")
    write_report(run_dir)
    write_report(run_dir, video=False)
    assert len(asked) == 2


def test_says_when_a_script_stood_in_for_the_person(run_dir: Path) -> None:
    stand_in = "by a script in place of a person"
    assert stand_in not in write_report(run_dir).read_text()
    episodes = run_dir / "episodes.csv"
    episodes.write_text(episodes.read_text().replace("policy+operator", "policy+scripted"))
    assert stand_in in write_report(run_dir).read_text()


def test_a_run_on_a_cell_says_what_was_simulated(run_dir: Path) -> None:
    (run_dir / "videos").mkdir(exist_ok=True)
    (run_dir / "videos" / "evaluation_000000009.mp4").write_bytes(b"film")
    plain = write_report(run_dir, video=False).read_text()
    assert "in simulation" not in plain and "on the cell" not in plain and "<th class=num>cell" not in plain
    with (run_dir / "config.yaml").open("a") as file:
        file.write("\ncell: ros\n")
    simulated = write_report(run_dir, video=False).read_text()
    assert "on the cell ros" in simulated and ", in simulation, deterministic policy" in simulated
    assert "Filmed in simulation, not on the cell of the run." in simulated
    with (run_dir / "evaluations.jsonl").open("a") as file:
        file.write(json.dumps({"checkpoint": "000000009", "n": 5, "success": 0.6, "cell": "ros"}) + "\n")
    real = write_report(run_dir, video=False).read_text()
    assert ", on the cell ros, deterministic policy" in real and "<th class=num>cell" in real


def test_an_interrupted_run_is_called_that(run_dir: Path) -> None:
    meta = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(
        json.dumps(meta | {"status": "interrupted", "end": None, "argv": ["/a/__main__.py", "x"]})
    )
    html = write_report(run_dir).read_text()
    assert "status: interrupted" in html and "the run was interrupted or still goes on" in html
    assert "<pre>robot-rl x</pre>" in html


def test_the_best_checkpoint_is_marked_while_it_exists(run_dir: Path) -> None:
    marked = "000000002 · best"
    assert marked not in write_report(run_dir, video=False).read_text()
    (run_dir / "checkpoints" / "000000002").mkdir(parents=True)
    (run_dir / "checkpoints" / "best.json").write_text('{"update": 2, "score": 0.8}')
    html = read_page(write_report(run_dir, video=False))
    assert (
        html.count(marked) == 1 and "Best by lower bound in evaluations during training: checkpoint 000000002" in html
    )
    (run_dir / "checkpoints" / "000000002").rmdir()
    assert marked not in write_report(run_dir, video=False).read_text()


def test_lines_of_the_pace_are_drawn_where_they_differ_from_the_target(run_dir: Path) -> None:
    chart = utd_chart(read_run(run_dir))
    last = {s.name: (float(s.y[-1]), s.dashed) for s in chart.series}
    assert last.pop("achieved, whole run")[0] == pytest.approx(4.0, abs=0.01)
    assert last == {"target": (4.0, True), "floor": (2.0, True), "cap": (8.0, True)}
    (run_dir / "config.yaml").write_text("pace: {utd_floor: 1.0, utd_cap: 1.0}\n")
    assert [s.name for s in utd_chart(read_run(run_dir)).series] == ["achieved, whole run", "target"]
    (run_dir / "config.yaml").write_text("pace: {utd_floor: 0.0, utd_cap: 1.0}\n")
    chart = utd_chart(read_run(run_dir))
    assert len(chart.series) == 2 and "No floor: acting never waits." in chart.note


def test_waits_are_shares_of_the_time_between_rows(run_dir: Path) -> None:
    head = "update,env_step,wall_s,learner_wait_s,actor_wait_s\n"
    (run_dir / "learner.csv").write_text(head + "50,10,10,1,0\n100,20,20,6,0\n150,30,20,6,0\n200,40,30,6,9\n")
    (waits,) = (c for c in runtime_charts(read_run(run_dir)) if c.title == "Time spent waiting")
    learner, acting = waits.series
    assert learner.y[[0, 2]].tolist() == [0.5, 0.0] and acting.y[[0, 2]].tolist() == [0.0, 0.9]
    assert np.isnan(learner.y[1]) and learner.x.tolist() == [20, 30, 40]
    html = write_report(run_dir, video=False).read_text()
    assert (
        "6.0 s for experience, 20% of the wall time" in html and "9.0 s for the learner, 30% of the wall time" in html
    )


def test_every_actor_has_a_row_with_its_last_share_and_worst_lag(run_dir: Path) -> None:
    head = "actor,host,env_step,env_steps,share,lag_steps,lag_s,policy_age_s\n"
    (run_dir / "actors.csv").write_text(
        head + "a0,here,10,10,1,0,0.01,0.5\na1,there,20,5,0.25,30,2.5,\na0,here,20,15,0.75,3,0.03,1.5\na1,there,40,1"
    )
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", actor_table(read_run(run_dir)))
    assert cells == [
        *("a0", "here", "15", "75%", "3", "20 ms / 30 ms", "1.0 s / 1.5 s"),
        *("a1", "there", "5", "25%", "30", "2.5 s / 2.5 s", "–"),  # noqa: RUF001
    ]


def test_lateness_is_shown_for_actors_in_real_time(run_dir: Path) -> None:
    rows = (
        "actor,host,env_step,env_steps,share,lag_steps,lag_s,policy_age_s,late_p50_ms,late_p99_ms,late_worst_ms,missed",
        "a0,here,10,10,1,0,0.01,0.5,0.2,3,9,1",
        "a0,here,20,20,1,0,0.01,0.5,0.25,4.1,12,3",
        "a1,there,20,5,0.2,0,0.01,0.5,,,,",
    )
    (run_dir / "actors.csv").write_text("\n".join(rows) + "\n")
    page = actor_table(read_run(run_dir))
    assert "late p50 / p99 / worst" in page
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", page)
    assert cells[7:9] == ["0.2 / 4.1 / 12.0 ms", "3"] and cells[16:18] == ["–", "–"]  # noqa: RUF001


def test_the_episode_log_of_all_actors_is_counted(run_dir: Path) -> None:
    assert "Episode log" not in write_report(run_dir, video=False).read_text()
    for actor in ("a0", "a1"):
        (run_dir / "episodes" / actor).mkdir(parents=True)
        (run_dir / "episodes" / actor / "000000.mcap").write_bytes(bytes(600_000))
    assert "2 files, 1.2 MB" in write_report(run_dir, video=False).read_text()


def test_says_what_the_policy_looked_at(run_dir: Path) -> None:
    with (run_dir / "config.yaml").open("a", encoding="utf-8") as file:
        file.write("pictures: {cameras: [wrist, side], encoder: 'resnet10:FILE'}\n")
    info = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps({**info, "views": {"encoder": "0123456789abcdef"}}))
    html = read_page(write_report(run_dir))
    assert "learnt from pictures of wrist, side through resnet10:FILE (0123456789abcdef)" in html
