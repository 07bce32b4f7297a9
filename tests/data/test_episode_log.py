"""An episode file is bit-exact, survives a cut at any byte, and never lies about being whole."""

import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from robot_rl.core.errors import DataError
from robot_rl.data.episode_log import EpisodeWriter, read_episode, read_meta, recover
from tests.data.episodes import META, SPEC, episode, same

ANY_PATH = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, records: list) -> list[int]:
    """Write an episode and return the size of the file after each step."""
    sizes = []
    with EpisodeWriter(path, META) as writer:
        for record in records:
            writer.append(record)
            sizes.append(writer.partial_path.stat().st_size)
    return sizes


def test_round_trip_is_bit_identical(tmp_path: Path) -> None:
    records = episode(1, 4, terminated=True, interventions=[1, 2], images=True)
    write(tmp_path / "a" / "1.mcap", records)
    read = read_episode(tmp_path / "a" / "1.mcap")
    assert read.complete and read.success
    assert read.meta == META
    assert len(read.records) == 4
    assert all(same(a, b) for a, b in zip(records, read.records, strict=True))
    assert not list(tmp_path.rglob("*.partial"))


def test_other_mcap_readers_understand_the_file(tmp_path: Path) -> None:
    write(tmp_path / "1.mcap", episode(1, 3))
    with open(tmp_path / "1.mcap", "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        messages = list(reader.iter_messages())
        summary = reader.get_summary()
    assert [channel.message_encoding for _, channel, _ in messages] == ["msgpack"] * 3
    assert [message.sequence for _, _, message in messages] == [0, 1, 2]
    assert all(schema is not None and schema.encoding == "jsonschema" for schema, _, _ in messages)
    assert summary is not None and {index.compression for index in summary.chunk_indexes} == {"zstd"}


def test_a_file_cut_anywhere_yields_every_complete_step(tmp_path: Path) -> None:
    records = episode(2, 4, images=True)
    path = tmp_path / "2.mcap"
    sizes = write(path, records)
    whole = path.read_bytes()
    cut = tmp_path / "cut.mcap"
    first_readable = None
    for size in (*range(0, len(whole), 13), len(whole) - 1):
        cut.write_bytes(whole[:size])
        try:
            read = read_episode(cut, strict=False)
        except DataError:
            assert first_readable is None and size < sizes[0], "the header is readable, so steps must be"
            continue
        first_readable = first_readable or size
        assert not read.complete
        at_least = sum(s <= size for s in sizes)
        # a chunk is followed by its index: with the index cut the step is complete all the same
        assert at_least <= len(read.records) <= at_least + 1
        assert all(same(a, b) for a, b in zip(records, read.records, strict=False))
    assert first_readable is not None


@ANY_PATH
@given(st.data())
def test_a_damaged_file_never_yields_a_wrong_step(tmp_path: Path, data: st.DataObject) -> None:
    records = episode(3, 3)
    path = tmp_path / "3.mcap"
    if not path.exists():
        write(path, records)
    bad = bytearray(path.read_bytes())
    bad[data.draw(st.integers(0, len(bad) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(bad)
    try:
        read = read_episode(broken, strict=False)
    except DataError:
        return
    assert all(same(a, b) for a, b in zip(records, read.records, strict=False))
    assert len(read.records) == 3 or not read.complete


def test_strict_reading_says_how_many_steps_are_left_and_how_to_get_them(tmp_path: Path) -> None:
    path = tmp_path / "4.mcap"
    sizes = write(path, episode(4, 5))
    path.write_bytes(path.read_bytes()[: sizes[2] + 3])
    with pytest.raises(DataError, match="3 complete steps .*recover") as e:
        read_episode(path)
    assert "\n" not in str(e.value)


def test_recover_makes_a_whole_episode(tmp_path: Path) -> None:
    records = episode(5, 5)
    path = tmp_path / "5.mcap"
    sizes = write(path, records)
    (tmp_path / "5.mcap.partial").write_bytes(path.read_bytes()[: sizes[3]])
    fixed = recover(tmp_path / "5.mcap.partial")
    assert fixed.path == tmp_path / "5.recovered.mcap"
    assert fixed.complete and fixed.meta == META
    assert all(same(a, b) for a, b in zip(records[:2], fixed.records[:2], strict=True))
    end = fixed.records[2]
    assert (end.truncated, end.terminated, end.stop_reason) == (True, False, "recovered")
    assert end.final_obs is not None and (end.final_obs.state == records[3].obs.state).all()


def test_recover_keeps_an_episode_that_has_its_last_step(tmp_path: Path) -> None:
    records = episode(6, 3, terminated=True)
    path = tmp_path / "6.mcap"
    sizes = write(path, records)
    path.write_bytes(path.read_bytes()[: sizes[-1]])
    fixed = recover(path, tmp_path / "fixed.mcap")
    assert all(same(a, b) for a, b in zip(records, fixed.records, strict=True))


def test_recover_needs_two_steps(tmp_path: Path) -> None:
    path = tmp_path / "7.mcap"
    sizes = write(path, episode(7, 3))
    path.write_bytes(path.read_bytes()[: sizes[0]])
    with pytest.raises(DataError, match="1 complete steps"):
        recover(path)


def test_the_name_is_given_when_the_episode_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "8.mcap"
    writer = EpisodeWriter(path, META)
    records = episode(8, 3)
    for record in records:
        assert not path.exists() and writer.partial_path.exists()
        writer.append(record)
    writer.close()
    writer.close()
    assert path.exists() and not writer.partial_path.exists()


def test_an_unfinished_episode_keeps_its_partial_name(tmp_path: Path) -> None:
    records = episode(9, 4, ended=False)
    write(tmp_path / "9.mcap", records)
    assert not (tmp_path / "9.mcap").exists()
    with pytest.raises(DataError, match="never ended"):
        read_episode(tmp_path / "9.mcap.partial")
    read = read_episode(tmp_path / "9.mcap.partial", strict=False)
    assert len(read.records) == 4 and not read.complete


def test_an_empty_episode_leaves_no_file(tmp_path: Path) -> None:
    write(tmp_path / "10.mcap", [])
    assert not list(tmp_path.iterdir())


def test_only_the_next_step_of_the_same_episode_is_taken(tmp_path: Path) -> None:
    records = episode(11, 3)
    with EpisodeWriter(tmp_path / "11.mcap", META) as writer:
        with pytest.raises(DataError, match="got step 1 .* expected step 0"):
            writer.append(records[1])
        writer.append(records[0])
        with pytest.raises(DataError, match="expected step 1 of episode 'episode-11'"):
            writer.append(episode(12, 2)[1])
        writer.append(records[1])
        writer.append(records[2])
        with pytest.raises(DataError, match="ended with step 2"):
            writer.append(records[2])
    with pytest.raises(DataError, match="closed"):
        writer.append(records[2])
    assert len(read_episode(tmp_path / "11.mcap").records) == 3


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "12.mcap", episode(12, 2))
    with pytest.raises(DataError, match="exists already"):
        EpisodeWriter(tmp_path / "12.mcap", META)


def test_a_full_disk_is_one_sentence_and_keeps_the_steps_before(tmp_path: Path) -> None:
    records = episode(13, 8)
    writer = EpisodeWriter(tmp_path / "13.mcap", META)
    writer.append(records[0])
    writer.append(records[1])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (writer.partial_path.stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(DataError, match="cannot write .* the 2 steps before are kept"):
            writer.append(records[2])
        writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    read = read_episode(writer.partial_path, strict=False)
    assert len(read.records) == 2 and all(same(a, b) for a, b in zip(records, read.records, strict=False))


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        EpisodeWriter(tmp_path / "file" / "1.mcap", META)


@pytest.mark.parametrize("content", [b"", b"hello, this is no episode"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mcap").write_bytes(content)
    with pytest.raises(DataError, match="not an episode file"):
        read_episode(tmp_path / "x.mcap", strict=False)
    with pytest.raises(DataError, match="cannot read"):
        read_episode(tmp_path / "absent.mcap")
    with pytest.raises(DataError, match="must end in .mcap"):
        EpisodeWriter(tmp_path / "x.bag", META)


def test_the_header_is_readable_alone(tmp_path: Path) -> None:
    write(tmp_path / "14.mcap", episode(14, 2))
    meta = read_meta(tmp_path / "14.mcap")
    assert meta.state_spec == SPEC and meta.seed == 3 and "numpy" in meta.versions
