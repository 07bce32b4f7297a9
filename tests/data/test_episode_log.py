"""An episode file is bit-exact, survives a cut at any byte, and never lies about being whole."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mcap.reader import make_reader

from robot_rl.core.errors import DataError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data import episode_meta, episode_writer
from robot_rl.data.episode_log import EpisodeWriter, read_episode, read_meta, recover
from robot_rl.data.rewards import COMPONENTS
from robot_rl.data.ros_messages import messages_for
from tests.data.episodes import META, SPEC, TASK, episode, same

ANY_PATH = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


PICTURE = np.zeros((3, 4, 3), np.uint8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ACTION = hnp.arrays(np.float32, 7, elements=st.floats(-1, 1, width=32))
STATE = hnp.arrays(np.float32, SPEC.size, elements=st.floats(allow_nan=False, allow_infinity=False, width=32))
PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(0, 3), st.just(3)))
IMAGES = st.dictionaries(st.from_regex(r"[A-Za-z]{1,3}(_[0-9]{1,2})?", fullmatch=True), PICTURES, max_size=3)
OBSERVATION = st.builds(Observation, STATE, IMAGES)


@st.composite
def records(draw: st.DrawFn, *, last: bool = False) -> StepRecord:
    """Any step of the test layout; the extremes of every field, signed zeros and denormals included."""
    terminated = last and draw(st.booleans())
    return StepRecord(
        episode_id="any",
        step_index=0,
        obs=draw(OBSERVATION),
        action_executed=draw(ACTION),
        action_policy=draw(ACTION),
        rewards=draw(st.dictionaries(st.sampled_from(COMPONENTS), FINITE)),
        terminated=terminated,
        truncated=last and not terminated,
        stop_reason=draw(st.text(max_size=8)),
        intervention=draw(st.booleans()),
        source=draw(st.sampled_from(Source)),
        policy_version=draw(st.integers(-(2**63), 2**63 - 1)),
        task=TASK,
        t_wall_s=draw(st.floats()),
        t_control_s=draw(FINITE),
        latency_ms=draw(FINITE),
        reward_version=draw(st.integers(0, 9)),
        final_obs=draw(OBSERVATION) if last else None,
        action_base=draw(st.none() | ACTION),
    )


def without_images(record: StepRecord) -> StepRecord:
    final = None if record.final_obs is None else replace(record.final_obs, images={})
    return replace(record, obs=replace(record.obs, images={}), final_obs=final)


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


@settings(max_examples=40, deadline=None)
@given(st.lists(records(), max_size=4), records(last=True))
def test_whatever_the_record_it_comes_back_to_the_bit(middle: list[StepRecord], last: StepRecord) -> None:
    steps = [replace(r, step_index=i) for i, r in enumerate([*middle, last])]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "1.mcap", steps)
        read = read_episode(Path(folder) / "1.mcap")
        blind = read_episode(Path(folder) / "1.mcap", images=False)
    assert len(read.records) == len(steps)
    assert all(same(a, b) for a, b in zip(steps, read.records, strict=True))
    assert all(same(without_images(a), b) for a, b in zip(steps, blind.records, strict=True))


def test_what_is_read_cannot_be_changed(tmp_path: Path) -> None:
    write(tmp_path / "1.mcap", episode(1, 2, images=True))
    step = read_episode(tmp_path / "1.mcap").records[0]
    for array in (step.obs.state, step.obs.images["side"], step.action_executed):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_whole_file_has_a_chunk_for_every_step_and_an_index(tmp_path: Path) -> None:
    write(tmp_path / "1.mcap", episode(1, 3))
    with open(tmp_path / "1.mcap", "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        steps = list(reader.iter_messages(topics=["/step"]))
        header, summary = reader.get_header(), reader.get_summary()
    assert header.profile == "ros2" and summary is not None
    assert [message.sequence for _, _, message in steps] == [0, 1, 2]
    assert [index.compression for index in summary.chunk_indexes] == ["zstd"] * 3
    assert {channel.message_encoding for channel in summary.channels.values()} == {"cdr"}
    assert {schema.encoding for schema in summary.schemas.values()} == {"ros2msg"}


def test_a_file_cut_anywhere_yields_every_complete_step(tmp_path: Path) -> None:
    records = episode(2, 3, images=True)
    path = tmp_path / "2.mcap"
    sizes = write(path, records)
    whole = path.read_bytes()
    cut = tmp_path / "cut.mcap"
    first_readable = None
    # what follows the last step is only an index
    for size in (*range(sizes[-1]), *range(sizes[-1], len(whole), 37), len(whole) - 1):
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
    records = episode(3, 3, images=True)
    path = tmp_path / "3.mcap"
    if not path.exists():
        write(path, records)
    bad = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(bad)
    try:
        read = read_episode(broken, strict=False)
    except DataError:
        return
    assert all(same(a, b) for a, b in zip(records, read.records, strict=False))
    assert read.meta == META
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


def test_an_episode_that_ends_while_its_folder_is_being_read_is_read_under_its_final_name(tmp_path: Path) -> None:
    write(tmp_path / "e.mcap", episode(7, 3))
    found = read_episode(tmp_path / "e.mcap.partial")
    assert found.path.name == "e.mcap" and len(found.records) == 3
    with pytest.raises(DataError, match="absent.mcap.partial"):
        read_episode(tmp_path / "absent.mcap.partial")


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


@pytest.mark.parametrize("content", [b"\x89MCAP1\r\n", b"hello, this is no episode"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mcap").write_bytes(content)
    with pytest.raises(DataError, match="not an episode file"):
        read_episode(tmp_path / "x.mcap", strict=False)
    with pytest.raises(DataError, match="cannot read"):
        read_episode(tmp_path / "absent.mcap")
    with pytest.raises(DataError, match="must end in .mcap"):
        EpisodeWriter(tmp_path / "x.bag", META)


def test_the_header_is_readable_alone(tmp_path: Path) -> None:
    sizes = write(tmp_path / "14.mcap", episode(14, 2))
    whole = (tmp_path / "14.mcap").read_bytes()
    # what follows the header is neither needed nor looked at
    (tmp_path / "front.mcap").write_bytes(whole[: sizes[0] // 2] + b"noise")
    for name in ("14.mcap", "front.mcap"):
        meta = read_meta(tmp_path / name)
        assert meta.state_spec == SPEC and meta.seed == 3 and "numpy" in meta.versions
    with pytest.raises(DataError, match="ends before its header"):
        (tmp_path / "cut.mcap").write_bytes(whole[:100])
        read_meta(tmp_path / "cut.mcap")


def test_another_format_is_refused_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_meta, "FORMAT", "1")
    write(tmp_path / "15.mcap", episode(15, 2))
    monkeypatch.undo()
    for read in (read_episode, read_meta):
        with pytest.raises(DataError, match="episode of format '1', this program reads format '2'"):
            read(tmp_path / "15.mcap")


def test_a_header_that_could_not_be_read_alone_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at most 262144"):
        EpisodeWriter(tmp_path / "16.mcap", replace(META, extra={"novel": "x" * 2**18}))
    assert not list(tmp_path.iterdir())


def test_a_step_that_cannot_be_logged_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    good = episode(17, 2, images=True)
    wrong = [
        (replace(good[0], rewards={"applause": 1.0}), "applause"),
        (replace(good[0], policy_version=2**63), "cannot hold"),
        (replace(good[0], action_base=np.zeros(0, np.float32)), "action_base"),
        (replace(good[0], obs=replace(good[0].obs, images={"my camera": PICTURE})), "my camera"),
        (replace(good[0], obs=replace(good[0].obs, images={"side": PICTURE[..., 0]})), "uint8"),
    ]
    with EpisodeWriter(tmp_path / "17.mcap", META) as writer:
        for record, says in wrong:
            with pytest.raises(DataError, match=says):
                writer.append(record)
        for record in good:
            writer.append(record)
    assert len(read_episode(tmp_path / "17.mcap").records) == 2


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (Part("Force", 3, "N"),),
        (Part("x__y", 1, ""),),
        (Part("x\nfloat32 y", 1, ""),),
        (Part("x", 0, ""),),
        (Part("x", "1] y\nfloat32[1", ""),),
        (Part("x", 1, ""),) * 2,
    ],
)
def test_a_state_layout_without_a_message_is_refused(tmp_path: Path, parts: tuple[Part, ...]) -> None:
    with pytest.raises(DataError, match="state"):
        EpisodeWriter(tmp_path / "18.mcap", replace(META, state_spec=StateSpec(parts)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["from", "class", "none", "self", "pos", "message", "header", "state", "float32"])
def test_any_word_may_name_a_part(tmp_path: Path, name: str) -> None:
    spec = StateSpec((Part(name, 2, "m"), Part("width", 1, "m")))
    with EpisodeWriter(tmp_path / "20.mcap", replace(META, state_spec=spec)) as writer:
        for record in episode(20, 2):
            writer.append(record)
    assert all(same(a, b) for a, b in zip(episode(20, 2), read_episode(writer.path).records, strict=True))


def test_a_step_too_large_to_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_writer, "MAX_STEP_BYTES", 100)
    with EpisodeWriter(tmp_path / "21.mcap", META) as writer, pytest.raises(DataError, match="at most 100"):
        writer.append(episode(21, 2)[0])


def test_large_pictures_are_one_chunk_too(tmp_path: Path) -> None:
    picture = np.zeros((600, 800, 3), np.uint8)
    record = episode(22, 1)[0]
    seen = Observation(record.obs.state, {"left": picture, "right": picture})
    write(tmp_path / "22.mcap", [replace(record, obs=seen, final_obs=seen)])
    with open(tmp_path / "22.mcap", "rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None and len(summary.chunk_indexes) == 1


def test_steps_of_another_definition_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(SPEC.parts[0], name="velocity")
    monkeypatch.setattr(episode_writer, "messages_for", lambda _: messages_for(StateSpec((other, *SPEC.parts[1:]))))
    write(tmp_path / "19.mcap", episode(19, 2))
    with pytest.raises(DataError, match="another definition"):
        read_episode(tmp_path / "19.mcap")
