"""Episodes as a LeRobotDataset v3.0, which LeRobot's own reader opens and `lerobot_in` reads back without loss.

Layout: ``data/`` holds one row a frame, with the pictures as PNG unless they are videos; ``meta/`` what LeRobot wants
to know; ``robot_rl/episodes.parquet`` what it has no place for: header, id and final observation of each episode.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.catalog import find_episodes
from robot_rl.data.episode_log import PARTIAL, Episode, read_episode
from robot_rl.data.exchange.arrow import TableFile, from_numpy, pyarrow
from robot_rl.data.exchange.columns import PICTURE, Columns, Feature, Layout, columns_of, features
from robot_rl.data.exchange.folder import new_folder
from robot_rl.data.exchange.pictures import VideoFiles, chunk_name, encode_png
from robot_rl.data.exchange.stats import PictureStats, Stats, number_stats
from robot_rl.data.rewards import RewardWeights

VERSION = "v3.0"
CHUNK_FILES = 1000
DATA_BYTES = 100 * 2**20
VIDEO_BYTES = 200 * 2**20
SIDECAR = "robot_rl/episodes.parquet"
SIDECAR_FORMAT = "1"


@dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes:
        episodes: how many.
        frames: steps in them.
        fps: frames a second that the dataset states.
        unfinished: half-written episodes left out.
    """

    episodes: int
    frames: int
    fps: int
    unfinished: int


def export_lerobot(
    path: Path,
    out: Path,
    *,
    video: bool = False,
    fps: int | None = None,
    robot_type: str | None = None,
    weights: RewardWeights | None = None,
) -> ExportReport:
    """Write the finished episodes at a path as a LeRobotDataset v3.0.

    Args:
        path: a run, a folder of episodes or one file.
        out: folder of the dataset; it may not exist, and does so only once everything is written.
        video: pictures as MP4, smaller and with loss; otherwise PNG in the table.
        fps: frames a second; None takes the control rate of the first episode.
        robot_type: written into the dataset.
        weights: with which ``next.reward`` is composed.

    Raises:
        ConfigError: pyarrow is missing.
        DataError: there is no finished episode, or they do not fit into one dataset.
        StorageError: the disk refuses.
    """
    pyarrow()
    files = find_episodes(path)
    whole = [p for p in files if not p.name.endswith(PARTIAL)]
    if not whole:
        raise DataError(f"there is no finished episode at {path}, only {len(files)} half-written ones")
    root = path if path.is_dir() else path.parent
    first = read_episode(whole[0])
    cameras = {name: image.shape for name, image in first.records[0].obs.images.items()}
    rate = fps if fps is not None else control_rate(first.records)
    layout = Layout(first.meta.state_spec, cameras, rate, weights or RewardWeights())
    with new_folder(out) as folder:
        writer = _Writer(folder, layout, video=video)
        try:
            for file in whole:
                writer.add(read_episode(file), file.relative_to(root).as_posix())
        finally:
            writer.close()
        writer.describe(robot_type)
    return ExportReport(writer.episodes, writer.frames, rate, len(files) - len(whole))


def control_rate(records: Sequence[StepRecord]) -> int:
    """Steps a second of an episode, rounded: LeRobot knows whole numbers only.

    Raises:
        DataError: it has a single step, or less than one a second.
    """
    if len(records) < 2:
        raise DataError("the first episode has a single step and shows no rate: give one with --fps")
    period_s = float(np.median(np.diff([r.t_control_s for r in records])))
    if not 0.0 < period_s < 2.0:
        raise DataError(f"the first episode has a step every {period_s:g} s, which shows no rate: give one with --fps")
    return max(1, round(1.0 / period_s))


@dataclass
class _Gathered:
    """What the statistics and tables at the end are made of."""

    values: list[Columns] = field(default_factory=list)
    pictures: dict[str, PictureStats] = field(default_factory=dict)
    tasks: dict[str, int] = field(default_factory=dict)


class _Writer:
    """One episode after the other into the files of a dataset."""

    def __init__(self, folder: Path, layout: Layout, *, video: bool) -> None:
        self.episodes = self.frames = 0
        self._folder, self._layout, self._video = folder, layout, video
        self._seen = _Gathered(pictures={name: PictureStats() for name in layout.cameras})
        self._videos = {
            name: VideoFiles(folder / "videos" / f"{PICTURE}{name}", layout.fps, VIDEO_BYTES, CHUNK_FILES)
            for name in (layout.cameras if video else ())
        }
        self._features = features(layout, self._video_info() if video else None)
        self._file, self._bytes = 0, 0
        self._data: TableFile | None = None
        self._meta = TableFile(folder / "meta/episodes" / chunk_name(0, CHUNK_FILES, ".parquet"))
        self._own = TableFile(folder / SIDECAR, _sidecar_schema())

    def _video_info(self) -> dict[str, Any]:
        info: dict[str, Any] = {"video.fps": self._layout.fps, "video.is_depth_map": False, "has_audio": False}
        for files in self._videos.values():
            info |= {"video.codec": files.codec, "video.pix_fmt": files.pix_fmt}
        return info

    def add(self, episode: Episode, name: str) -> None:
        """Write one episode that was read from the file `name`."""
        records, seen = episode.records, self._seen
        self._layout.check(name, records, episode.meta.state_spec)
        task = seen.tasks.setdefault(episode.meta.task, len(seen.tasks))
        columns = columns_of(records, self._layout, episode=self.episodes, first=self.frames, task=task)
        numbers = {k: v for k, v in columns.items() if v.dtype != object}
        stats = {column: number_stats(values) for column, values in numbers.items()}
        row: dict[str, Any] = {
            "episode_index": self.episodes,
            "tasks": [episode.meta.task],
            "length": len(records),
            "data/chunk_index": self._file // CHUNK_FILES,
            "data/file_index": self._file % CHUNK_FILES,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + len(records),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        table = {column: _array(values) for column, values in columns.items()}
        for camera in self._layout.cameras:
            images = [r.obs.images[camera] for r in records]
            here = PictureStats()
            for image in images:
                here.add(image)
            seen.pictures[camera].merge(here)
            stats[PICTURE + camera] = here.describe()
            if self._video:
                row |= _place(PICTURE + camera, self._videos[camera].add(images))
            else:
                table[PICTURE + camera] = _pictures(encode_png(image) for image in images)
        self._write(table)
        self._meta.append(row | {f"stats/{c}/{k}": v for c, s in stats.items() for k, v in s.items()})
        self._own.append(_sidecar_row(self.episodes, name, episode))
        seen.values.append(numbers)
        self.episodes += 1
        self.frames += len(records)

    def _write(self, columns: dict[str, Any]) -> None:
        if self._data is None:
            self._data = TableFile(self._folder / "data" / chunk_name(self._file, CHUNK_FILES, ".parquet"))
        order = [c for c in self._features if c in columns]
        table = pyarrow().table({c: columns[c] for c in order})
        self._data.write(table.replace_schema_metadata({"huggingface": json.dumps(_hugging_face(self._features))}))
        self._bytes += table.nbytes
        if self._bytes > DATA_BYTES:
            self._data.close()
            self._data, self._file, self._bytes = None, self._file + 1, 0

    def close(self) -> None:
        """Finish all files."""
        for part in (self._data, self._meta, self._own, *self._videos.values()):
            if part is not None:
                part.close()

    def describe(self, robot_type: str | None) -> None:
        """Write ``info.json``, ``stats.json`` and ``tasks.parquet``."""
        seen, meta = self._seen, self._folder / "meta"
        stats: dict[str, Stats] = {c: number_stats(np.concatenate([v[c] for v in seen.values])) for c in seen.values[0]}
        stats |= {PICTURE + camera: pictures.describe() for camera, pictures in seen.pictures.items()}
        info = {
            "codebase_version": VERSION,
            "robot_type": robot_type,
            "total_episodes": self.episodes,
            "total_frames": self.frames,
            "total_tasks": len(seen.tasks),
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": DATA_BYTES // 2**20,
            "video_files_size_in_mb": VIDEO_BYTES // 2**20,
            "fps": self._layout.fps,
            "splits": {"train": f"0:{self.episodes}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
            if self._video
            else None,
            "features": self._features,
        }
        for name, content in (("info.json", info), ("stats.json", stats)):
            (meta / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        pyarrow().parquet.write_table(_task_table(list(seen.tasks)), meta / "tasks.parquet")


def _array(values: np.ndarray[Any, Any]) -> Any:
    return pyarrow().array(values.tolist(), pyarrow().string()) if values.dtype == object else from_numpy(values)


def _pictures(files: Iterable[bytes]) -> Any:
    pa = pyarrow()
    return pa.array([{"bytes": f, "path": None} for f in files], pa.struct({"bytes": pa.binary(), "path": pa.string()}))


def _place(column: str, placed: Any) -> dict[str, Any]:
    return {
        f"videos/{column}/chunk_index": placed.file // CHUNK_FILES,
        f"videos/{column}/file_index": placed.file % CHUNK_FILES,
        f"videos/{column}/from_timestamp": placed.from_s,
        f"videos/{column}/to_timestamp": placed.to_s,
    }


def _hugging_face(all_features: dict[str, Feature]) -> dict[str, Any]:
    """How the ``datasets`` library is told the types of the columns, pictures above all."""

    def kind(feature: Feature) -> dict[str, Any]:
        if feature["dtype"] == "image":
            return {"_type": "Image"}
        value = {"dtype": feature["dtype"], "_type": "Value"}
        size = feature["shape"][0]
        return value if size == 1 else {"feature": value, "length": size, "_type": "Sequence"}

    stored = {name: kind(f) for name, f in all_features.items() if f["dtype"] != "video"}
    return {"info": {"features": stored}}


def _task_table(tasks: list[str]) -> Any:
    """The tasks as pandas stores a frame with the names as its index, which is what LeRobot reads."""
    kinds = (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    columns = [{"name": n, "field_name": n, "pandas_type": p, "numpy_type": t, "metadata": None} for n, p, t in kinds]
    about = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.2.0"}
    table = pyarrow().table({"task_index": list(range(len(tasks))), "task": tasks})
    return table.replace_schema_metadata({"pandas": json.dumps(about)})


def _sidecar_schema() -> Any:
    pa = pyarrow()
    picture = pa.struct({"camera": pa.string(), "png": pa.binary()})
    columns = {"episode_index": pa.int64(), "file": pa.string(), "episode_id": pa.string(), "header": pa.string()}
    lists = {"final_state": pa.list_(pa.float32()), "final_pictures": pa.list_(picture)}
    return pa.schema(columns | lists, metadata={"robot_rl": SIDECAR_FORMAT})


def _sidecar_row(index: int, name: str, episode: Episode) -> dict[str, Any]:
    final = episode.records[-1].final_obs
    assert final is not None  # an episode that was read strictly has ended
    return {
        "episode_index": index,
        "file": name,
        "episode_id": episode.records[0].episode_id,
        "header": json.dumps(episode.meta.to_strings()),
        "final_state": final.state,
        "final_pictures": [{"camera": c, "png": encode_png(image)} for c, image in final.images.items()],
    }
