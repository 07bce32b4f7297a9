"""A thinned dataset holds whole episodes byte for byte, as many as the rule says, and a list of what was dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.data.catalog import Entry, describe, find_episodes
from robot_rl.data.thin import THINNED_FILE, Rule, choose, copy_chosen
from tests.data.episodes import episode
from tests.data.test_catalog import write

ENTRIES = st.lists(
    st.builds(
        Entry,
        path=st.just(Path("x")),
        bytes=st.integers(1, 10**9),
        whole=st.booleans(),
        steps=st.just(10),
        success=st.booleans(),
        interventions=st.sampled_from([0, 0, 3]),
    ),
    max_size=40,
).map(lambda rows: [Entry(**{**vars(e), "path": Path(f"{i:06d}.mcap")}) for i, e in enumerate(rows)])
RULES = st.builds(
    Rule,
    every=st.integers(1, 5),
    max_gb=st.none() | st.floats(0.01, 10.0),
    successes_only=st.booleans(),
    keep_interventions=st.booleans(),
)


def numbered(count: int, **changes: object) -> list[Entry]:
    base: dict[str, object] = {"bytes": 10**8, "whole": True, "steps": 10, "success": True}
    return [Entry(Path(f"{i:06d}.mcap"), **{**base, **changes}) for i in range(count)]  # type: ignore[arg-type]


def kept(entries: list[Entry], rule: Rule) -> list[int]:
    return [int(e.path.stem) for e in choose(entries, rule).kept]


@given(ENTRIES, RULES)
def test_every_rule_keeps_what_it_promises(entries: list[Entry], rule: Rule) -> None:
    choice = choose(entries, rule)
    assert sorted([*choice.kept, *(e for e, _ in choice.dropped)], key=lambda e: e.path) == entries
    assert all(e.whole for e in choice.kept)
    exempt = [e for e in entries if e.whole and e.interventions and rule.keep_interventions]
    assert not rule.successes_only or all(e.success or e in exempt for e in choice.kept)
    if rule.max_gb is not None:
        assert sum(e.bytes for e in choice.kept) <= 1e9 * rule.max_gb
    else:
        assert all(e in choice.kept for e in exempt)


def test_every_third_is_every_third() -> None:
    assert kept(numbered(8), Rule(every=3)) == [0, 3, 6]
    assert kept(numbered(8), Rule()) == list(range(8))


def test_a_size_is_met_by_dropping_evenly() -> None:
    assert kept(numbered(8), Rule(max_gb=0.45)) == [0, 2, 4, 6]
    assert kept(numbered(8), Rule(max_gb=0.25)) == [0, 4]


def test_interventions_stay_when_they_are_to_be_kept() -> None:
    entries = numbered(8)
    entries[5] = Entry(**{**vars(entries[5]), "interventions": 2, "success": False})
    assert kept(entries, Rule(every=4, successes_only=True)) == [0, 4]
    assert kept(entries, Rule(every=4, successes_only=True, keep_interventions=True)) == [0, 4, 5]
    assert kept(entries, Rule(max_gb=0.15, keep_interventions=True)) == [5]


def test_the_copy_is_exact_and_listed(tmp_path: Path) -> None:
    source = tmp_path / "data"
    for i in range(4):
        write(source / f"a{i % 2}" / f"{i:06d}.mcap", episode(i, 3, terminated=i != 2))
    write(source / "a0" / "000009.mcap", episode(9, 3, ended=False))
    before = {p: p.read_bytes() for p in source.rglob("*.mcap*")}
    rule = Rule(successes_only=True)
    listing = copy_chosen(choose([describe(p) for p in find_episodes(source)], rule), tmp_path / "out", rule)
    copied = find_episodes(tmp_path / "out")
    assert [str(p.relative_to(tmp_path / "out")) for p in copied] == [
        "a0/000000.mcap",
        "a1/000001.mcap",
        "a1/000003.mcap",
    ]
    assert all(p.read_bytes() == before[source / p.relative_to(tmp_path / "out")] for p in copied)
    assert {p: p.read_bytes() for p in source.rglob("*.mcap*")} == before
    said = json.loads(listing.read_text())
    assert listing.name == THINNED_FILE and said["source"] == str(source)
    assert said["dropped"] == {"a0/000002.mcap": "no success", "a0/000009.mcap.partial": "not whole"}


def test_nothing_is_overwritten_and_nothing_is_no_dataset(tmp_path: Path) -> None:
    (file,) = [describe(write(tmp_path / "in" / "000000.mcap", episode(0, 3)))]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    with pytest.raises(DataError, match="not an empty folder"):
        copy_chosen(choose([file], Rule()), tmp_path / "out", Rule())
    with pytest.raises(DataError, match="no episode is left"):
        copy_chosen(choose([file], Rule(successes_only=True)), tmp_path / "other", Rule(successes_only=True))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("wrong", [{"every": 0}, {"max_gb": 0.0}, {"max_gb": float("nan")}])
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Rule(**wrong)  # type: ignore[arg-type]
