"""The gate as a truth table, and what holds for every sequence of looks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.rewards.gate import Bound, GateSpec, GateState, Look, advance, run_gate, veto

SPEC = GateSpec(on=0.8, off=0.4, k_on=3, k_off=2, min_looks=0, max_gap_s=0.25)


def looks(*values: float | None, dt_s: float = 0.1, **readings: float) -> list[Look]:
    return [
        Look((), 0.1 + k * dt_s, readings) if p is None else Look((p,), 0.1 + k * dt_s, readings)
        for k, p in enumerate(values)
    ]


def said(spec: GateSpec, some: list[Look]) -> str:
    return "".join("#" if state.success else "." for state in run_gate(spec, some))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.9, 0.9, 0.9), "..#"),
        ((0.9, 0.9, 0.7, 0.9, 0.9, 0.9), ".....#"),
        ((0.8, 0.8, 0.8), "..#"),
        ((0.79, 0.79, 0.79, 0.79), "...."),
        ((0.9, 0.9, 0.9, 0.5, 0.5, 0.5), "..####"),
        ((0.9, 0.9, 0.9, 0.3, 0.5, 0.3), "..####"),
        ((0.9, 0.9, 0.9, 0.3, 0.3, 0.9), "..##.."),
        ((0.9, 0.9, None, 0.9, 0.9, 0.9), ".....#"),
        ((0.9, 0.9, 0.9, None, 0.9), "..#.."),
        ((0.9, math.nan, 0.9, 0.9, 0.9), "....#"),
    ],
    ids=["in a row", "interrupted", "at the threshold", "below it", "between keeps", "one below keeps", "two take back",
         "abstains", "abstaining takes back", "not a number abstains"],
)  # fmt: skip
def test_truth_table(values: tuple[float | None, ...], expected: str) -> None:
    assert said(SPEC, looks(*values)) == expected


def test_a_gap_begins_anew() -> None:
    some = looks(0.9, 0.9)
    late = [Look((0.9,), 0.2 + 0.3 + 0.1 * k, {}) for k in range(3)]
    assert said(SPEC, some + late) == "....#"
    assert run_gate(SPEC, some + late)[2].reason == "gap"


def test_time_that_does_not_pass_is_a_gap() -> None:
    assert said(SPEC, [Look((0.9,), 1.0, {})] * 5) == "....."


def test_nothing_is_a_success_before_the_least_number_of_looks() -> None:
    spec = GateSpec(on=0.8, off=0.4, k_on=2, min_looks=4)
    states = run_gate(spec, looks(*[0.9] * 6))
    assert [s.success for s in states] == [False] * 4 + [True] * 2
    assert states[0].reason == "early"


def test_the_least_convinced_view_decides() -> None:
    some = [Look((0.99, 0.2), 0.1 * k + 0.1, {}) for k in range(5)]
    assert said(SPEC, some) == "....."


def test_a_reading_that_does_not_fit_speaks_against() -> None:
    spec = GateSpec(on=0.8, off=0.4, k_on=2, require=(Bound("gripper_width_m", 0.03, 0.05),))
    assert said(spec, looks(0.9, 0.9, 0.9, gripper_width_m=0.04)) == ".##"
    open_hand = looks(0.9, 0.9, 0.9, gripper_width_m=0.08)
    assert said(spec, open_hand) == "..."
    assert run_gate(spec, open_hand)[0].reason == "gripper_width_m"


def test_a_reading_that_is_not_there_is_named() -> None:
    spec = GateSpec(require=(Bound("gripper_width_m", 0.03, 0.05),))
    with pytest.raises(DataError, match="wants the reading 'gripper_width_m', there are tcp_z_m"):
        run_gate(spec, looks(0.9, tcp_z_m=0.1))


def test_a_veto_holds_until_the_looks_agree() -> None:
    state = GateState()
    for look in looks(0.9, 0.9, 0.9):
        state = advance(SPEC, state, look)
    assert state.success
    state, seen = veto(state), []
    for k, p in enumerate((0.9, 0.9, 0.9, 0.3, 0.3, 0.9, 0.9, 0.9)):
        state = advance(SPEC, state, Look((p,), 0.4 + 0.1 * k, {}))
        seen.append(state.success)
    assert seen == [False] * 7 + [True]


@pytest.mark.parametrize("wrong", [{"on": 0.3, "off": 0.5}, {"on": 1.2}, {"k_on": 0}, {"max_gap_s": 0.0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="a gate needs"):
        GateSpec(**wrong)  # type: ignore[arg-type]


def test_a_gate_survives_its_file() -> None:
    spec = GateSpec(0.9, 0.2, 5, 3, 7, 0.5, (Bound("tcp_z_m", 0.1, 0.4),))
    assert GateSpec.from_dict(spec.to_dict()) == spec
    with pytest.raises(DataError, match="not a gate"):
        GateSpec.from_dict({"on": 0.5})


PROBABILITY = st.one_of(st.none(), st.floats(0.0, 1.0))
SPECS = st.builds(
    lambda a, b, k_on, k_off, least: GateSpec(max(a, b), min(a, b), k_on, k_off, least),
    st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(1, 5), st.integers(1, 4), st.integers(0, 6),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(SPECS, st.lists(PROBABILITY, max_size=30))
def test_success_needs_its_row(spec: GateSpec, values: list[float | None]) -> None:
    """Whenever the gate opens, the last `k_on` looks reached the threshold."""
    states = run_gate(spec, looks(*values))
    for k, state in enumerate(states):
        opened = state.success and not (k and states[k - 1].success)
        if opened:
            row = values[k - spec.k_on + 1 : k + 1]
            assert len(row) == spec.k_on and all(p is not None and p >= spec.on for p in row)
            assert k + 1 > spec.min_looks


@settings(max_examples=100, deadline=None)
@given(SPECS, st.lists(PROBABILITY, max_size=30), st.integers(0, 30))
def test_what_was_said_does_not_depend_on_what_comes_later(
    spec: GateSpec, values: list[float | None], cut: int
) -> None:
    assert run_gate(spec, looks(*values))[:cut] == run_gate(spec, looks(*values[:cut]))
