"""No tap is lost, and none is told twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from robot_rl.hardware.presses import Presses

names = st.frozensets(st.sampled_from("abc"))


@given(st.lists(names | st.none(), max_size=40))
def test_taken_is_what_is_down_or_went_down(history: list[frozenset[str] | None]) -> None:
    """None stands for a reading."""
    presses, held, since = Presses(), frozenset[str](), frozenset[str]()
    for now in history:
        if now is None:
            assert presses.take() == held | since
            since = frozenset()
        else:
            presses.update(now)
            held, since = now, since | (now - held)
        assert presses.held == held


def test_a_tap() -> None:
    presses = Presses()
    presses.update({"success"})
    presses.update(())
    assert presses.held == frozenset()
    assert presses.take() == {"success"}
    assert presses.take() == frozenset()
