"""The learner's log takes every step once, in order, and knows where it stood whatever happened to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.episode_log import EpisodeMeta, read_episode
from robot_rl.data.labels import LABELS_FILE, write_label
from robot_rl.runtime.episode_files import episode_files
from robot_rl.runtime.learner.archive import Archive
from robot_rl.runtime.learner.rebuild import from_plain, rebuild, to_plain
from robot_rl.runtime.transport.stream import place_of
from tests.runtime.fakes import ACTIONS, SPEC, record, stream


def make_archive(folder: Path) -> Archive:
    return Archive(folder, "run", lambda actor, number: EpisodeMeta("Point", SPEC, ACTIONS, run_id="run"))


def reopened(folder: Path) -> tuple[Archive, list[StepRecord]]:
    archive = make_archive(folder)
    return archive, list(archive.load())


def fill(folder: Path, records: list[StepRecord]) -> Archive:
    archive = make_archive(folder)
    for r in records:
        assert archive.append(r)
    return archive


def key(r: StepRecord) -> tuple[str, int]:
    return r.episode_id, r.step_index


def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    records = [*stream([3, 4, 2], "run-a0"), *stream([2, 5], "run-b.1")]
    fill(tmp_path, records).close()
    archive, read = reopened(tmp_path)
    assert Counter(map(key, read)) == Counter(map(key, records))
    assert archive.cursors == {"a0": (2, 1), "b.1": (1, 4)}
    assert archive.lengths == {"a0": {0: 3, 1: 4, 2: 2}, "b.1": {0: 2, 1: 5}}
    assert (archive.steps_of("a0"), archive.steps_of("b.1"), archive.steps_of("c")) == (9, 7, 0)
    assert [p.name for p in sorted((tmp_path / "a0").iterdir())] == ["000000.mcap", "000001.mcap", "000002.mcap"]


def test_known_places_are_ignored_and_gaps_refused(tmp_path: Path) -> None:
    archive = fill(tmp_path, [*stream([3]), record(1, 0), record(1, 1)])
    assert not any(archive.append(r) for r in [*stream([3]), record(1, 0), record(1, 1)])
    for bad in (record(1, 3), record(2, 1), record(3, 7)):
        with pytest.raises(DataError, match=r"does not follow \(1, 1\)"):
            archive.append(bad)
    assert archive.append(record(1, 2)) and archive.append(record(5, 0))
    assert archive.cursors == {"a0": (5, 0)}
    archive.close()


def test_nothing_follows_an_episode_that_has_ended(tmp_path: Path) -> None:
    archive = fill(tmp_path, stream([3]))
    with pytest.raises(DataError, match="does not follow"):
        archive.append(record(0, 3))


@pytest.mark.parametrize("name", ["other-a0", "run", "run-../x", "run-", "run--"])
def test_episodes_of_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="as those of this run are"):
        make_archive(tmp_path).append(record(0, 0, prefix=name))
    assert not list(tmp_path.iterdir())


def test_an_invalid_record_leaves_no_trace(tmp_path: Path) -> None:
    archive = make_archive(tmp_path)
    with pytest.raises(DataError, match="task 'Other'"):
        archive.append(replace(record(0, 0), task="Other"))
    assert archive.cursors == {} and archive.append(record(0, 0))
    with pytest.raises(DataError, match="task 'Other'"):
        archive.append(replace(record(0, 1), task="Other"))
    assert archive.append(record(0, 1)) and archive.cursors == {"a0": (0, 1)}
    archive.close()


def test_every_step_appended_is_with_the_operating_system(tmp_path: Path) -> None:
    archive = make_archive(tmp_path)
    for n, r in enumerate(stream([4, 3]), start=1):
        archive.append(r)
        found = sum(len(read_episode(p, strict=False).records) for p in episode_files(tmp_path / "a0").values())
        assert found == n, "also without a last call of close or flush"
    archive.close()


def test_a_cut_episode_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    records = stream([3, 6])
    fill(tmp_path, records[:6])  # not closed, as after kill -9
    archive, read = reopened(tmp_path)
    assert len(read) == 6 and archive.cursors == {"a0": (1, 2)}
    for r in records[6:]:
        assert archive.append(r)
    assert sorted(p.name for p in (tmp_path / "a0").iterdir()) == ["000000.mcap", "000001.mcap"]
    assert Counter(map(key, reopened(tmp_path)[1])) == Counter(map(key, records))


def test_a_cut_episode_that_never_goes_on_keeps_its_steps(tmp_path: Path) -> None:
    fill(tmp_path, stream([3, 6])[:6])
    archive, _ = reopened(tmp_path)
    assert archive.append(record(2, 0))
    archive.close()
    again, read = reopened(tmp_path)
    assert len(read) == 7 and again.lengths == {"a0": {0: 3, 1: 3, 2: 1}}


def test_an_episode_whose_writer_died_before_naming_it_is_finished(tmp_path: Path) -> None:
    fill(tmp_path, stream([3, 4]))
    whole = tmp_path / "a0" / "000001.mcap"
    data = whole.read_bytes()
    whole.unlink()
    # cut behind the last step, in the summary
    whole.with_name(whole.name + ".partial").write_bytes(data[:-20])
    archive, read = reopened(tmp_path)
    assert len(read) == 7 and archive.cursors == {"a0": (1, 3)} and whole.is_file()
    assert archive.append(record(2, 0))
    archive.close()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_log_cut_at_any_byte_yields_a_prefix_and_takes_the_rest_again(data: st.DataObject) -> None:
    records = stream([2, 5])
    with TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, records[:6])
        file = folder / "a0" / "000001.mcap.partial"
        content = file.read_bytes()
        file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        archive, read = reopened(folder)
        assert [key(r) for r in read] == [key(r) for r in records[: len(read)]]
        assert archive.cursors["a0"] == place_of(records[len(read) - 1])
        assert [archive.append(r) for r in records] == [False] * len(read) + [True] * (7 - len(read))
        assert [key(r) for r in reopened(folder)[1]] == [key(r) for r in records]


def damage(path: Path) -> None:
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[:third] + bytes(third) + content[2 * third :])


def run_rebuild(folder: Path, account: dict, **options: object) -> tuple[list[StepRecord], list[StepRecord], Archive]:
    known, new = list[StepRecord](), list[StepRecord]()
    archive = make_archive(folder)
    rebuild(archive, account, known=known.append, new=new.append, **options)
    return known, new, archive


def test_steps_are_told_apart_by_what_the_checkpoint_was_made_with(tmp_path: Path) -> None:
    fill(tmp_path, [*stream([3, 4], "run-a0"), *stream([5], "run-a1"), *stream([2], "run-a2")]).close()
    known, new, _ = run_rebuild(tmp_path, {"a0": {0: 3, 1: 2}, "a1": {0: 5}})
    assert Counter(map(key, known)) == Counter(map(key, [*stream([3, 4], "run-a0")[:5], *stream([5], "run-a1")]))
    assert Counter(map(key, new)) == Counter(map(key, [*stream([3, 4], "run-a0")[5:], *stream([2], "run-a2")]))


def lose_a_file(folder: Path) -> None:
    (folder / "a0" / "000001.mcap").unlink()


def lose_an_actor(folder: Path) -> None:
    for path in (folder / "a0").iterdir():
        path.unlink()


def overwrite_a_part(folder: Path) -> None:
    damage(folder / "a0" / "000001.mcap")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lose_a_file, r"a0/000001\.mcap yields 0 of 4 steps; put back"),
        (lose_an_actor, r"a0/000000\.mcap yields 0 of 3 steps, and 1 more episodes are short"),
        (overwrite_a_part, r"a0/000001\.mcap yields [0-3] of 4 steps"),
    ],
)
def test_what_the_checkpoint_had_must_be_there(tmp_path: Path, harm: Callable[[Path], None], says: str) -> None:
    fill(tmp_path, stream([3, 4, 2])).close()
    harm(tmp_path)
    account = {"a0": {0: 3, 1: 4}}
    with pytest.raises(DataError, match=says):
        run_rebuild(tmp_path, account)
    said = list[str]()
    known, _, _ = run_rebuild(tmp_path, account, accept_loss=True, report=said.append)
    assert len(known) < 7 and len(said) == 1


def test_a_damaged_file_newer_than_the_checkpoint_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    fill(tmp_path, stream([3, 4, 2])).close()
    damage(tmp_path / "a0" / "000001.mcap")
    with pytest.raises(DataError, match=r"000001\.mcap is damaged, [0-3] complete steps of it can be read"):
        run_rebuild(tmp_path, {"a0": {0: 3}})


def test_episodes_to_be_repeated_are_removed(tmp_path: Path) -> None:
    fill(tmp_path, stream([3, 4, 2])).close()
    archive, _ = reopened(tmp_path)
    assert archive.drop_after({"a0": (0, 2)}) == 6
    assert archive.cursors == {"a0": (0, 2)} and archive.steps_of("a0") == 3
    assert [archive.append(r) for r in stream([3, 4])] == [False] * 3 + [True] * 4


@given(
    st.dictionaries(
        st.text("abc019-_.", min_size=1, max_size=5),
        st.dictionaries(st.integers(0, 10**6), st.integers(1, 10**4), max_size=5),
        max_size=4,
    )
)
def test_the_account_of_a_checkpoint_comes_back(lengths: dict[str, dict[int, int]]) -> None:
    assert from_plain(to_plain(lengths)) == lengths


def test_an_account_that_is_none_is_refused() -> None:
    for bad in ([], {"a0": 3}, {"a0": [[1]]}, {"a0": [["x", 1]]}):
        with pytest.raises(DataError, match="account of episodes cannot be read"):
            from_plain(bad)  # type: ignore[arg-type]


def test_a_run_that_goes_on_learns_what_people_said_meanwhile(tmp_path: Path) -> None:
    fill(tmp_path, stream([3, 2])).close()
    files = {p: p.read_bytes() for p in tmp_path.rglob("*.mcap")}
    write_label(tmp_path / "a0", "run-a0-000000", "failure", "me")
    _, read = reopened(tmp_path)
    ends = [r for r in read if r.last]
    assert [(r.rewards["success"], r.terminated, r.truncated) for r in ends] == [(0.0, False, True), (1.0, True, False)]
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.mcap")} == files


def test_labels_that_cannot_be_read_stop_the_load_and_cost_no_step(tmp_path: Path) -> None:
    fill(tmp_path, [*stream([3]), record(1, 0)]).close()
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.mcap*")}
    (tmp_path / "a0" / LABELS_FILE).write_text("not a label\n")
    with pytest.raises(DataError, match=r"line 1 of .*labels\.jsonl"):
        reopened(tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.mcap*")} == before
