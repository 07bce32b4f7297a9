"""The published pickle becomes a weight file: the same numbers, nothing executed, nothing else accepted.

The published file is not at hand; these are pickles that the real JAX writes of a tree of the same names and shapes.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.cli.main import main
from robot_rl.core.errors import DataError, StorageError
from robot_rl.vision.frozen import read_weights
from robot_rl.vision.resnet10_weights import SHAPES, convert_pickle
from tests.data.exchange.pickles import write_pickle

jnp = pytest.importorskip("jax.numpy")


class Touch:
    """Pickles as a call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def nested(arrays: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *folders, last = name.split("/")
        inner = tree
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[last] = array
    return tree


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in SHAPES.items()}


def as_published(weights: dict[str, np.ndarray]) -> dict[str, Any]:
    tree = nested({name: jnp.asarray(array) for name, array in weights.items()})
    return tree | {"output_head": {"kernel": jnp.zeros((512, 1000)), "bias": jnp.zeros(1000)}}


def test_the_same_numbers_come_out(
    weights: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pickle = write_pickle(tmp_path / "params.pkl", as_published(weights))
    file = tmp_path / "made" / "resnet10.safetensors"
    assert main(["data", "convert-encoder", str(pickle), "--to", str(file)]) == 0
    written = read_weights(file, SHAPES)
    assert written.keys() == weights.keys()
    assert all(np.array_equal(written[name], weights[name]) for name in weights)
    assert [p.name for p in file.parent.iterdir()] == [file.name]
    said = capsys.readouterr().out
    assert "4,905,792 weights, output_head/bias, output_head/kernel left out" in said
    assert hashlib.sha256(pickle.read_bytes()).hexdigest() in said
    assert "not the published file" in said
    assert f"resnet10:{file}" in said


def test_the_encoder_takes_the_file(weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from robot_rl.vision.frozen import open_encoder
    from robot_rl.vision.resnet10 import resnet10_encoder

    frozen = pytest.importorskip("flax.core").FrozenDict
    pickle = write_pickle(tmp_path / "params.pkl", frozen(as_published(weights)), 3)
    file = tmp_path / "resnet10.safetensors"
    assert convert_pickle(pickle, file).numbers == 4_905_792
    assert open_encoder(f"resnet10:{file}").checksum == resnet10_encoder(weights).checksum


def test_where_it_cannot_be_written_is_said(weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    pickle, file = write_pickle(tmp_path / "params.pkl", nested(dict(weights))), tmp_path / "resnet10.safetensors"
    file.write_bytes(b"old")
    with pytest.raises(DataError, match="exists already"):
        convert_pickle(pickle, file)
    assert file.read_bytes() == b"old"
    with pytest.raises(StorageError, match="cannot write"):
        convert_pickle(pickle, pickle / "below.safetensors")


BENT = {
    "another shape": ({"norm_init": {"scale": np.zeros(3, np.float32)}}, r"holds \[3\] as 'norm_init/scale', expected"),
    "an array too many": ({"pool": np.zeros(2, np.float32)}, r"holds \[2\] as 'pool', expected nothing"),
    "no array": ({"norm_init": "text"}, "holds a str as 'norm_init', expected nested dictionaries"),
    "not finite": ({"norm_init": {"scale": np.full(64, np.nan, np.float32)}}, "not finite"),
}


@pytest.mark.parametrize("case", BENT)
def test_another_tree_is_one_sentence(case: str, weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    change, says = BENT[case]
    tree = nested(dict(weights))
    for name, value in change.items():
        tree[name] = {**tree[name], **value} if isinstance(value, dict) else value
    with pytest.raises(DataError, match=says):
        convert_pickle(write_pickle(tmp_path / "params.pkl", tree), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_list_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds a list as a whole"):
        convert_pickle(write_pickle(tmp_path / "params.pkl", [1]), tmp_path / "out.safetensors")


def test_a_pickle_that_acts_is_refused(
    weights: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = {**as_published(weights), "output_head": {"kernel": Touch(tmp_path / "canary")}}
    pickle = write_pickle(tmp_path / "params.pkl", tree)
    assert main(["data", "convert-encoder", str(pickle), "--to", str(tmp_path / "out.safetensors")]) == 2
    assert "nothing in it was executed" in capsys.readouterr().err
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "out.safetensors").exists()
