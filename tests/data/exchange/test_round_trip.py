"""What is exported comes back bit for bit, and what cannot is refused before anything is left on disk."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Source, StepRecord
from robot_rl.data.episode_log import read_episode
from robot_rl.data.exchange import lerobot_out
from robot_rl.data.exchange.lerobot_in import import_lerobot
from robot_rl.data.exchange.lerobot_out import export_lerobot
from robot_rl.data.rewards import COMPONENTS
from tests.data.episodes import META, episode, same
from tests.data.exchange.samples import assert_same_files, write, write_run

unit = st.floats(-1, 1, width=32)
number = st.floats(-1e6, 1e6)
vector = st.lists(unit, min_size=7, max_size=7).map(lambda v: np.array(v, np.float32))
state = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3)


@st.composite
def recorded(draw: st.DrawFn, number_of: int) -> list[StepRecord]:
    """An episode with every field at the mercy of the search."""
    records = episode(number_of, draw(st.integers(1, 4)), terminated=draw(st.booleans()), images=draw(st.just(True)))
    out = []
    for r in records:
        chosen = draw(st.sets(st.sampled_from(COMPONENTS)))
        obs = replace(r.obs, state=np.array(draw(state), np.float32))
        out.append(
            replace(
                r,
                obs=obs,
                action_executed=draw(vector),
                action_policy=draw(vector),
                action_base=draw(st.none() | vector),
                rewards={name: draw(number) for name in chosen},
                intervention=draw(st.booleans()),
                source=draw(st.sampled_from(Source)),
                policy_version=draw(st.integers(-1, 2**62)),
                reward_version=draw(st.integers(0, 2**31)),
                stop_reason=draw(st.text(max_size=8)) if r.last else "",
                t_wall_s=draw(st.floats(0, 4e9)),
                t_control_s=draw(number),
                latency_ms=draw(number),
            )
        )
    return out


@settings(max_examples=25)
@given(st.data())
def test_any_record_comes_back_to_the_bit(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i in range(data.draw(st.integers(1, 2))):
            write(folder / "in" / f"{i:06d}.mcap", data.draw(recorded(i)))
        export_lerobot(folder / "in", folder / "dataset", fps=10)
        report = import_lerobot(folder / "dataset", folder / "out")
        assert report.exact
        assert_same_files(folder / "in", folder / "out")


def test_a_run_keeps_its_folders(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    report = export_lerobot(tmp_path / "run", tmp_path / "dataset")
    assert (report.episodes, report.frames, report.fps, report.unfinished) == (3, 12, 10, 1)
    import_lerobot(tmp_path / "dataset", tmp_path / "back")
    assert_same_files(tmp_path / "run", tmp_path / "back")


def test_a_dataset_without_pictures(tmp_path: Path) -> None:
    write_run(tmp_path / "run", images=False)
    export_lerobot(tmp_path / "run", tmp_path / "dataset")
    import_lerobot(tmp_path / "dataset", tmp_path / "back")
    assert_same_files(tmp_path / "run", tmp_path / "back")


def test_state_of_a_single_value(tmp_path: Path) -> None:
    meta = replace(META, state_spec=StateSpec((Part("width", 1, "m"),)))

    def small(r: StepRecord) -> StepRecord:
        final = None if r.final_obs is None else replace(r.final_obs, state=r.final_obs.state[:1])
        return replace(r, obs=replace(r.obs, state=r.obs.state[:1]), final_obs=final)

    write(tmp_path / "in" / "000000.mcap", [small(r) for r in episode(1, 3)], meta)
    export_lerobot(tmp_path / "in", tmp_path / "dataset")
    import_lerobot(tmp_path / "dataset", tmp_path / "back")
    assert_same_files(tmp_path / "in", tmp_path / "back")


def test_large_datasets_are_cut_into_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lerobot_out, "DATA_BYTES", 1)
    monkeypatch.setattr(lerobot_out, "CHUNK_FILES", 2)
    write_run(tmp_path / "run")
    export_lerobot(tmp_path / "run", tmp_path / "dataset")
    files = sorted(
        p.relative_to(tmp_path / "dataset/data").as_posix() for p in (tmp_path / "dataset/data").rglob("*.*")
    )
    assert files == [f"chunk-00{i // 2}/file-00{i % 2}.parquet" for i in range(3)]
    import_lerobot(tmp_path / "dataset", tmp_path / "back")
    assert_same_files(tmp_path / "run", tmp_path / "back")


def test_videos_lose_only_in_the_pictures(tmp_path: Path) -> None:
    def smooth(r: StepRecord) -> StepRecord:
        def shade(step: int) -> dict[str, np.ndarray]:
            return {"side": np.full((32, 48, 3), 20 * step, np.uint8)}

        final = None if r.final_obs is None else replace(r.final_obs, images=shade(r.step_index + 1))
        return replace(r, obs=replace(r.obs, images=shade(r.step_index)), final_obs=final)

    for number_of, steps in enumerate((5, 4, 6)):
        write(tmp_path / "in" / f"{number_of:06d}.mcap", [smooth(r) for r in episode(number_of, steps)])
    export_lerobot(tmp_path / "in", tmp_path / "dataset", video=True)
    assert not import_lerobot(tmp_path / "dataset", tmp_path / "back").exact
    for number_of in range(3):
        name = f"{number_of:06d}.mcap"
        before, after = read_episode(tmp_path / "in" / name), read_episode(tmp_path / "back" / name)
        for a, b in zip(before.records, after.records, strict=True):
            lost = np.abs(a.obs.images["side"].astype(int) - b.obs.images["side"])
            assert lost.max() <= 4, "one step is 20 levels: a frame of another step would show"
            assert same(a, replace(b, obs=a.obs)), "the final pictures are kept without loss"


def test_video_files_begin_anew_when_they_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lerobot_out, "VIDEO_BYTES", -1)

    def even(r: StepRecord) -> StepRecord:
        def grey(step: int) -> dict[str, np.ndarray]:
            return {"side": np.full((16, 16, 3), 30 * step, np.uint8)}

        final = None if r.final_obs is None else replace(r.final_obs, images=grey(8))
        return replace(r, obs=replace(r.obs, images=grey(r.step_index)), final_obs=final)

    for i in range(2):
        write(tmp_path / "in" / f"{i:06d}.mcap", [even(r) for r in episode(i, 3)])
    export_lerobot(tmp_path / "in", tmp_path / "dataset", video=True)
    assert len(list((tmp_path / "dataset/videos").rglob("file-*.mp4"))) == 2
    import_lerobot(tmp_path / "dataset", tmp_path / "back")
    last = read_episode(tmp_path / "back" / "000001.mcap").records[2]
    assert abs(int(last.obs.images["side"].mean()) - 60) <= 4


def test_odd_sizes_need_pictures_not_videos(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(DataError, match="even picture sizes, got 3x4"):
        export_lerobot(tmp_path / "run", tmp_path / "dataset", video=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"], "nothing half-written is left"


def test_what_does_not_fit_into_one_dataset_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "in" / "000000.mcap", episode(0, 2, images=True))
    other = write(tmp_path / "in" / "000001.mcap", episode(1, 2))
    with pytest.raises(DataError, match=r"000001\.mcap, step 0 has pictures \{\}"):
        export_lerobot(tmp_path / "in", tmp_path / "dataset")
    other.unlink()
    spec = StateSpec((Part("position", 3, "m"),))
    write(tmp_path / "in" / "000001.mcap", episode(1, 2, images=True), replace(META, state_spec=spec))
    with pytest.raises(DataError, match="state layout"):
        export_lerobot(tmp_path / "in", tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    export_lerobot(tmp_path / "run", tmp_path / "dataset")
    with pytest.raises(DataError, match="exists already"):
        export_lerobot(tmp_path / "run", tmp_path / "dataset")
    with pytest.raises(DataError, match="exists already"):
        import_lerobot(tmp_path / "dataset", tmp_path / "run")


def test_only_half_written_episodes(tmp_path: Path) -> None:
    write(tmp_path / "in" / "000000.mcap", episode(0, 2, ended=False))
    with pytest.raises(DataError, match="no finished episode .* only 1 half-written"):
        export_lerobot(tmp_path / "in", tmp_path / "dataset")


def test_a_single_step_shows_no_rate(tmp_path: Path) -> None:
    write(tmp_path / "in" / "000000.mcap", episode(0, 1))
    with pytest.raises(DataError, match="--fps"):
        export_lerobot(tmp_path / "in", tmp_path / "dataset")
    assert export_lerobot(tmp_path / "in", tmp_path / "dataset", fps=7).fps == 7


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from robot_rl.core.errors import StorageError
from robot_rl.data.exchange.lerobot_out import export_lerobot
import pyarrow.parquet, av
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    export_lerobot(Path(sys.argv[1]), Path(sys.argv[2]), video=sys.argv[4] == "video")
except StorageError as e:
    print(e)
"""


@pytest.mark.parametrize("kind", ["pictures", "video"])
@pytest.mark.parametrize("limit", [0, 2000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, kind: str, limit: int) -> None:
    records = [
        replace(
            r,
            obs=replace(r.obs, images={"side": noise(r.step_index)}),
            final_obs=None if r.final_obs is None else replace(r.final_obs, images={"side": noise(99)}),
        )
        for r in episode(0, 60)
    ]
    write(tmp_path / "in" / "000000.mcap", records)
    out = tmp_path / "dataset"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "in"), str(out), str(limit), kind],
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.fullmatch(rf"cannot write {re.escape(str(out))}.*: .*; nothing of it is kept\n", done.stdout), done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3)).astype(np.uint8)


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'robot-rl\[exchange\]'"):
        export_lerobot(tmp_path / "run", tmp_path / "dataset")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        export_lerobot(tmp_path / "run", tmp_path / "file" / "dataset")
