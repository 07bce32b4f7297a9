"""The step that is not final yet survives its process, exactly once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from robot_rl.core.errors import StorageError
from robot_rl.data.codec import pack_record, unpack_record
from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.runtime.actor.held import HeldStep
from robot_rl.runtime.actor.spool import Spool
from robot_rl.runtime.episode_files import EpisodeSink
from robot_rl.runtime.transport.stream import place_of
from tests.runtime.fakes import ACTIONS, SPEC, record, stream


def open_spool(root: Path) -> Spool:
    spool = Spool(root, "run", "a0", min_free_bytes=0)
    spool.write_to(EpisodeSink(spool.folder, EpisodeMeta("Point", SPEC, ACTIONS)))
    return spool


def places(spool: Spool) -> list[tuple[int, int]]:
    return [place_of(unpack_record(data)) for _, data in spool.read_after(None)]


def test_what_is_held_comes_back_bit_for_bit(tmp_path: Path) -> None:
    with closing(HeldStep(tmp_path / "held")) as held:
        assert held.get() is None
        for r in stream([3]):
            held.put(r)
            got = held.get()
            assert got is not None and pack_record(got) == pack_record(r)
        held.put(None)
        assert held.get() is None


def test_a_step_cut_off_or_damaged_is_none(tmp_path: Path) -> None:
    with closing(HeldStep(tmp_path / "held")) as held:
        held.put(record(0, 0))
        whole = (tmp_path / "held").read_bytes()
        for cut in range(len(whole)):
            (tmp_path / "held").write_bytes(whole[:cut])
            assert held.get() is None
            (tmp_path / "held").write_bytes(whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut + 1 :])
            assert held.get() is None


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_a_successor_logs_what_its_predecessor_held(tmp_path: Path, steps: int) -> None:
    first = open_spool(tmp_path)
    for r in stream([2]):
        first.append(r)
    for step in range(steps):
        first.append(record(1, step))
    first.hold(record(1, steps))
    first.close()  # as if killed: nothing says that the step held is final
    for _ in range(2):  # it is logged once, however often successors die
        with closing(open_spool(tmp_path)) as second:
            assert places(second) == [(0, 0), (0, 1), *[(1, s) for s in range(steps + 1)]]
            assert second.last == (1, steps) and second.next_episode == 2
            assert second.steps_after((0, 1)) == steps + 1


def test_a_step_that_was_logged_is_not_logged_again(tmp_path: Path) -> None:
    first = open_spool(tmp_path)
    for step in range(3):
        first.hold(record(0, step))
        first.append(record(0, step))
    first.close()
    with closing(open_spool(tmp_path)) as second:
        assert places(second) == [(0, 0), (0, 1), (0, 2)]


def test_a_folder_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot open .*: No such file or directory"):
        HeldStep(tmp_path / "gone" / "held")
