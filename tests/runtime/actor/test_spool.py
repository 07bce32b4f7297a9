"""The spool: on disk before it is sent, gone once it is confirmed, bounded, for one process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from robot_rl.core.errors import ConfigError, StorageError
from robot_rl.data.codec import unpack_record
from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.runtime.actor.spool import Spool, default_spool
from robot_rl.runtime.episode_files import EpisodeSink, episode_files
from robot_rl.runtime.transport.stream import place_of
from tests.runtime.fakes import ACTIONS, SPEC, record, stream


def open_spool(root: Path, **limits: float) -> Spool:
    spool = Spool(root, "run", "a0", min_free_bytes=limits.pop("min_free_bytes", 0), **limits)
    spool.write_to(EpisodeSink(spool.folder, EpisodeMeta("Point", SPEC, ACTIONS)))
    return spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(open_spool(tmp_path)) as s:
        yield s


def places(spool: Spool, cursor: tuple[int, int] | None) -> list[tuple[int, int]]:
    found = list(spool.read_after(cursor))
    assert all(place_of(unpack_record(data)) == place for place, data in found)
    return [place for place, _ in found]


def test_what_is_written_can_be_read_at_once_from_any_place(spool: Spool) -> None:
    records = stream([3, 2, 4])[:-1]
    for i, r in enumerate(records):
        spool.append(r)
        assert places(spool, None) == [place_of(r) for r in records[: i + 1]]
    assert places(spool, (0, 1)) == [place_of(r) for r in records[2:]]
    assert places(spool, (1, 1)) == [(2, 0), (2, 1), (2, 2)]
    assert places(spool, (9, 0)) == []


def test_confirmed_episodes_go_and_the_running_one_stays(spool: Spool) -> None:
    for r in stream([3, 2, 4])[:-1]:
        spool.append(r)
    spool.acknowledge(None)
    spool.acknowledge((0, 1))
    assert list(episode_files(spool.folder)) == [0, 1, 2]
    spool.acknowledge((0, 2))
    assert list(episode_files(spool.folder)) == [1, 2]
    spool.acknowledge((2, 2))
    assert list(episode_files(spool.folder)) == [2], "the running episode stays, however much of it is confirmed"
    spool.append(record(2, 3, last=True))
    spool.acknowledge((2, 3))
    assert spool.size_bytes() == 0 and not episode_files(spool.folder)


def test_a_successor_finds_what_was_left(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as first:
        assert (first.last, first.next_episode, first.steps_after(None)) == (None, 0, 0)
        for r in stream([3, 5])[:-1]:
            first.append(r)
    with closing(open_spool(tmp_path)) as second:
        assert (second.last, second.next_episode) == ((1, 3), 2)
        assert [second.steps_after(c) for c in (None, (0, 1), (0, 2), (1, 0), (1, 3))] == [7, 5, 4, 3, 0]
        assert places(second, (0, 2)) == [(1, s) for s in range(4)]
        second.acknowledge((1, 3))
        assert not episode_files(second.folder), "the unfinished episode of a predecessor will not go on"
        assert second.steps_after((0, 2)) == 4, "what was found is a fact"


def test_a_file_cut_anywhere_yields_its_complete_steps(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as first:
        for r in stream([6]):
            first.append(r)
    (path,) = episode_files(first.folder).values()
    data, partial = path.read_bytes(), path.with_name(path.name + ".partial")
    path.unlink()
    seen = set()
    for cut in range(0, len(data), 97):
        partial.write_bytes(data[:cut])
        with closing(open_spool(tmp_path)) as spool:
            steps = spool.steps_after(None)
            assert places(spool, None) == [(0, s) for s in range(steps)]
            assert partial.exists() == (steps > 0 or bool(spool.problems))
            seen.add(steps)
    assert seen >= {0, 1, 3, 5}


def test_a_damaged_file_is_named_and_kept(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path)) as first:
        for r in stream([6, 2]):
            first.append(r)
    path = episode_files(first.folder)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with closing(open_spool(tmp_path)) as spool:
        assert path.exists() and spool.next_episode == 2 and spool.last == (1, 1)
        assert len(spool.problems) == 1 and str(path) in spool.problems[0]
        assert places(spool, None)[-2:] == [(1, 0), (1, 1)]


def test_no_new_episode_when_the_limit_is_reached_or_the_disk_is_nearly_full(tmp_path: Path) -> None:
    with closing(open_spool(tmp_path, limit_bytes=20_000)) as spool:
        assert spool.objection() == ""
        for number in range(40):
            for s in range(3):
                spool.append(record(number, s, last=s == 2))
        assert spool.size_bytes() > 20_000
        assert "its limit is 0.0 GB" in spool.objection()
        spool.acknowledge((38, 2))
        assert spool.objection() == ""
    with closing(open_spool(tmp_path, min_free_bytes=1e18)) as spool:
        assert "GB left" in spool.objection()


def test_a_vanished_folder_is_an_error(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for path in spool.folder.iterdir():
        path.unlink()
    spool.folder.rmdir()
    with pytest.raises(StorageError, match="is gone"):
        spool.objection()
    spool.close()


def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the spool"):
        open_spool(tmp_path / "file")


def test_one_process_for_each_actor(tmp_path: Path, spool: Spool) -> None:
    code = f"""
from pathlib import Path
from robot_rl.runtime.actor.spool import Spool
Spool(Path({str(tmp_path)!r}), "run", "a1").close()
Spool(Path({str(tmp_path)!r}), "run", "a0")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigError: process" in done.stderr and "is the actor a0 and fills" in done.stderr
    with pytest.raises(ConfigError, match="is the actor a0"):
        open_spool(tmp_path)
    spool.close()
    open_spool(tmp_path).close()


def test_the_default_place_follows_the_desktop_convention(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_spool() == tmp_path / "robot_rl" / "spool"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    assert default_spool() == Path.home() / ".local/state/robot_rl/spool"
