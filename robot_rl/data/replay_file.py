"""A replay buffer as one file: a zip of plain arrays (npz, checksums included) with a JSON header. No pickle.

Steps that are not in their slots yet travel as the same bytes as in the episode log, so that a buffer which is loaded
continues exactly like the one that was saved.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record, unpack_record
from robot_rl.data.frames import FrameStore, Region
from robot_rl.data.streams import Known, Open, Turns

FORMAT = 1
_HEADER = "header"
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Layout:
    """What must agree between a file and the buffer that loads it.

    Attributes:
        state_checksum: of the state layout.
        capacity: frames of the ring.
        pinned: frames for demonstrations.
        camera_shapes: by name.
    """

    state_checksum: str
    capacity: int
    pinned: int
    camera_shapes: Mapping[str, tuple[int, int, int]]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        cameras = {name: list(shape) for name, shape in self.camera_shapes.items()}
        return {**vars(self), "camera_shapes": cameras}


@dataclass
class Contents:
    """The mutable parts of a buffer, restored in place.

    Attributes:
        store: frames and index sets.
        ring: region of online experience.
        demos: region of demonstrations.
        turns: episodes being written.
        known: every episode seen.
        held: unfinished demonstrations.
        counters: plain numbers.
    """

    store: FrameStore
    ring: Region
    demos: Region
    turns: Turns
    known: dict[str, Known]
    held: dict[str, Open]
    counters: dict[str, int]

    @property
    def regions(self) -> dict[str, Region]:
        """Both regions by name."""
        return {"ring": self.ring, "demos": self.demos}


def save_replay(path: Path, layout: Layout, contents: Contents) -> None:
    """Write a buffer to `path`, by way of a temporary file beside it.

    Raises:
        DataError: the disk refuses; an older file stays whole.
    """
    arrays = dict(_stored_arrays(contents))
    header = _header(layout, contents, arrays)
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **{_HEADER: np.frombuffer(header, np.uint8)}, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as e:
        raise DataError(f"cannot save the replay to {path}: {e.strerror or e}") from e


def load_replay(path: Path, layout: Layout, contents: Contents) -> dict[str, int]:
    """Read a file into an existing buffer and return its counters.

    Raises:
        DataError: the file is absent, damaged or of another layout; `contents` are unchanged.
    """
    try:
        with open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
            header = json.loads(file[_HEADER].tobytes())
            _check_layout(path, header, layout)
            arrays: Arrays = {name: file[name] for name in file.files if name != _HEADER}
        open_episodes = _unpack_open(header, arrays)
        counters = {str(name): int(value) for name, value in header["counters"].items()}
        _restore(header, arrays, open_episodes, contents)
    except OSError as e:
        raise DataError(f"cannot load the replay {path}: {e.strerror or e}") from e
    except (LookupError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as e:
        raise DataError(f"the replay {path} is damaged: {type(e).__name__} {e}") from e
    return counters


def _stored_arrays(contents: Contents) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    store = contents.store
    for name, region in contents.regions.items():
        used = slice(region.start, region.high_water)
        yield f"{name}.rows", store.rows[used]
        yield f"{name}.episode", store.episode[used]
        yield f"{name}.step", store.step[used]
        for camera, images in store.images.items():
            yield f"{name}.image.{camera}", images[used]
    yield "index.online", store.online.members
    yield "index.demo", store.demo.members
    packed = [pack_record(r) for e in _all_open(contents).values() for r in _records(e)]
    yield "records.bytes", np.frombuffer(b"".join(packed), np.uint8)
    yield "records.sizes", np.array([len(p) for p in packed], np.int64)


def _header(layout: Layout, contents: Contents, arrays: Arrays) -> bytes:
    return json.dumps(
        {
            "format": FORMAT,
            "layout": layout.to_json(),
            "counters": contents.counters,
            "regions": {name: [r.tip, r.high_water, r.owner, r.overwritten] for name, r in contents.regions.items()},
            "owner": contents.turns.owner,
            "known": {name: list(asdict(known).values()) for name, known in contents.known.items()},
            "open": [
                [name, e.pinned, name in contents.held, len(e.staged), e.pending is not None]
                for name, e in _all_open(contents).items()
            ],
            "arrays": {name: [str(a.dtype), *a.shape] for name, a in arrays.items()},
        }
    ).encode()


def _all_open(contents: Contents) -> dict[str, Open]:
    return {**contents.turns.open, **contents.held}


def _records(episode: Open) -> list[StepRecord]:
    return [*([episode.pending] if episode.pending is not None else []), *episode.staged]


def _check_layout(path: Path, header: dict[str, Any], layout: Layout) -> None:
    if header["format"] != FORMAT:
        raise DataError(f"the replay {path} has format {header['format']}, expected {FORMAT}")
    expected = layout.to_json()
    different = [
        f"{name} {header['layout'].get(name)} (expected {value})"
        for name, value in expected.items()
        if header["layout"].get(name) != value
    ]
    if different:
        raise DataError(f"the replay {path} belongs to another buffer: {', '.join(different)}")


def _unpack_open(header: dict[str, Any], arrays: Arrays) -> list[tuple[str, bool, Open]]:
    """Unfinished episodes as ``(id, held, episode)``; also checks that the arrays are those of the header."""
    for name, (dtype, *shape) in header["arrays"].items():
        if str(arrays[name].dtype) != dtype or list(arrays[name].shape) != shape:
            raise ValueError(f"{name} is {arrays[name].dtype}{list(arrays[name].shape)}, expected {dtype}{shape}")
    data, at = arrays["records.bytes"].tobytes(), 0
    records = []
    for size in arrays["records.sizes"].tolist():
        records.append(unpack_record(data[at : at + size]))
        at += size
    out = []
    source = iter(records)
    for name, pinned, held, staged, has_pending in header["open"]:
        pending = next(source) if has_pending else None
        known = Known(*header["known"][name])
        out.append((name, held, Open(known, pinned, [next(source) for _ in range(staged)], pending)))
    return out


def _restore(
    header: dict[str, Any], arrays: Arrays, open_episodes: list[tuple[str, bool, Open]], contents: Contents
) -> None:
    store = contents.store
    known = {name: Known(*values) for name, values in header["known"].items()}
    regions = {name: [int(v) for v in values] for name, values in header["regions"].items()}
    store.clear()
    for name, region in contents.regions.items():
        region.tip, region.high_water, region.owner, region.overwritten = regions[name]
        used = slice(region.start, region.high_water)
        store.rows[used] = arrays[f"{name}.rows"]
        store.episode[used] = arrays[f"{name}.episode"]
        store.step[used] = arrays[f"{name}.step"]
        for camera, images in store.images.items():
            images[used] = arrays[f"{name}.image.{camera}"]
    store.online.restore(arrays["index.online"])
    store.demo.restore(arrays["index.demo"])
    contents.known.clear()
    contents.known.update(known)
    contents.held.clear()
    contents.turns.open.clear()
    contents.turns.owner = header["owner"]
    for name, held, episode in open_episodes:
        episode.known = known[name]
        (contents.held if held else contents.turns.open)[name] = episode
