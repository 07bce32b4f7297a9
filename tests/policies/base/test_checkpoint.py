"""A base on disk: what was written is read to the bit, and anything else is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.core.config import merge
from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.policies.base.checkpoint import INFO, WEIGHTS, TrainedBase, load_base, save_base
from robot_rl.policies.base.normaliser import Normaliser
from robot_rl.policies.base.open import find_base, open_base
from robot_rl.policies.base.policy import TorchBase
from tests.policies.base.toys import noise, untrained

SEEN = [Observation(np.array([0.3, 0.4], np.float32))]


@cache
def base() -> TrainedBase:
    return untrained()


@pytest.mark.parametrize("objective", ["regression", "edm", "ddpm", "flow"])
def test_answers_survive_the_disk_to_the_bit(tmp_path: Path, objective: str) -> None:
    made = untrained(objective=objective, backbone="transformer", guidance={"on": "goal"})
    save_base(tmp_path / "x", made)
    read = load_base(tmp_path / "x")
    assert read.info == made.info
    assert read.config == made.config
    assert read.card == made.card
    assert read.action_spec == made.action_spec
    assert read.state_spec == made.state_spec
    z = noise(made, 3)
    np.testing.assert_array_equal(TorchBase(read).propose(SEEN, z), TorchBase(made).propose(SEEN, z))


def test_writing_again_replaces(tmp_path: Path) -> None:
    save_base(tmp_path, base())
    other = replace(base(), hz=20.0)
    save_base(tmp_path, other)
    assert load_base(tmp_path).checksum == other.checksum
    assert sorted(p.name for p in tmp_path.iterdir()) == [INFO, WEIGHTS]


CHANGES: list[Callable[[TrainedBase], TrainedBase]] = [
    lambda b: replace(b, hz=20.0),
    lambda b: replace(b, config=merge(b.config, {"edm": {"steps": 5}})),
    lambda b: replace(b, config=merge(b.config, {"objective": "flow"})),
    lambda b: replace(b, states=Normaliser(b.states.center + np.float32(1e-3), b.states.half, b.states.clip)),
    lambda b: replace(b, states=Normaliser(b.states.center, b.states.half, 1.25)),
    lambda b: replace(b, actions=Normaliser(b.actions.center, b.actions.half * np.float32(1.01))),
    lambda b: replace(b, state_spec=StateSpec((Part("place", 2, "m", scale=2.0),))),
    lambda b: replace(b, action_spec=ActionSpec(0.01, 0.1, (0, 1))),
    lambda b: replace(b, action_spec=ActionSpec(0.02, 0.1, (0, 2))),
    lambda b: replace(b, weights={k: v + np.float32(k == "network.leave.bias") for k, v in b.weights.items()}),
]


def test_the_checksum_knows_everything_that_changes_an_answer() -> None:
    assert len({base().checksum, *(change(base()).checksum for change in CHANGES)}) == 1 + len(CHANGES)


def test_the_checksum_does_not_care_for_the_rest() -> None:
    same = [
        replace(base(), name="other", card={"a": 1}),
        replace(base(), config=merge(base().config, {"fit": {"steps": 77}})),
        replace(base(), config=merge(base().config, {"ddpm": {"steps": 3}})),
    ]
    assert {b.checksum for b in same} == {base().checksum}


def _json(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        data = json.loads((folder / INFO).read_text())
        change(data)
        (folder / INFO).write_text(json.dumps(data))

    return apply


def _bytes(folder: Path, at: int) -> None:
    blob = bytearray((folder / WEIGHTS).read_bytes())
    blob[at] ^= 0x10
    (folder / WEIGHTS).write_bytes(blob)


DAMAGE: list[tuple[str, Callable[[Path], object]]] = [
    ("no base policy", lambda f: (f / INFO).unlink()),
    ("weights of the base policy are missing", lambda f: (f / WEIGHTS).unlink()),
    ("damaged", lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-9])),
    ("damaged", lambda f: (f / WEIGHTS).write_bytes(b"")),
    ("belong together", lambda f: _bytes(f, -3)),
    ("cannot read", lambda f: (f / INFO).write_text("{")),
    ("cannot read", lambda f: (f / INFO).write_bytes(b"\xff\xfe")),
    ("format", lambda f: (f / INFO).write_text("[1]")),
    ("format", _json(lambda d: d.update(format=99))),
    ("belong together", _json(lambda d: d.update(checksum="0" * 16))),
    ("belong together", _json(lambda d: d.update(hz=11.0))),
    ("belong together", _json(lambda d: d["config"]["edm"].update(steps=9))),
    ("does not describe", _json(lambda d: d["config"].update(objective="magic"))),
    ("does not describe", _json(lambda d: d.pop("hz"))),
    ("does not describe", _json(lambda d: d.update(cameras=3))),
    ("does not describe", _json(lambda d: d.update(action_spec=[]))),
    ("state specification", _json(lambda d: d.update(state_spec=[{"nonsense": 1}]))),
    ("expected 2 and 1", _json(lambda d: d["action_spec"].update(active=[0]))),
    ("distinct indices", _json(lambda d: d["action_spec"].update(active=[0, 9]))),
]


@pytest.mark.parametrize(("match", "damage"), DAMAGE, ids=[str(i) for i in range(len(DAMAGE))])
def test_refuses_what_is_damaged_or_of_somebody_else(
    tmp_path: Path, match: str, damage: Callable[[Path], object]
) -> None:
    save_base(tmp_path, base())
    damage(tmp_path)
    with pytest.raises(DataError, match=match):
        load_base(tmp_path)


def test_says_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        save_base(tmp_path / "file" / "x", base())


def test_opens_the_newest_checkpoint_of_a_run(tmp_path: Path) -> None:
    other = replace(base(), hz=20.0)
    save_base(tmp_path / "checkpoints" / "000900", other)
    save_base(tmp_path / "checkpoints" / "001000", base())
    (tmp_path / "checkpoints" / "002000").mkdir()
    save_base(tmp_path / "checkpoints" / "notes", other)
    assert find_base(tmp_path).name == "001000"
    opened = open_base(str(tmp_path))
    assert opened.info == base().info
    opened.close()
    assert open_base(tmp_path / "checkpoints" / "000900").info == other.info


def test_says_what_is_looked_for_where_there_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="robot-rl bc"):
        open_base(tmp_path)
    with pytest.raises((DataError, ConfigError)):
        open_base("torchscript:" + str(tmp_path / "nothing.pt"))


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_base(tmp_path, base())
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"robot-rl\[diffusion\]"):
        open_base(tmp_path)


def test_what_only_looks_at_a_base_needs_no_torch() -> None:
    names = ("config", "normaliser", "windows", "checkpoint", "open")
    code = "import sys; " + "; ".join(f"import robot_rl.policies.base.{name}" for name in names)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "False", done.stderr
