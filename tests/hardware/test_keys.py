"""From bytes to keys, and how long a key counts as down."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from robot_rl.hardware.keyboard.decode import ESCAPE_S, MOST_AT_ONCE, PASTE_S, Decoder
from robot_rl.hardware.keyboard.holds import HoldConfig, Holds
from robot_rl.hardware.keyboard.table import USE_OF
from tests.hardware.keystrokes import sent_by

keys = st.sampled_from(sorted(set(USE_OF) - {"escape"}))


@given(st.lists(keys, max_size=MOST_AT_ONCE), st.data())
def test_pieces_of_any_size_give_the_same_keys(typed: list[str], data: st.DataObject) -> None:
    stream = b"".join(sent_by(key) for key in typed)
    decoder, found = Decoder(), []
    while stream:
        n = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:n])
        stream = stream[n:]
    assert found == typed
    assert Decoder().settle(ESCAPE_S) == []


@given(st.lists(st.binary(max_size=30), max_size=10), st.lists(keys, max_size=MOST_AT_ONCE))
@example([b"\x1b[200~", b"\x1b["], ["w"])
@example([b"\xf0\x9f", b"\x1b"], ["up"])
def test_whatever_came_before_the_keys_after_it_are_understood(noise: list[bytes], typed: list[str]) -> None:
    """A silence ends sequences and pastes that were never finished."""
    decoder = Decoder()
    for piece in noise:
        decoder.feed(piece)
    decoder.settle(PASTE_S)
    decoder.feed(b"\n")  # ends a character that was begun
    assert [k for key in typed for k in decoder.feed(sent_by(key))] == typed


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\x1bw", ["unknown"]),  # Alt-w is not w
        (b"\x1b[[Aw", ["unknown", "w"]),  # F1 of the Linux console
        (b"\x1b[15~\x1b[200", ["unknown"]),
        (b"\x1b[3~\x1b[H\x1bOF", ["delete", "home", "end of line"]),
        (b"\x1b[\x01W", ["unknown", "ctrl-a", "w"]),
        ("aéñ".encode(), ["a", "unknown", "unknown"]),
        (b"\x08\r", ["backspace", "enter"]),
        (b"w1x0q", []),  # no hand presses five keys at once
        (b"wwwwwwwwww", ["w"] * 10),
    ],
)
def test_decoder(data: bytes, found: list[str]) -> None:
    assert Decoder().feed(data) == found


def test_a_lone_escape_is_a_key_after_a_moment() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.settle(0.0) == []
    assert decoder.settle(ESCAPE_S) == ["escape"]
    assert decoder.settle(ESCAPE_S) == []


@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.sampled_from("ab"), st.booleans()), max_size=40))
def test_no_key_stays_down_longer_than_it_may(history: list[tuple[float, str, bool]]) -> None:
    config, t_s, heard_s = HoldConfig(), 0.0, {}
    holds = Holds(config)
    for passed_s, key, once in history:
        t_s += passed_s
        down = set(holds.down(t_s))
        assert holds.hear(key, t_s, once=once) == (key not in down)
        heard_s[key] = t_s
        assert key in holds.down(t_s)
        assert all(t_s - heard_s[k] < config.first_s for k in holds.down(t_s))
    holds.release("ab")
    assert holds.down(t_s) == []
