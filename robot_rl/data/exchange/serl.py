"""Demonstrations and buffers of SERL and HIL-SERL: pickled lists of transitions, cut into episodes.

A transition is a dictionary of ``observations``, ``actions``, ``next_observations``, ``rewards``, ``masks``, ``dones``
and sometimes ``infos`` and ``grasp_penalty``. Episodes end where ``dones`` says so, and wherever a transition does not
begin with what the one before it ended with, as in files of human transitions only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.data.exchange.episodes_out import ImportReport, write_foreign
from robot_rl.data.exchange.folder import new_folder
from robot_rl.data.exchange.foreign import ForeignEpisode, Frame, ImportMapping
from robot_rl.data.exchange.restricted_pickle import load_plain

SUFFIXES = (".pkl", ".pickle")
_NEEDED = ("observations", "actions", "next_observations", "rewards", "dones")


def serl_files(path: Path) -> list[Path]:
    """The pickles at a path in the order of the numbers in their names; empty if there are none."""
    if path.is_file():
        return [path] if path.suffix in SUFFIXES else []
    files = [p for p in path.iterdir() if p.suffix in SUFFIXES] if path.is_dir() else []
    return sorted(files, key=lambda p: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", p.name)])


def import_serl(path: Path, out: Path, mapping: ImportMapping) -> ImportReport:
    """Write the episodes of SERL or HIL-SERL pickles as episode files.

    Args:
        path: a pickle, or a folder of them such as ``buffer`` or ``demo_buffer``.
        out: folder of the files; it may not exist.
        mapping: what the columns mean; state and action default to ``state`` and ``actions``.

    Raises:
        ConfigError: the mapping lacks something.
        DataError: there is no pickle, one holds something else than transitions, or the mapping does not fit.
        StorageError: the disk refuses.
    """
    files = serl_files(path)
    if not files:
        raise DataError(f"there is no {' or '.join(SUFFIXES)} file at {path}")
    full = replace(mapping, state=mapping.state or ("state",), action=mapping.action or "actions")
    with new_folder(out) as folder:
        return write_foreign(episodes(files), folder, full, origin="SERL pickle")


def episodes(files: list[Path]) -> Iterator[ForeignEpisode]:
    """Episodes in files of transitions; one may go on in the next file.

    Raises:
        DataError: a file holds something else than a list of transitions.
    """
    frames: list[Frame] = []
    final: Frame | None = None
    for file in files:
        content = load_plain(file)
        if not isinstance(content, list) or not content:
            raise DataError(f"{file} holds a {type(content).__name__}, expected a list of transitions")
        for i, transition in enumerate(content):
            frame, after, done = _transition(transition, f"transition {i} of {file}")
            if frames and final is not None and not _same(final, frame):
                yield ForeignEpisode(frames, final, "gap")
                frames = []
            frames, final = [*frames, frame], after
            if done:
                yield ForeignEpisode(frames, final, "done")
                frames = []
    if frames:
        yield ForeignEpisode(frames, final, "gap")


def _transition(value: Any, where: str) -> tuple[Frame, Frame, bool]:
    if not isinstance(value, dict) or any(name not in value for name in _NEEDED):
        got = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise DataError(f"{where} is {got}, expected a dictionary with {', '.join(_NEEDED)}")
    frame = _observation(value["observations"], where)
    others = {k: v for k, v in value.items() if k not in ("observations", "next_observations", "infos")}
    infos = value.get("infos")
    columns = dict(_numbers(others)) | {f"infos.{k}": v for k, v in _numbers(infos if isinstance(infos, dict) else {})}
    if "infos.intervene_action" in columns:
        columns["is_intervention"] = np.ones(1)
    if "dones" not in columns or columns["dones"].size != 1:
        raise DataError(f"{where} has a 'dones' that is not one truth value")
    after = _observation(value["next_observations"], where)
    return Frame({**frame.values, **columns}, frame.images), after, bool(columns["dones"][0])


def _observation(value: Any, where: str) -> Frame:
    parts = value if isinstance(value, dict) else {"state": value}
    images = {k: v for k, v in parts.items() if isinstance(v, np.ndarray) and v.dtype == np.uint8 and v.ndim >= 3}
    for name, image in images.items():
        newest = image.reshape(-1, *image.shape[-3:])[-1]  # the last of the stacked frames
        if newest.shape[-1] != 3 or newest.size == 0:
            raise DataError(f"{where} has a picture {name!r} of shape {list(image.shape)}, expected [..., H, W, 3]")
        images[name] = newest
    values = dict(_numbers({k: v for k, v in parts.items() if k not in images}))
    return Frame(values, {str(name): image for name, image in images.items()})


def _numbers(parts: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Numeric leaves of nested dictionaries under dotted names, the newest of stacked rows; the rest is passed over."""
    for name, value in parts.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | np.ndarray | np.generic):
            array = np.asarray(value)
            if array.size and array.dtype.kind in "biuf":
                yield f"{prefix}{name}", array.reshape(-1, array.shape[-1] if array.ndim else 1)[-1].astype(np.float64)


def _same(a: Frame, b: Frame) -> bool:
    values = all(k in b.values and np.array_equal(v, b.values[k]) for k, v in a.values.items())
    return values and all(k in b.images and np.array_equal(v, b.images[k]) for k, v in a.images.items())
