"""A cut file is taken up after its last complete step, and nothing of it is lost on the way."""

from pathlib import Path

import pytest

from robot_rl.core.errors import DataError, StorageError
from robot_rl.core.transition import StepRecord
from robot_rl.data.episode_log import EpisodeWriter, continue_episode, read_episode
from robot_rl.data.episode_writer import DAMAGED, REWRITE
from tests.data.episodes import META, episode, same

RECORDS = episode(1, 4, images=True)


@pytest.fixture(scope="module")
def steps_at(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[int]]:
    """A whole file and where each step is complete."""
    sizes = []
    with EpisodeWriter(tmp_path_factory.mktemp("whole") / "1.mcap", META) as writer:
        for record in RECORDS:
            writer.append(record)
            sizes.append(writer.partial_path.stat().st_size)
    return writer.path.read_bytes(), sizes


def go_on(partial: Path) -> list[StepRecord]:
    """Take the file up, append what is missing, and read the result."""
    with continue_episode(partial, META) as writer:
        assert writer.ended == (writer.steps == len(RECORDS))
        assert writer.last is None if writer.steps == 0 else writer.last.step_index == writer.steps - 1
        for record in RECORDS[writer.steps :]:
            writer.append(record)
    assert sorted(p.name for p in partial.parent.iterdir()) == ["1.mcap"]
    episode_read = read_episode(partial.parent / "1.mcap")
    assert episode_read.meta == META
    return list(episode_read.records)


def test_a_file_cut_anywhere_goes_on(tmp_path: Path, steps_at: tuple[bytes, list[int]]) -> None:
    whole, sizes = steps_at
    partial = tmp_path / "1.mcap.partial"
    at = {*range(0, len(whole), 97), 0, len(whole), *(s + d for s in sizes for d in (-1, 0, 1))}
    for size in sorted(at):
        partial.write_bytes(whole[:size])
        records = go_on(partial)
        assert all(same(a, b) for a, b in zip(RECORDS, records, strict=True))
        (tmp_path / "1.mcap").unlink()


def test_an_episode_left_open_in_order_goes_on(tmp_path: Path) -> None:
    with EpisodeWriter(tmp_path / "1.mcap", META) as writer:
        for record in RECORDS[:2]:
            writer.append(record)
    assert all(same(a, b) for a, b in zip(RECORDS, go_on(writer.partial_path), strict=True))


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path, steps_at: tuple[bytes, list[int]]) -> None:
    whole, sizes = steps_at
    partial = tmp_path / "1.mcap.partial"
    partial.write_bytes(whole[: sizes[1] + 5])
    # what a crash in the middle of an earlier attempt leaves behind
    (tmp_path / f"1.mcap.partial{REWRITE}").write_bytes(whole[:50])
    assert len(go_on(partial)) == 4


def test_the_bytes_after_a_fault_are_kept_beside(tmp_path: Path, steps_at: tuple[bytes, list[int]]) -> None:
    whole, sizes = steps_at
    damaged = bytearray(whole[: sizes[3]])
    damaged[sizes[0] + 200] ^= 1
    partial = tmp_path / "1.mcap.partial"
    partial.write_bytes(damaged)
    writer = continue_episode(partial)
    assert writer.steps == 1
    writer.close()
    assert (tmp_path / f"1.mcap.partial{DAMAGED}").read_bytes() == damaged


def test_without_a_header_the_meta_has_to_be_given(tmp_path: Path, steps_at: tuple[bytes, list[int]]) -> None:
    partial = tmp_path / "1.mcap.partial"
    partial.write_bytes(steps_at[0][:40])
    with pytest.raises(DataError, match="ends before its header"):
        continue_episode(partial)
    with continue_episode(partial, META) as writer:
        assert writer.steps == 0
    assert not list(tmp_path.iterdir())


def test_a_damaged_header_with_steps_behind_it_is_not_overwritten(
    tmp_path: Path, steps_at: tuple[bytes, list[int]]
) -> None:
    damaged = bytearray(steps_at[0])
    damaged[8 + 5] ^= 64  # the length of the first record
    partial = tmp_path / "1.mcap.partial"
    partial.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged episode header"):
        continue_episode(partial, META)
    assert partial.read_bytes() == damaged


def test_only_unfinished_files_are_taken_up(tmp_path: Path, steps_at: tuple[bytes, list[int]]) -> None:
    (tmp_path / "1.mcap").write_bytes(steps_at[0])
    with pytest.raises(DataError, match=r"must end in \.mcap\.partial"):
        continue_episode(tmp_path / "1.mcap")
    with pytest.raises(DataError, match="cannot read"):
        continue_episode(tmp_path / "2.mcap.partial")
    (tmp_path / "1.mcap.partial").write_bytes(steps_at[0])
    with pytest.raises(DataError, match="exists already"):
        continue_episode(tmp_path / "1.mcap.partial")


def test_a_folder_in_the_way_is_one_sentence(tmp_path: Path, steps_at: tuple[bytes, list[int]]) -> None:
    partial = tmp_path / "1.mcap.partial"
    partial.write_bytes(steps_at[0])
    (tmp_path / f"1.mcap.partial{REWRITE}").mkdir()
    with pytest.raises(StorageError, match="stays as it was: Is a directory"):
        continue_episode(partial)
    assert partial.read_bytes() == steps_at[0]
