"""Demonstrations are loaded as they were written, or refused with the reason."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Source
from robot_rl.data.demos import load_demos, only_reward, read_demos
from robot_rl.data.episode_log import EpisodeWriter
from robot_rl.data.relabels import write_relabels
from robot_rl.data.replay import ReplayBuffer
from robot_rl.data.rewards import RewardWeights, episode_returns
from tests.data.episodes import META, SPEC, TASK, episode, same

EPISODES = [
    episode(0, 3, terminated=True, source=Source.SCRIPTED),
    episode(1, 5, interventions=[2, 3], source=Source.SCRIPTED),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, records in enumerate(EPISODES):
        with EpisodeWriter(tmp_path / "demos" / f"{number:04d}.mcap", META) as writer:
            for record in records:
                writer.append(record)
    return tmp_path / "demos"


def test_a_folder_is_read_in_order_and_to_the_bit(folder: Path) -> None:
    demos = load_demos(folder, SPEC, TASK)
    for read, written in zip(demos, EPISODES, strict=True):
        assert all(same(a, b) for a, b in zip(read, written, strict=True))
    buffer = ReplayBuffer(SPEC, 10, pinned=10)
    assert buffer.add_demos(demos) == 8 and len(buffer.demo) == 8 and not len(buffer.online)


def test_a_single_file_is_read_with_its_header(folder: Path) -> None:
    [only] = read_demos(folder / "0001.mcap", SPEC, TASK)
    assert only.meta.run_id == "run" and len(only.records) == 5 and not only.success


def test_another_task_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="task 'Toy', expected 'Reach'"):
        load_demos(folder, SPEC, "Reach")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (SPEC.parts[:1], "unknown: width"),
        ((*SPEC.parts, Part("force", 3, "N")), "missing: force"),
        ((replace(SPEC.parts[0], scale=2.0), SPEC.parts[1]), "different: position"),
        (SPEC.parts[::-1], "order"),
    ],
)
def test_another_state_layout_is_refused(folder: Path, parts: tuple[Part, ...], says: str) -> None:
    with pytest.raises(DataError, match=says):
        load_demos(folder, StateSpec(parts), TASK)


def test_a_half_written_demonstration_is_refused(folder: Path) -> None:
    broken = folder / "0001.mcap"
    broken.write_bytes(broken.read_bytes()[:-200])
    with pytest.raises(DataError, match="half-written"):
        load_demos(folder, SPEC, TASK)


def test_nothing_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        load_demos(tmp_path / "absent", SPEC, TASK)
    with pytest.raises(DataError, match=r"holds no \.mcap file$"):
        load_demos(tmp_path, SPEC, TASK)
    (tmp_path / "0.mcap.partial").write_bytes(b"")
    with pytest.raises(DataError, match="1 half-written ones can be repaired"):
        load_demos(tmp_path, SPEC, TASK)


def relabel_all(folder: Path, component: str = "process") -> None:
    values = {demo[0].episode_id: np.linspace(-1.0, -0.2, len(demo), dtype=np.float32) for demo in EPISODES}
    write_relabels(folder, "judged", component, "model", values)


def test_failures_are_loaded_like_successes(folder: Path) -> None:
    demos = load_demos(folder, SPEC, TASK)
    assert [demo[-1].terminated for demo in demos] == [True, False]


def test_relabels_take_the_place_of_their_component_and_of_nothing_else(folder: Path) -> None:
    relabel_all(folder)
    for read, written in zip(load_demos(folder, SPEC, TASK, relabel="judged"), EPISODES, strict=True):
        assert [r.rewards["process"] for r in read] == pytest.approx(np.linspace(-1.0, -0.2, len(read)).tolist())
        assert [r.rewards["success"] for r in read] == [r.rewards["success"] for r in written]
    with pytest.raises(DataError, match="unknown relabels 'judge'"):
        load_demos(folder, SPEC, TASK, relabel="judge")


def test_relabels_alone_make_returns_that_are_means_of_their_values(folder: Path) -> None:
    relabel_all(folder)
    gamma = 0.9
    ended, cut = load_demos(folder, SPEC, TASK, relabel="judged", alone=gamma)
    assert all(set(r.rewards) == {"process"} for r in (*ended, *cut))
    # the first terminated with its third step, whose value it keeps for ever
    weights = RewardWeights()
    first = episode_returns(ended, weights, gamma)[0]
    assert first == pytest.approx(0.1 * -1.0 + 0.1 * 0.9 * -0.6 + 0.81 * -0.2, rel=1e-5)
    # the second was cut: its value goes on where it was, and it may be asked what it would be for ever
    last = episode_returns(cut, weights, gamma, floor=-0.2)[-1]
    assert last == pytest.approx(0.1 * -0.2 + 0.9 * -0.2, rel=1e-5)


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=20), st.floats(0.0, 0.999), st.booleans())
def test_no_return_of_relabels_alone_leaves_the_range_of_their_values(
    values: list[float], gamma: float, terminated: bool
) -> None:
    records = episode(0, len(values), terminated=terminated)
    labelled = [replace(r, rewards={**r.rewards, "process": v}) for r, v in zip(records, values, strict=True)]
    alone = only_reward(labelled, "process", gamma)
    returns = episode_returns(alone, RewardWeights(), gamma, floor=values[-1])
    assert min(values) - 1e-4 <= returns.min() and returns.max() <= max(values) + 1e-4
    assert [r.rewards["process"] for r in labelled] == values, "the given records stay as they are"


def test_relabels_alone_need_a_discount_below_one() -> None:
    with pytest.raises(DataError, match="infinite horizon"):
        only_reward(EPISODES[0], "process", 1.0)
