"""Configuration: strict in keys, types and ranges; back and forth without loss; a clear order of precedence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.config import Range, check_ranges, from_dict, merge, read_yaml, to_dict, write_yaml
from robot_rl.core.errors import ConfigError


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Inner:
    rate_hz: Annotated[float, Range(1.0, 1000.0)] = 10.0
    name: str = "wrist"
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Outer:
    count: Annotated[int, Range(0)] = 1
    flag: bool = False
    mode: Literal["slow", "fast"] = "slow"
    hidden: tuple[int, ...] = (2, 3)
    options: dict[str, bool | int | float | str] = field(default_factory=dict)
    path: Path | None = None
    colour: Colour = Colour.RED
    inner: Inner = field(default_factory=Inner)


outers = st.builds(
    Outer,
    count=st.integers(0, 10**9),
    flag=st.booleans(),
    mode=st.sampled_from(["slow", "fast"]),
    hidden=st.lists(st.integers()).map(tuple),
    options=st.dictionaries(
        st.text(st.characters(codec="ascii"), max_size=5),
        st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(categories=["L", "N"])),
    ),
    path=st.none() | st.just(Path("a/b")),
    colour=st.sampled_from(Colour),
    inner=st.builds(
        Inner,
        rate_hz=st.floats(1, 1000),
        name=st.text(st.characters(categories=["L", "N", "P"])),
        limits=st.none() | st.tuples(st.floats(-1, 0), st.floats(1, 2)),
    ),
)


@given(outers)
def test_plain_data_is_lossless(config: Outer) -> None:
    assert from_dict(Outer, to_dict(config)) == config


@given(config=outers)
def test_yaml_is_lossless(tmp_path_factory: pytest.TempPathFactory, config: Outer) -> None:
    path = tmp_path_factory.mktemp("yaml") / "c.yaml"
    write_yaml(config, path)
    assert from_dict(Outer, read_yaml(path)) == config


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"coutn": 1}, "unknown configuration key 'coutn': did you mean 'count'?"),
        ({"inner": {"rate": 1}}, "unknown configuration key 'inner.rate': did you mean 'inner.rate_hz'?"),
        ({"count": 1.5}, "count is 1.5 (float), expected a whole number"),
        ({"count": True}, "count is True (bool), expected a whole number"),
        ({"count": "3"}, "count is '3' (str), expected a whole number"),
        ({"count": -1}, "count is -1, expected at least 0"),
        ({"inner": {"rate_hz": 0.5}}, "inner.rate_hz is 0.5, expected between 1 and 1000"),
        ({"inner": {"rate_hz": float("nan")}}, "inner.rate_hz is nan (float), expected a number"),
        ({"inner": 3}, "inner is 3, expected a mapping"),
        ({"flag": 1}, "flag is 1 (int), expected true or false"),
        ({"mode": "fsat"}, "unknown value for mode 'fsat': did you mean 'fast'? Available: fast, slow"),
        ({"hidden": 3}, "hidden is 3 (int), expected a list"),
        ({"hidden": [1, "x"]}, "hidden[1] is 'x' (str), expected a whole number"),
        ({"inner": {"limits": [1]}}, "inner.limits is [1] (list), expected a list of 2 values"),
        ({"options": {"a": [1]}}, "options.a is [1] (list), expected "),
        ({"path": 3}, "path is 3 (int), expected a path"),
        ({"colour": "rad"}, "unknown value for colour 'rad': did you mean 'red'? Available: blue, red"),
        ([1], "Outer is [1], expected a mapping"),
    ],
)
def test_every_mistake_says_what_was_allowed(data: Any, message: str) -> None:
    with pytest.raises(ConfigError) as e:
        from_dict(Outer, data)
    assert str(e.value).startswith(message)


def test_a_required_value_must_be_there() -> None:
    @dataclass(frozen=True)
    class Needs:
        task: str

    Needs.__annotations__["task"] = str
    with pytest.raises(ConfigError, match="lacks a value for task"):
        from_dict(Needs, {})


def test_merging_keeps_what_is_not_named() -> None:
    base = Outer(count=5, inner=Inner(rate_hz=20.0, name="side"))
    merged = merge(base, {"inner": {"rate_hz": 30}, "flag": True})
    assert merged == Outer(count=5, flag=True, inner=Inner(rate_hz=30.0, name="side"))
    assert base.inner.rate_hz == 20.0


def test_ranges_hold_for_direct_construction_too() -> None:
    with pytest.raises(ConfigError, match=r"Inner\.rate_hz is 0\.0, expected between 1 and 1000"):
        Inner(rate_hz=0.0)


def test_a_whole_number_becomes_a_float_and_nothing_else_is_converted() -> None:
    got = from_dict(Outer, {"inner": {"rate_hz": 20}, "options": {"a": 1, "b": True, "c": "1", "d": 1.0}})
    assert isinstance(got.inner.rate_hz, float)
    assert [type(v) for v in got.options.values()] == [int, bool, str, float]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not valid YAML"),
        ("a: 1\na: 2", "key 'a' appears twice"),
        ("- 1", "holds a list, expected a mapping"),
        ("1: 2", "is not a string"),
        ("a: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_broken_yaml_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as e:
        read_yaml(path)
    assert "\n" not in str(e.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none\.yaml"):
        read_yaml(tmp_path / "none.yaml")


def test_3e_4_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("a: 3e-4\nb: 1.5e3\nc: text\nd:\n")
    assert read_yaml(path) == {"a": 3e-4, "b": 1500.0, "c": "text", "d": None}
    path.write_text("")
    assert read_yaml(path) == {}
