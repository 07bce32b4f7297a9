"""The page: self-contained, truthful about what is missing, and never a reason to lose a run."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.evaluation.report import write_report
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


FILES = ("config.yaml", "run.json", "episodes.csv", "learner.csv", "evaluations.jsonl")


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
    (run_dir / "run.json").write_text(json.dumps(odd))
    (run_dir / "config.yaml").write_text("- a\n- list\n")
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


def test_an_interrupted_run_is_called_that(run_dir: Path) -> None:
    meta = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(
        json.dumps(meta | {"status": "interrupted", "end": None, "argv": ["/a/__main__.py", "x"]})
    )
    html = write_report(run_dir).read_text()
    assert "status: interrupted" in html and "the run was interrupted or still goes on" in html
    assert "<pre>robot-rl x</pre>" in html
