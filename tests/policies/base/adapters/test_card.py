"""The card of a foreign checkpoint: what is declared is taken to the letter, everything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ACTION_NAMES
from robot_rl.policies.base.adapters.card import ActionMap, read_card, write_card
from tests.policies.base.adapters.foreign import CARD, PLAIN_CARD


@pytest.mark.parametrize("card", [CARD, PLAIN_CARD])
def test_round_trip(tmp_path: Path, card: Any) -> None:
    write_card(tmp_path / "c.json", card)
    assert read_card(tmp_path / "c.json") == card


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("action", "joints", "expected \"ours\""),
        ("action", {"dims": ["x"]}, "nothing about scale"),
        ("action", {"dims": ["x"], "scale": [0.0]}, "other than 0"),
        ("action", {"dims": ["x", "x"], "scale": [1, 1]}, "each once"),
        ("action", {"dims": ["grip"], "scale": [1]}, "unknown action dimension 'grip'"),
        ("action", {"dims": ["x"], "scale": ["1"]}, "numbers"),
        ("inputs", {"s": ["tcp_positon"]}, "did you mean 'tcp_position'"),
        ("inputs", {"s": []}, "no part"),
        ("inputs", {}, None),
        ("cameras", {"wrist": {"input": "observation.state", "shape": [6, 8, 3]}}, "twice"),
        ("cameras", {"wrist": {"input": "i", "shape": [6, 8]}}, "shape"),
        ("cameras", {"wrist": {"input": "i", "shape": [6, 8, 1]}}, r"\[h, w, 3\]"),
        ("horizon", 0, "expected 1"),
        ("horizon", "4", "horizon"),
        ("horizon", True, "horizon"),
        ("hz", -1, "positive"),
        ("noise_shape", [4], "noise_shape"),
        ("noise_shape", [0, 4], "noise"),
        ("schema", 2, "schema"),
        ("state", [{"name": "tcp_position", "size": 3}], "state"),
        ("state_checksum", "0" * 16, "state_checksum"),
        ("frame", "base", "unknown key of card 'frame'"),
    ],
)  # fmt: skip
def test_what_is_not_declared_is_refused(tmp_path: Path, key: str, value: object, message: str | None) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**CARD.to_json(), key: value}))
    if message is None:
        assert read_card(path).inputs == {}  # a policy may look at pictures alone
    else:
        with pytest.raises(ConfigError, match=message):
            read_card(path)


@pytest.mark.parametrize("key", sorted(CARD.to_json()))
def test_nothing_may_be_left_out(tmp_path: Path, key: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({k: v for k, v in CARD.to_json().items() if k != key}))
    with pytest.raises(ConfigError, match=key):
        read_card(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"ours"'])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ConfigError):
        read_card(tmp_path / "c.json")


@given(
    st.permutations(ACTION_NAMES).flatmap(
        lambda names: st.integers(1, 7).flatmap(
            lambda n: st.tuples(
                st.just(tuple(names[:n])),
                st.lists(st.floats(0.01, 10).flatmap(lambda s: st.sampled_from([s, -s])), min_size=n, max_size=n),
            )
        )
    ),
    st.integers(0, 2**31),
)
def test_scale_is_full_deflection(dims_and_scale: tuple[tuple[str, ...], list[float]], seed: int) -> None:
    """Ours times scale are theirs, dimension by dimension; what is out of reach is cut, what they have not is 0."""
    dims, scale = dims_and_scale
    ours = np.random.default_rng(seed).uniform(-1.5, 1.5, (3, 7)).astype(np.float32)
    at = [ACTION_NAMES.index(name) for name in dims]
    found = ActionMap(dims, tuple(scale)).ours(ours[:, at] * np.asarray(scale, np.float32))
    expected = np.zeros((3, 7), np.float32)
    expected[:, at] = ours[:, at].clip(-1, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_actions_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match="correct the card"):
        CARD.action.ours(np.zeros((2, 3, 7), np.float32))
