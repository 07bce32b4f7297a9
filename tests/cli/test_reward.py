"""The verbs of ``robot-rl reward`` from films to an audit, on states and written-down weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.cli.main import main
from robot_rl.rewards.model_file import read_info
from robot_rl.rewards.spans import read_spans


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reward", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("collect", "train", "evaluate", "audit", "mine", "relabel"))
    assert main(["reward", "polish"]) == 2
    assert "verb of robot-rl reward" in capsys.readouterr().err


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reward", "audit", str(tmp_path), str(tmp_path)]) == 2
    assert "there is no reward model at" in capsys.readouterr().err
    assert main(["reward", "train", str(tmp_path), "--out", str(tmp_path / "m")]) == 2
    assert "holds no .mcap file" in capsys.readouterr().err


@pytest.mark.gl
@pytest.mark.slow
def test_the_whole_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Film, train, audit, mine: the mined frames are the ones that the audit complains of."""
    film, model, mined = tmp_path / "film", tmp_path / "model", tmp_path / "mined"
    tail = ["--cameras", "side", "--image-size", "64"]
    assert main(["reward", "collect", "PickCube", "--out", str(film), "--success-frames", "60", *tail]) == 0
    small = ["--size", "48", "--members", "1", "--fit.updates", "60", "--target-fpr", "0.05"]
    assert main(["reward", "train", str(film), "--out", str(model), *small]) == 0
    assert list(read_info(model).cameras) == ["side"]
    assert main(["reward", "audit", str(model), str(film)]) == 1, "it has seen these episodes"
    assert "were trained on" in capsys.readouterr().out
    page = (model / "audit.html").read_text()
    assert "Broken and disturbed cameras" in page
    assert main(["reward", "mine", str(film), "--model", str(model), "--out", str(mined), "--least", "0"]) == 0
    assert read_spans(mined), "with no bar every frame without success is a hard negative"
    assert main(["reward", "train", str(film), str(mined), "--out", str(model), *small]) == 0
    assert read_info(model).version == 2
