"""A model in a folder: whole, or refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.rewards.gate import GateSpec
from robot_rl.rewards.model_file import INFO, WEIGHTS, ModelInfo, Scorer, load_reward_model, read_info, write_model
from tests.rewards.bright import bright_arrays, bright_info, bright_model, picture


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write_model(tmp_path / "m", bright_info(), bright_arrays(("side",)))
    scorer = load_reward_model(tmp_path / "m")
    assert isinstance(scorer, Scorer)
    assert scorer.info == written == ModelInfo.from_dict(json.loads((tmp_path / "m" / INFO).read_text()))
    p = scorer.score({"side": np.stack([picture(0.3), picture(0.7)])})["side"]
    assert p[0] < 0.01 and p[1] > 0.99


def test_a_model_that_replaces_another_counts_on(tmp_path: Path) -> None:
    assert [read_info(bright_model(tmp_path)).version for _ in range(3)] == [1, 2, 3]


def test_the_checksum_names_what_decides(tmp_path: Path) -> None:
    info = read_info(bright_model(tmp_path))
    judged = replace(info, evaluation={"held_out": True}, version=7)
    assert judged.checksum == info.checksum, "having been looked at changes nothing"
    assert replace(info, gate=GateSpec(on=0.9)).checksum != info.checksum
    assert replace(info, weights="0" * 16).checksum != info.checksum


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no reward model at .*robot-rl reward train"):
        load_reward_model(tmp_path)


def test_missing_weights(tmp_path: Path) -> None:
    bright_model(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(DataError, match="weights of the reward model are missing"):
        load_reward_model(tmp_path)


def test_weights_of_another_model(tmp_path: Path) -> None:
    bright_model(tmp_path)
    blob = bytearray((tmp_path / WEIGHTS).read_bytes())
    blob[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(blob)
    with pytest.raises(DataError, match="does not hold the weights"):
        load_reward_model(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("format", 99, "format 99"),
        ("gate", {"on": 3}, "not a gate"),
        ("cameras", {"side": {}}, "not a reward model"),
        ("home_base_tcp", [1.0], "expected 7"),
    ],
)
def test_a_spoilt_description(tmp_path: Path, key: str, value: object, match: str) -> None:
    bright_model(tmp_path)
    data = json.loads((tmp_path / INFO).read_text())
    (tmp_path / INFO).write_text(json.dumps({**data, key: value}))
    with pytest.raises(DataError, match=match):
        load_reward_model(tmp_path)


def test_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="kind of reward model"):
        load_reward_model(bright_model(tmp_path, kind="oracle"))


def test_a_camera_without_weights(tmp_path: Path) -> None:
    write_model(tmp_path, bright_info(("side", "wrist")), bright_arrays(("side",)))
    with pytest.raises(DataError, match="no weights for the cameras wrist"):
        load_reward_model(tmp_path)


def test_pictures_that_do_not_fit(tmp_path: Path) -> None:
    scorer = load_reward_model(bright_model(tmp_path, ("side", "wrist")))
    good = picture(0.5)[None]
    with pytest.raises(DataError, match="needs the cameras wrist; there are side"):
        scorer.score({"side": good})
    with pytest.raises(DataError, match=r"pictures of wrist are uint8\[1, 12, 32, 3\].*made for uint8\[N, 24, 32, 3\]"):
        scorer.score({"side": good, "wrist": good[:, ::2]})
