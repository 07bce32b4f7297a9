"""A LeRobotDataset v3.0 as episode files: our own exports bit for bit, those of others through a mapping."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Image
from robot_rl.data.episode_log import SUFFIX, EpisodeMeta, EpisodeWriter
from robot_rl.data.exchange.arrow import pyarrow, read_table, to_numpy
from robot_rl.data.exchange.columns import ACTION, PICTURE, STATE, Columns, records_of
from robot_rl.data.exchange.episodes_out import ImportReport, write_foreign
from robot_rl.data.exchange.folder import new_folder
from robot_rl.data.exchange.foreign import ForeignEpisode, Frame, ImportMapping
from robot_rl.data.exchange.lerobot_out import SIDECAR, SIDECAR_FORMAT, VERSION
from robot_rl.data.exchange.pictures import decode_picture, read_video

INFO_FILE = "meta/info.json"


@dataclass(frozen=True)
class Dataset:
    """A dataset on disk.

    Attributes:
        root: its folder.
        fps: frames a second.
        features: by column, as in ``meta/info.json``.
        episodes: rows of ``meta/episodes``, by episode index.
    """

    root: Path
    fps: float
    features: Mapping[str, Mapping[str, Any]]
    episodes: Mapping[int, Mapping[str, Any]]

    @property
    def cameras(self) -> dict[str, str]:
        """Dtype of each picture column, ``image`` or ``video``."""
        return {name: f["dtype"] for name, f in self.features.items() if f.get("dtype") in ("image", "video")}


def is_lerobot(path: Path) -> bool:
    """Whether a folder is a LeRobotDataset."""
    return (path / INFO_FILE).is_file()


def open_dataset(root: Path) -> Dataset:
    """Read what a dataset says of itself.

    Raises:
        ConfigError: pyarrow is missing.
        DataError: it is no LeRobotDataset v3.0.
    """
    try:
        info = json.loads((root / INFO_FILE).read_text(encoding="utf-8"))
        version, fps, features = str(info["codebase_version"]), float(info["fps"]), dict(info["features"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"{root} is no LeRobot dataset: {INFO_FILE} cannot be read ({type(e).__name__} {e})") from e
    if not version.startswith("v3."):
        raise DataError(
            f"{root} is a LeRobot dataset {version}, expected {VERSION}: convert it with LeRobot's own tool"
        )
    if fps <= 0 or not all(isinstance(f, dict) for f in features.values()):
        raise DataError(f"{root}: {INFO_FILE} states {fps:g} frames a second and features of an unknown kind")
    rows = [row for file in _files(root / "meta" / "episodes") for row in _episode_rows(file)]
    return Dataset(root, fps, features, {row["episode_index"]: row for row in rows})


def import_lerobot(path: Path, out: Path, mapping: ImportMapping | None = None) -> ImportReport:
    """Write the episodes of a LeRobotDataset v3.0 as episode files.

    Args:
        path: folder of the dataset.
        out: folder of the files; it may not exist. Our own exports get their file names back.
        mapping: what the columns mean; needed for datasets that are not ours, not used for ours.

    Raises:
        ConfigError: pyarrow or the mapping is missing.
        DataError: the dataset or the mapping does not fit.
        StorageError: the disk refuses.
    """
    pyarrow()
    dataset = open_dataset(path)
    own = (path / SIDECAR).is_file()
    if not own and mapping is None:
        raise ConfigError(f"{path} was not exported by robot-rl: say with --task, --state and --action what it holds")
    with new_folder(out) as folder:
        return _import_own(dataset, folder) if own or mapping is None else _import_foreign(dataset, folder, mapping)


def _import_own(dataset: Dataset, folder: Path) -> ImportReport:
    sidecar = read_table(dataset.root / SIDECAR)
    form = (sidecar.schema.metadata or {}).get(b"robot_rl", b"").decode(errors="replace")
    if form != SIDECAR_FORMAT:
        raise DataError(f"{dataset.root / SIDECAR} has format {form!r}, expected {SIDECAR_FORMAT!r}")
    known = {row["episode_index"]: row for row in sidecar.to_pylist()}
    episodes = steps = 0
    for index, table in _episode_tables(dataset.root):
        if index not in known:
            raise DataError(f"{dataset.root / SIDECAR} lacks episode {index}: import without it as a foreign dataset")
        row = known[index]
        meta = EpisodeMeta.from_strings(json.loads(row["header"]))
        columns = _columns(table)
        final = Observation(
            np.array(row["final_state"], np.float32),
            {p["camera"]: decode_picture(p["png"], f"episode {index}") for p in row["final_pictures"]},
        )
        pictures = _pictures(dataset, index, table)
        named = [{name.removeprefix(PICTURE): image for name, image in p.items()} for p in pictures]
        with EpisodeWriter(folder / _safe(row["file"]), meta) as writer:
            for record in records_of(columns, named, final, episode_id=row["episode_id"], task=meta.task):
                writer.append(record)
        episodes, steps = episodes + 1, steps + table.num_rows
    return ImportReport(episodes, steps, exact="video" not in dataset.cameras.values())


def _import_foreign(dataset: Dataset, folder: Path, mapping: ImportMapping) -> ImportReport:
    full = replace(mapping, state=mapping.state or (STATE,), action=mapping.action or ACTION)
    found = ((index, _foreign(dataset, index, table)) for index, table in _episode_tables(dataset.root))
    return write_foreign((episode for _, episode in found), folder, full, origin="LeRobotDataset v3.0")


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("chunk-*/file-*.parquet"))
    if not files:
        raise DataError(f"{folder} holds no chunk-*/file-*.parquet, as a LeRobot dataset v3 does")
    return files


def _episode_rows(file: Path) -> list[dict[str, Any]]:
    pa = pyarrow()
    try:
        names = [n for n in pa.parquet.read_schema(file).names if not n.startswith("stats/")]
        rows: list[dict[str, Any]] = pa.parquet.read_table(file, columns=names).to_pylist()
    except (OSError, pa.ArrowException) as e:
        raise DataError(f"cannot read {file}: {' '.join(str(e).split())}") from e
    if rows and "episode_index" not in rows[0]:
        raise DataError(f"{file} has no column 'episode_index'")
    return rows


def _episode_tables(root: Path) -> Iterator[tuple[int, Any]]:
    """Rows of one episode after the other, at most a few episodes in memory."""
    pa = pyarrow()
    held: list[Any] = []
    current = -1
    for file in _files(root / "data"):
        try:
            for batch in pa.parquet.ParquetFile(file).iter_batches(batch_size=256):
                table = pa.Table.from_batches([batch])
                index = to_numpy(table, "episode_index")
                edges = [0, *(np.flatnonzero(np.diff(index)) + 1).tolist(), len(index)]
                for begin, end in pairwise(edges):
                    if held and index[begin] != current:
                        yield _joined(current, held)
                        held = []
                    current = int(index[begin])
                    held.append(table.slice(begin, end - begin))
        except (OSError, pa.ArrowException) as e:
            raise DataError(f"cannot read {file}: {' '.join(str(e).split())}") from e
    if held:
        yield _joined(current, held)


def _joined(index: int, pieces: list[Any]) -> tuple[int, Any]:
    table = pyarrow().concat_tables(pieces)
    if to_numpy(table, "frame_index").tolist() != list(range(table.num_rows)):
        raise DataError(f"the frames of episode {index} are not numbered 0, 1, 2, ... in order")
    return index, table


def _columns(table: Any) -> Columns:
    pa, out = pyarrow(), {}
    for name in table.column_names:
        kind = table.schema.field(name).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            out[name] = np.array(table.column(name).to_pylist(), object)
        elif not pa.types.is_struct(kind):
            out[name] = to_numpy(table, name)
    return out


def _pictures(dataset: Dataset, index: int, table: Any) -> list[dict[str, Image]]:
    """Pictures of an episode by column, for each of its frames."""
    out: list[dict[str, Image]] = [{} for _ in range(table.num_rows)]
    for name, dtype in dataset.cameras.items():
        if dtype == "video":
            frames = _video_frames(dataset, index, name, table.num_rows)
        else:
            where = f"{name} of episode {index}"
            frames = (decode_picture(_embedded(p, where), where) for p in table.column(name).to_pylist())
        for images, image in zip(out, frames, strict=True):
            images[name] = image
    return out


def _embedded(picture: Any, where: str) -> bytes:
    data = picture.get("bytes") if isinstance(picture, dict) else None
    if not isinstance(data, bytes):
        raise DataError(f"{where} refers to a picture outside the dataset, expected its bytes in the table")
    return data


def _video_frames(dataset: Dataset, index: int, name: str, count: int) -> Iterator[Image]:
    try:
        row = dataset.episodes[index]
        number = int(row[f"videos/{name}/chunk_index"]), int(row[f"videos/{name}/file_index"])
        from_s = float(row[f"videos/{name}/from_timestamp"])
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(f"meta/episodes does not say where the video {name!r} of episode {index} is") from e
    file = dataset.root / "videos" / name / f"chunk-{number[0]:03d}" / f"file-{number[1]:03d}.mp4"
    return read_video(file, from_s, count, dataset.fps)


def _foreign(dataset: Dataset, index: int, table: Any) -> ForeignEpisode:
    numbers = {name: values.reshape(len(values), -1).astype(np.float64) for name, values in _numeric(table).items()}
    pictures = _pictures(dataset, index, table)
    frames = [
        Frame(
            {name: rows[i] for name, rows in numbers.items()},
            {name.removeprefix(PICTURE): image for name, image in pictures[i].items()},
        )
        for i in range(table.num_rows)
    ]
    return ForeignEpisode(frames, hz=dataset.fps)


def _numeric(table: Any) -> Columns:
    """Columns of numbers or of lists of numbers; text and what is nested deeper is passed over."""
    pa, wanted = pyarrow(), []
    for name in table.column_names:
        kind = table.schema.field(name).type
        item = kind.value_type if hasattr(kind, "value_type") else kind
        if pa.types.is_integer(item) or pa.types.is_floating(item) or pa.types.is_boolean(item):
            wanted.append(name)
    return _columns(table.select(wanted))


def _safe(name: str) -> PurePosixPath:
    """A file name out of a dataset, which must stay inside the folder it is written to."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.suffix != SUFFIX:
        raise DataError(f"the dataset names an episode file {name!r}, expected a path below the folder and {SUFFIX}")
    return path
