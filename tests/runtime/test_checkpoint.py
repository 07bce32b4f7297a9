"""A checkpoint is whole and verified, or it does not exist."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.runtime.checkpoint import (
    best_checkpoint,
    latest_checkpoint,
    list_checkpoints,
    load_actor,
    load_checkpoint,
    mark_best,
    save_checkpoint,
)

AGENT = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "key": np.array([1, 2], np.uint32), "n": np.int32(3)}
ACTOR = {"b": np.zeros(2, np.float32)}


def save(root: Path, update: int, *, keep: int = 3) -> Path:
    return save_checkpoint(
        root,
        update,
        agent=AGENT,
        actor=ACTOR,
        state={"counters": {"updates": update}},
        save_replay=lambda p: p.write_bytes(b"replay"),
        keep=keep,
    )


def test_what_was_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = load_checkpoint(save(tmp_path, 5))
    assert saved.agent.keys() == AGENT.keys()
    for name, value in AGENT.items():
        got, wanted = saved.agent[name], np.asarray(value)
        assert (got.dtype, got.shape, got.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
    assert saved.state["counters"] == {"updates": 5}
    assert saved.replay_path.read_bytes() == b"replay"
    assert load_actor(saved.path)[0]["b"].tolist() == [0, 0]


def test_old_ones_go_except_the_best_and_only_the_newest_keeps_the_replay(tmp_path: Path) -> None:
    for update in range(1, 8):
        save(tmp_path, update)
        if update in (2, 4):
            assert mark_best(tmp_path, update, {2: 0.9, 4: 0.3}[update]) == (update == 2)
    assert [int(p.name) for p in list_checkpoints(tmp_path)] == [2, 5, 6, 7]
    assert best_checkpoint(tmp_path).name == "000000002" and latest_checkpoint(tmp_path).name == "000000007"
    assert [p.name for p in list_checkpoints(tmp_path) if (p / "replay").exists()] == ["000000007"]
    for path in list_checkpoints(tmp_path):
        load_checkpoint(path)


def test_a_failed_save_leaves_the_older_checkpoint_alone(tmp_path: Path) -> None:
    save(tmp_path, 1)

    def full(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"cannot write the checkpoint .*000000002: No space left"):
        save_checkpoint(tmp_path, 2, agent=AGENT, actor=ACTOR, state={}, save_replay=full)
    assert [p.name for p in tmp_path.iterdir()] == ["000000001"]
    load_checkpoint(latest_checkpoint(tmp_path))


def test_a_half_written_checkpoint_is_not_seen(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / ".000000002.partial").mkdir()
    assert latest_checkpoint(tmp_path).name == "000000001"


def test_saving_the_same_update_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 1)
    assert load_checkpoint(save(tmp_path, 1)).state["counters"] == {"updates": 1}


@pytest.mark.parametrize("name", ["agent.safetensors", "actor.safetensors", "state.json", "replay", "manifest.json"])
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
