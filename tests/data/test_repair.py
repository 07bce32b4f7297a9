"""Cut files become whole episodes elsewhere, what was lost is said, and the originals stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.core.errors import DataError
from robot_rl.data.episode_log import read_episode
from robot_rl.data.repair import repair
from tests.data.episodes import episode, same
from tests.data.test_catalog import write


def cut(path: Path, number: int, *, keep: float) -> Path:
    """An episode of eight steps of which only the front is left."""
    write(path, episode(number, 8))
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    return path


def test_only_broken_files_are_repaired_and_stay_as_they_are(tmp_path: Path) -> None:
    whole = write(tmp_path / "000001.mcap", episode(1, 3))
    broken = cut(tmp_path / "000002.mcap", 2, keep=0.35)
    before = broken.read_bytes()
    (done,) = repair([whole, broken])
    assert done.source == broken and broken.read_bytes() == before
    assert done.target == tmp_path / "000002.recovered.mcap"
    fixed = read_episode(done.target)
    assert fixed.complete and 1 < len(fixed.records) == done.kept == done.steps - 1 < 7
    assert all(same(a, b) for a, b in zip(fixed.records[:-1], read_episode(broken, strict=False).records, strict=False))
    assert f"{done.steps} complete steps were found (it is cut off); what came after them is lost" in done.text
    assert "final observation" in done.text


def test_repaired_files_go_where_they_are_wanted(tmp_path: Path) -> None:
    partial = write(tmp_path / "000003.mcap", episode(3, 5, ended=False))
    (done,) = repair([partial], tmp_path / "out")
    assert done.target == tmp_path / "out" / "000003.mcap" and read_episode(done.target).complete
    (again,) = repair([partial], tmp_path / "out")
    assert again.target is None and "exists already and is not overwritten" in again.text


def test_a_file_that_only_lacks_its_end_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "000004.mcap"
    write(path, episode(4, 3))
    path.write_bytes(path.read_bytes()[:-20])
    (done,) = repair([path])
    assert (done.steps, done.kept) == (3, 3) and "nothing is lost" in done.text


def test_what_cannot_be_repaired_is_said(tmp_path: Path) -> None:
    short = write(tmp_path / "000005.mcap", episode(5, 1, ended=False))
    (tmp_path / "x.mcap").write_bytes(b"nothing")
    for done in repair([short, tmp_path / "x.mcap"]):
        assert done.target is None and done.text.count("\n") == 0
    assert not list(tmp_path.glob("*.recovered.mcap*"))


def test_files_of_one_name_are_not_thrown_together(tmp_path: Path) -> None:
    paths = [cut(tmp_path / name / "000006.mcap", 6, keep=0.35) for name in ("a0", "a1")]
    with pytest.raises(DataError, match="several broken files would be written to"):
        repair(paths, tmp_path / "out")
    assert not (tmp_path / "out").exists()
