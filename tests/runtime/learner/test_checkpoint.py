"""A checkpoint is whole and verified, or it does not exist."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import DataError, StorageError
from robot_rl.runtime.learner.checkpoint import (
    BrokenCheckpoint,
    best_checkpoint,
    latest_checkpoint,
    list_checkpoints,
    load_actor,
    load_checkpoint,
    load_newest_sound,
    mark_best,
    save_checkpoint,
)

AGENT = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "key": np.array([1, 2], np.uint32), "n": np.int32(3)}
ACTOR = {"b": np.zeros(2, np.float32)}


def save(root: Path, update: int, *, keep: int = 3, keep_also: Collection[int] = ()) -> Path:
    state = {"counters": {"updates": update}}
    return save_checkpoint(root, update, agent=AGENT, actor=ACTOR, state=state, keep=keep, keep_also=keep_also)


def test_what_was_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = load_checkpoint(save(tmp_path, 5))
    assert saved.agent.keys() == AGENT.keys()
    for name, value in AGENT.items():
        got, wanted = saved.agent[name], np.asarray(value)
        assert (got.dtype, got.shape, got.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
    assert saved.state["counters"] == {"updates": 5}
    assert load_actor(saved.path)[0]["b"].tolist() == [0, 0]


def test_old_ones_go_except_the_best(tmp_path: Path) -> None:
    for update in range(1, 8):
        save(tmp_path, update)
        if update in (2, 4):
            assert mark_best(tmp_path, update, {2: 0.9, 4: 0.3}[update]) == (update == 2)
    assert [int(p.name) for p in list_checkpoints(tmp_path)] == [2, 5, 6, 7]
    assert best_checkpoint(tmp_path).name == "000000002" and latest_checkpoint(tmp_path).name == "000000007"
    for path in list_checkpoints(tmp_path):
        load_checkpoint(path)


def test_what_somebody_still_needs_stays(tmp_path: Path) -> None:
    for update in range(1, 6):
        save(tmp_path, update, keep=1, keep_also={2, 3} if update < 5 else {3})
    assert [int(p.name) for p in list_checkpoints(tmp_path)] == [3, 5]


def test_of_equals_the_newer_is_the_best(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    assert [mark_best(tmp_path, u, s) for u, s in [(1, 0.5), (2, 0.5), (1, 0.4)]] == [True, True, False]
    assert best_checkpoint(tmp_path).name == "000000002"


def test_a_failed_save_leaves_the_older_checkpoint_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"cannot write the checkpoint .*000000002: No space left"):
        save(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["000000001"]
    load_checkpoint(latest_checkpoint(tmp_path))


def test_a_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / ".000000002.partial").mkdir()
    assert latest_checkpoint(tmp_path).name == "000000001"


def test_saving_the_same_update_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 1)
    assert load_checkpoint(save(tmp_path, 1)).state["counters"] == {"updates": 1}


@pytest.mark.parametrize("name", ["agent.safetensors", "actor.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_every_kind_of_damage_is_one_clear_sentence(tmp_path: Path, name: str, damage: str) -> None:
    file = save(tmp_path, 1) / name
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 0x5A
        file.write_bytes(data)
    with pytest.raises(DataError, match=r"^the checkpoint .*000000001 is broken: ") as e:
        load_checkpoint(tmp_path / "000000001")
    assert "\n" not in str(e.value)


def test_absent_checkpoints_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no checkpoint in"):
        latest_checkpoint(tmp_path)
    with pytest.raises(DataError, match="there is no checkpoint at"):
        load_checkpoint(tmp_path / "000000009")


def test_the_newest_whole_checkpoint_is_found_behind_damaged_ones(tmp_path: Path) -> None:
    for update in (1, 2, 3):
        save(tmp_path, update)
    for update in (2, 3):
        (tmp_path / f"{update:09d}" / "state.json").write_text("{}")
    saved, problems = load_newest_sound(tmp_path)
    assert saved is not None and saved.state["counters"] == {"updates": 1}
    assert ["state.json does not match" in p for p in problems] == [True, True]
    assert [p.name for p in list_checkpoints(tmp_path)] == ["000000001"]
    assert (tmp_path / "000000003.damaged").is_dir(), "what is damaged is put aside, not deleted"


def test_without_a_whole_checkpoint_nothing_is_chosen(tmp_path: Path) -> None:
    assert load_newest_sound(tmp_path) == (None, [])
    (save(tmp_path, 1) / "agent.safetensors").unlink()
    with pytest.raises(BrokenCheckpoint, match=r"agent.safetensors is missing; no other one is whole: remove .*"):
        load_newest_sound(tmp_path)
    assert (tmp_path / "000000001").is_dir()


def test_a_checkpoint_of_another_format_is_not_passed_over(tmp_path: Path) -> None:
    save(tmp_path, 1)
    newest = save_checkpoint(tmp_path, 2, agent=AGENT, actor=ACTOR, state={"format": 1})
    with pytest.raises(DataError, match="has format 1, this version reads 3"):
        load_newest_sound(tmp_path)
    assert newest.is_dir()
