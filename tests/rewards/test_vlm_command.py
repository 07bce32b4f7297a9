"""``robot-rl reward vlm`` on recorded files and a generated backbone, and what else then works with the models."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.cli.main import main
from robot_rl.data.relabels import read_relabels
from robot_rl.rewards.model_file import read_info
from tests.rewards.recordings import record_many
from tests.rewards.tiny_clip import write_backbone

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("vlm")
    return record_many(root / "episodes", 12), write_backbone(root / "backbone")


def vlm(made: tuple[Path, Path], verb: str, out: Path, *more: str) -> int:
    data, backbone = made
    command = ["reward", "vlm", verb, str(data), "--backbone", str(backbone), "--out", str(out), "--cameras", "side"]
    return main([*command, "--settle-s", "0", *more])


def test_words_make_a_progress_score(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--goal", "a square on the right", "the square has arrived", "--baseline", "a square on the left"]
    assert vlm(made, "text", tmp_path / "m", *words) == 0
    assert "a score only: it ends no episode" in capsys.readouterr().out
    info = read_info(tmp_path / "m")
    assert info.settings["goal"] == ["a square on the right", "the square has arrived"]
    assert info.task == "Reach"
    assert main(["reward", "relabel", str(made[0]), "--model", str(tmp_path / "m"), "--name", "words"]) == 0
    relabels = read_relabels(made[0], "words")
    assert relabels.component == "progress"
    assert all(((v > 0) & (v < 1)).all() for v in relabels.values.values())


def test_pictures_of_the_goal_and_a_head(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert vlm(made, "goal", tmp_path / "goal", "--alpha", "1") == 0
    assert read_info(tmp_path / "goal").card["auc"]["side"] > 0.6
    assert vlm(made, "head", tmp_path / "head", "--target-fpr", "0.1", "--k-on", "1") == 0
    info = read_info(tmp_path / "head")
    assert (info.kind, info.gate.k_on) == ("clip_head", 1)
    assert main(["reward", "relabel", str(made[0]), "--model", str(tmp_path / "head"), "--name", "head"]) == 0
    assert read_relabels(made[0], "head").component == "success"


def test_what_is_missing_is_said(made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vlm(made, "text", tmp_path / "m", "--goal", "done") == 2
    assert "so does its baseline" in capsys.readouterr().err
    assert vlm((made[0], tmp_path), "head", tmp_path / "m") == 2
    assert "holds no open_clip_config.json" in capsys.readouterr().err
    assert vlm(made, "lora", tmp_path / "m") == 2
    assert "at least 300 labelled frames" in capsys.readouterr().err
    assert vlm(made, "heads", tmp_path / "m") == 2
    assert "did you mean 'head'" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
