"""What people say about episodes later: appended, never lost, and followed by everything that reads episodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.data.catalog import describe
from robot_rl.data.demos import load_demos
from robot_rl.data.episode_log import EpisodeWriter, read_episode
from robot_rl.data.labels import LABELS_FILE, OUTCOMES, Label, apply_label, read_labels, write_label
from robot_rl.data.replay import ReplayBuffer
from robot_rl.data.rewards import RewardWeights, episode_returns
from robot_rl.data.thin import Rule, choose, copy_chosen
from tests.data.episodes import META, SPEC, TASK, episode, same


def label(outcome: str, number: int = 0, version: int = 1) -> Label:
    return Label(f"episode-{number}", outcome, "me", 1.0, version)


def write_episode(folder: Path, number: int, *, terminated: bool) -> Path:
    path = folder / f"{number:06d}.mcap"
    with EpisodeWriter(path, META) as writer:
        for record in episode(number, 4, terminated=terminated):
            writer.append(record)
    return path


def test_a_missed_success_becomes_one() -> None:
    records = apply_label(episode(0, 4), label("success"))
    assert [r.rewards["success"] for r in records] == [0.0, 0.0, 0.0, 1.0]
    assert (records[-1].terminated, records[-1].truncated, records[-1].stop_reason) == (True, False, "success")
    assert {r.reward_version for r in records} == {1}


def test_a_false_success_loses_its_reward_and_its_value_goes_on() -> None:
    records = apply_label(episode(0, 4, terminated=True), label("failure"))
    assert sum(r.rewards["success"] for r in records) == 0.0
    assert (records[-1].terminated, records[-1].truncated, records[-1].stop_reason) == (False, True, "failure")


def test_what_the_clock_ended_stays_a_time_out_when_it_is_called_a_failure() -> None:
    last = apply_label(episode(0, 4), label("failure"))[-1]
    assert (last.terminated, last.truncated, last.stop_reason) == (False, True, "time_out")


@pytest.mark.parametrize(("outcome", "terminated"), [("failure", True), ("unknown", False)])
def test_hopeless_stays_hopeless_unless_nobody_knows(outcome: str, terminated: bool) -> None:
    records = episode(0, 4, terminated=True)
    records[-1] = apply_label(records, label("failure"))[-1]
    object.__setattr__(records[-1], "terminated", True)
    object.__setattr__(records[-1], "truncated", False)
    last = apply_label(records, label(outcome))[-1]
    assert (last.terminated, last.stop_reason) == (terminated, outcome)


@given(st.sampled_from(OUTCOMES), st.booleans(), st.booleans(), st.integers(1, 6))
def test_labelling_changes_outcome_and_nothing_else(outcome: str, terminated: bool, ended: bool, steps: int) -> None:
    before = episode(0, steps, terminated=terminated and ended, ended=ended)
    kept = episode(0, steps, terminated=terminated and ended, ended=ended)
    after = apply_label(before, label(outcome, version=3))
    assert all(same(a, b) for a, b in zip(before, kept, strict=True)), "the given records stay"
    if outcome == "recorded" or not ended:
        assert all(same(a, b) for a, b in zip(before, after, strict=True))
        return
    for record in after:
        record.validate()
        assert record.reward_version == 3
    free = {"rewards", "reward_version", "terminated", "truncated", "stop_reason"}
    for a, b in zip(before, after, strict=True):
        assert all(vars(a)[name] is vars(b)[name] or vars(a)[name] == vars(b)[name] for name in vars(a).keys() - free)
        assert {k: v for k, v in a.rewards.items() if k != "success"} == {
            k: v for k, v in b.rewards.items() if k != "success"
        }
    assert apply_label(after, label(outcome, version=3))[-1].stop_reason == after[-1].stop_reason


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(OUTCOMES)), max_size=12))
def test_the_newest_label_counts_and_none_is_lost(said: list[tuple[int, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, outcome in said:
            write_label(folder, f"episode-{number}", outcome, "tëst")
        found = read_labels(folder)
        assert {i: found[f"episode-{i}"].outcome for i in dict(said)} == dict(said)
        for number in dict(said):
            assert found[f"episode-{number}"].version == sum(n == number for n, _ in said)
        if said:
            assert len((folder / LABELS_FILE).read_text().splitlines()) == len(said)


@given(st.integers(0, 400))
def test_a_line_cut_anywhere_loses_only_itself(cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_label(folder, "episode-0", "success", "me")
        whole = (folder / LABELS_FILE).read_bytes()
        write_label(folder, "episode-1", "failure", "me")
        both = (folder / LABELS_FILE).read_bytes()
        (folder / LABELS_FILE).write_bytes(both[: max(len(whole), len(both) - 1 - cut)])
        assert set(read_labels(folder)) == {"episode-0"}
        write_label(folder, "episode-2", "unknown", "me")
        assert {i: v.outcome for i, v in read_labels(folder).items() if i != "episode-1"} == {
            "episode-0": "success",
            "episode-2": "unknown",
        }


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    write_label(tmp_path, "episode-0", "success", "me")
    with (tmp_path / LABELS_FILE).open("a") as file:
        file.write('{"format": 99, "episode_id": "episode-1"}\n')
    with pytest.raises(DataError, match=r"line 2 of .*labels\.jsonl"):
        read_labels(tmp_path)


@pytest.mark.parametrize(
    ("episode_id", "outcome", "by"), [("e", "sucess", "me"), ("", "success", "me"), ("e", "success", "")]
)
def test_what_is_refused_leaves_no_file(tmp_path: Path, episode_id: str, outcome: str, by: str) -> None:
    with pytest.raises(DataError):
        write_label(tmp_path, episode_id, outcome, by)
    assert not (tmp_path / LABELS_FILE).exists()


SAY = """
import sys
from pathlib import Path
from robot_rl.data.labels import write_label
for k in range(20):
    write_label(Path(sys.argv[1]), f"episode-{k}", "success", sys.argv[2])
"""


def test_two_programs_that_label_at_once_lose_nothing(tmp_path: Path) -> None:
    others = [subprocess.Popen([sys.executable, "-c", SAY, str(tmp_path), f"p{k}"]) for k in range(3)]
    assert [other.wait() for other in others] == [0, 0, 0]
    found = read_labels(tmp_path)
    assert {v.version for v in found.values()} == {3}
    assert len(found) == 20


def test_every_reader_follows_the_label_and_the_file_stays_as_it_is(tmp_path: Path) -> None:
    path = write_episode(tmp_path, 0, terminated=False)
    before = path.read_bytes()
    write_label(tmp_path, "episode-0", "success", "me")
    assert path.read_bytes() == before
    assert read_episode(path).success and not read_episode(path, labels=False).success
    entry = describe(path)
    assert (entry.success, entry.outcome, entry.label) == (True, "success", "success")
    demo = load_demos(tmp_path, SPEC, TASK)[0]
    replay = ReplayBuffer(SPEC, 100, pinned=100)
    replay.add_demos([demo])
    returns = episode_returns(demo, RewardWeights(process=0.0, force_penalty=0.0), 0.5)
    assert returns.tolist() == [0.125, 0.25, 0.5, 1.0]
    write_label(tmp_path, "episode-0", "recorded", "me")
    assert not read_episode(path).success and describe(path).label == ""


def test_a_smaller_copy_keeps_the_labels(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(2):
        write_episode(source, number, terminated=False)
    write_label(source, "episode-1", "success", "me")
    rule = Rule(successes_only=True)
    choice = choose([describe(p) for p in sorted(source.glob("*.mcap"))], rule)
    copy_chosen(choice, tmp_path / "out", rule)
    assert [p.name for p in (tmp_path / "out").glob("*.mcap")] == ["000001.mcap"]
    assert read_episode(tmp_path / "out" / "000001.mcap").success
