"""What is cloned: which episodes, of which a share is held out, as which arrays, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.marks import DISCARDED
from robot_rl.core.specs import ActionSpec
from robot_rl.data.episode_log import Episode, read_episode
from robot_rl.data.exchange.lerobot_out import export_lerobot
from robot_rl.data.labels import LABELS_FILE, write_label
from robot_rl.runtime.cloning.config import CloneConfig
from robot_rl.runtime.cloning.episodes import choose, demonstration, gather, held_out_split
from robot_rl.runtime.cloning.meter import no_meter
from robot_rl.vision.eyes import Eyes
from tests.data.episodes import CAMERAS, META, SPEC, TASK, episode
from tests.data.exchange.samples import write, write_foreign
from tests.runtime.fakes import PointEnv


class ToyEnv(PointEnv):
    """Has the layouts of the toy episodes."""

    task_id = TASK
    state_spec = SPEC
    action_spec = META.action_spec


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Four successes and a failure."""
    folder = tmp_path / "demos"
    for k in range(5):
        write(folder / f"{k:06d}.mcap", episode(k, 3 + k, terminated=k != 2))
    return folder


def gathered(where: Path, to: Path, **changes: object) -> tuple[list[Episode], list[str]]:
    to.mkdir()
    said: list[str] = []
    config = CloneConfig(task=TASK, demos=where, **changes)  # type: ignore[arg-type]
    return gather(config, to, ToyEnv(), said.append, no_meter), said


@given(st.integers(1, 60), st.floats(0.0, 0.9), st.integers(0, 5))
def test_held_out_episodes_are_not_learnt_from(n: int, share: float, seed: int) -> None:
    learnt, held = held_out_split(n, share, seed)
    assert sorted(learnt + held) == list(range(n))
    assert len(learnt) >= 1
    assert len(held) == min(math.ceil(share * n), n - 1)
    assert held_out_split(n, share, seed) == (learnt, held)


def test_successes_are_cloned_and_copied(recorded: Path, tmp_path: Path) -> None:
    chosen, said = gathered(recorded, tmp_path / "run")
    assert [len(e.records) for e in chosen] == [3, 4, 6, 7]
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [f"{k:06d}.mcap" for k in (0, 1, 3, 4)]
    assert "learning from 4 of the 5 demonstrations" in said[0]


def test_fewer_or_all_when_asked(recorded: Path, tmp_path: Path) -> None:
    assert len(gathered(recorded, tmp_path / "two", n_demos=2)[0]) == 2
    assert len(gathered(recorded, tmp_path / "all", all_episodes=True)[0]) == 5
    with pytest.raises(DataError, match="5 demonstrations are wanted, but there are 4 to clone"):
        gathered(recorded, tmp_path / "five", n_demos=5)


def test_labels_said_afterwards_are_followed_and_come_along(recorded: Path, tmp_path: Path) -> None:
    for k in (0, 1, 3):
        write_label(recorded, f"episode-{k}", "failure", "somebody")
    chosen, _ = gathered(recorded, tmp_path / "run")
    assert [e.path.name for e in chosen] == ["000004.mcap"]
    assert (tmp_path / "run" / LABELS_FILE).is_file()
    write_label(recorded, "episode-4", "failure", "somebody")
    with pytest.raises(DataError, match="none of the 5 episodes .* ended in success: label them"):
        gathered(recorded, tmp_path / "none")


def test_what_an_operator_discarded_is_never_cloned(recorded: Path) -> None:
    whole = read_episode(recorded / "000002.mcap")
    last = replace(whole.records[-1], stop_reason=DISCARDED)
    discarded = replace(whole, records=(*whole.records[:-1], last))
    good = read_episode(recorded / "000000.mcap")
    assert choose([discarded, good], all_episodes=True) == [good]


def test_actions_of_another_scale_are_refused(tmp_path: Path) -> None:
    """The same number would be another motion."""
    meta = replace(META, action_spec=ActionSpec(0.01, 0.1))
    write(tmp_path / "demos" / "000000.mcap", episode(0, 3, terminated=True), meta)
    with pytest.raises(DataError, match=r"actions of up to 0\.01 m and 0\.1 rad a step, Toy of 0\.02 m"):
        gathered(tmp_path / "demos", tmp_path / "run")


def test_our_own_lerobot_datasets_are_read(recorded: Path, tmp_path: Path) -> None:
    export_lerobot(recorded, tmp_path / "dataset")
    straight, _ = gathered(recorded, tmp_path / "a")
    through, _ = gathered(tmp_path / "dataset", tmp_path / "b")
    assert len(straight) == len(through) == 4
    for one, other in zip(straight, through, strict=True):
        np.testing.assert_array_equal(demonstration(one).actions, demonstration(other).actions)
    assert len(list((tmp_path / "b").glob("*.mcap"))) == 4


def test_datasets_of_others_are_imported_first(tmp_path: Path) -> None:
    write_foreign(tmp_path / "dataset", (4, 3))
    with pytest.raises(ConfigError, match="robot-rl data import"):
        gathered(tmp_path / "dataset", tmp_path / "run")


def test_arrays_of_an_episode(tmp_path: Path) -> None:
    """The state after the last action is a goal, its action was never asked for; what was executed is cloned."""
    records = episode(1, 4, terminated=True, images=True)
    whole = read_episode(write(tmp_path / "000000.mcap", records))
    eyes = Eyes(("side",), 16)
    demo = demonstration(whole, eyes)
    assert demo.states.shape == (5, SPEC.size) and demo.states.dtype == np.float32
    np.testing.assert_array_equal(demo.actions, [r.action_executed for r in records])
    assert {name: images.shape for name, images in demo.images.items()} == {"side": (5, 16, 16, 3)}
    with pytest.raises(DataError, match=r"lacks pictures of camera top, it has side, wrist"):
        config = CloneConfig(task=TASK, demos=tmp_path)
        sight = replace(config.model, sight=replace(config.model.sight, cameras=("top",)))
        gathered(tmp_path, tmp_path / "run", model=sight)
    assert set(CAMERAS) == {"side", "wrist"}
