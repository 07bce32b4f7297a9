"""A buffer that was saved and loaded continues to the bit like the one that was not."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import StepRecord
from robot_rl.data.replay import MixtureSampler, ReplayBuffer
from tests.data.episodes import CAMERAS, SPEC, episode
from tests.data.test_replay import interleaved

IN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def make_buffer(**options: object) -> ReplayBuffer:
    return ReplayBuffer(SPEC, **{"capacity": 12, "pinned": 60, "max_staged": 5, "camera_shapes": CAMERAS, **options})


@IN_FOLDER
@given(interleaved(images=True), st.data())
def test_the_loaded_buffer_continues_to_the_bit(tmp_path: Path, records: list[StepRecord], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(records)))
    one, two = make_buffer(), make_buffer()
    # what the second one held before must not show
    for record in episode(77, 9, images=True):
        two.add(record)
    for record in records[:cut]:
        one.add(record)
    one.save(tmp_path / "replay.npz")
    two.load(tmp_path / "replay.npz")
    for record in records[cut:]:
        assert one.add(record) == two.add(record)
    assert one.counters == two.counters and len(one) == len(two)
    if not len(one):
        return
    draws = [MixtureSampler(buffer, 8, 2, rng=np.random.default_rng(5)).sample_with_images() for buffer in (one, two)]
    for a, b in zip(draws[0].batch, draws[1].batch, strict=True):
        assert a.tobytes() == b.tobytes()
    for name in CAMERAS:
        assert draws[0].images[name].tobytes() == draws[1].images[name].tobytes()
        assert draws[0].next_images[name].tobytes() == draws[1].next_images[name].tobytes()


def test_a_resent_step_is_still_known_after_loading(tmp_path: Path) -> None:
    one, two = make_buffer(camera_shapes=None), make_buffer(camera_shapes=None)
    for record in episode(0, 4):
        one.add(record)
    one.relabel("episode-0", "process", [1, 2, 3, 4])
    one.save(tmp_path / "replay.npz")
    two.load(tmp_path / "replay.npz")
    assert not any(two.add(record) for record in episode(0, 4))
    assert two.reward_version("episode-0") == 1 and two.counters.duplicates == 4


def test_only_written_frames_are_stored(tmp_path: Path) -> None:
    buffer = make_buffer(capacity=100_000, camera_shapes=None)
    for record in episode(0, 4):
        buffer.add(record)
    buffer.save(tmp_path / "replay.npz")
    assert (tmp_path / "replay.npz").stat().st_size < 10_000


@pytest.mark.parametrize(
    ("options", "says"),
    [({"capacity": 13}, "capacity 12"), ({"pinned": 61}, "pinned 60"), ({"camera_shapes": None}, "camera_shapes")],
)
def test_another_layout_is_refused(tmp_path: Path, options: dict, says: str) -> None:
    make_buffer().save(tmp_path / "replay.npz")
    with pytest.raises(DataError, match=f"another buffer: {says}"):
        make_buffer(**options).load(tmp_path / "replay.npz")
    other = ReplayBuffer(StateSpec((Part("x", 3, "m"),)), 12, pinned=60, camera_shapes=CAMERAS)
    with pytest.raises(DataError, match="state_checksum"):
        other.load(tmp_path / "replay.npz")


def test_a_damaged_file_is_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    source = make_buffer(camera_shapes=None)
    for record in episode(0, 5):
        source.add(record)
    path = tmp_path / "replay.npz"
    source.save(path)
    good = path.read_bytes()
    buffer = make_buffer(camera_shapes=None)
    for record in episode(1, 3):
        buffer.add(record)
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    for bad in (b"", b"rubbish", good[: len(good) // 2], bytes(flipped)):
        path.write_bytes(bad)
        with pytest.raises(DataError, match="damaged|cannot load"):
            buffer.load(path)
        assert len(buffer) == 3 and not buffer.add(episode(1, 3)[0])
    with pytest.raises(DataError, match="cannot load .* No such file"):
        buffer.load(tmp_path / "absent.npz")


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = make_buffer(camera_shapes=None)
    path = tmp_path / "replay.npz"
    buffer.save(path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DataError, match="No space left"):
        buffer.save(path)
    assert path.read_bytes() == before


def test_the_file_holds_plain_arrays_and_json(tmp_path: Path) -> None:
    make_buffer().save(tmp_path / "replay.npz")
    with np.load(tmp_path / "replay.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
        assert json.loads(file["header"].tobytes())["format"] == 1
