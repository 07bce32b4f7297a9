"""Demonstrations are loaded as they were written, or refused with the reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Source
from robot_rl.data.demos import load_demos, read_demos
from robot_rl.data.episode_log import EpisodeWriter
from robot_rl.data.replay import ReplayBuffer
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
