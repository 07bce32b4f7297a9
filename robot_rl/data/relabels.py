"""What a model says of recorded steps after the fact: ``relabels/NAME.safetensors`` beside the episode files.

Episode files are never edited. One file holds one reward component, one value for each step of each episode of its
folder, and says which model gave them and when. Whoever learns from the episodes names the relabels it wants; the file
of another name, and what was recorded, stay as they are.

Layout of the file: a tensor ``float32[T]`` for each episode, by its id; metadata ``robot_rl``, a JSON text with format,
component, model, time and note.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from robot_rl.core.errors import ConfigError, DataError, unknown_name
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Float32
from robot_rl.data.append_file import storage_error, sync_folder
from robot_rl.data.rewards import COMPONENTS, check_values

RELABELS_FOLDER = "relabels"
SUFFIX = ".safetensors"
FORMAT = 1
SUCCESS = "success"
TIME_OUT = "time_out"
_KEY = "robot_rl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Relabels:
    """One component of the episodes of one folder.

    Attributes:
        name: under which it is asked for.
        component: which reward component the values are, one of `robot_rl.data.rewards.COMPONENTS`.
        model: checksum of the model that gave them.
        values: one finite value for each step ``float32[T]`` by episode id.
        time_s: Unix time at which they were written.
        note: for people.
    """

    name: str
    component: str
    model: str
    values: Mapping[str, Float32]
    time_s: float = 0.0
    note: str = ""

    @property
    def version(self) -> int:
        """What is stamped on relabelled steps as their `StepRecord.reward_version`: positive, from the model."""
        return (zlib.crc32(self.model.encode()) & 0x7FFFFFFF) or 1


def relabels_path(folder: Path, name: str) -> Path:
    """Where the relabels of a name are, or would be.

    Raises:
        ConfigError: the name cannot be that of a file.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot name relabels: expected 1 to 64 letters, digits, dots, dashes, underscores")
    return folder / RELABELS_FOLDER / f"{name}{SUFFIX}"


def relabel_names(folder: Path) -> list[str]:
    """Names of the relabels that a folder of episodes has."""
    return sorted(path.name.removesuffix(SUFFIX) for path in (folder / RELABELS_FOLDER).glob(f"*{SUFFIX}"))


def write_relabels(
    folder: Path, name: str, component: str, model: str, values: Mapping[str, Float32], *, note: str = ""
) -> Path:
    """Write, or replace as a whole, the relabels of a folder; on the disk when this returns.

    Args:
        folder: where the episode files are.
        name: of the relabels.
        component: which reward component the values are.
        model: checksum of the model that gave them.
        values: one finite value for each step by episode id, at least one episode.
        note: for people.

    Returns:
        The file.

    Raises:
        ConfigError: the name cannot be that of a file.
        DataError: the component is unknown, or values are missing or not finite.
        StorageError: the disk refuses; what was there before is still there.
    """
    from safetensors.numpy import save

    path = relabels_path(folder, name)
    _check_component(component)
    if not values:
        raise DataError(f"relabels {name!r} of {folder} would be empty: expected the values of at least one episode")
    rows = {episode: check_values(v, len(v)) for episode, v in values.items()}
    facts = {"format": FORMAT, "component": component, "model": model, "time_s": time.time(), "note": note}
    data = save({episode: np.ascontiguousarray(v) for episode, v in rows.items()}, {_KEY: json.dumps(facts)})
    work = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(exist_ok=True)
        with open(work, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(work, path)
        sync_folder(path.parent)
    except OSError as e:
        with contextlib.suppress(OSError):
            work.unlink(missing_ok=True)
        raise storage_error("write", path, e) from e
    return path


def read_relabels(folder: Path, name: str) -> Relabels:
    """The relabels of a folder.

    Raises:
        ConfigError: the name cannot be that of a file.
        DataError: there are none of that name, which lists those there are; or the file is something else.
        StorageError: the disk does not give the file away.
    """
    from safetensors import SafetensorError, safe_open

    path = relabels_path(folder, name)
    if not path.is_file():
        known = relabel_names(folder)
        raise DataError(f"{folder}: {unknown_name('relabels', name, known)}; robot-rl reward relabel makes them")
    try:
        with safe_open(path, "numpy") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            values = {episode: file.get_tensor(episode) for episode in file.keys()}  # noqa: SIM118 (no mapping)
        if facts["format"] != FORMAT:
            raise DataError(f"{path} has format {facts['format']}, expected {FORMAT}: relabel again")
        _check_component(facts["component"])
        rows = {episode: check_values(v, len(v)) for episode, v in values.items()}
        return Relabels(name, facts["component"], facts["model"], rows, float(facts["time_s"]), facts["note"])
    except OSError as e:
        raise storage_error("read", path, e) from e
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"{path} holds no relabels ({e}): delete it and relabel again") from e


def apply_relabels(records: Sequence[StepRecord], relabels: Relabels) -> list[StepRecord]:
    """The steps of one episode as relabelled; the given ones stay as they are.

    Another component than success is replaced step by step. Success also moves the end: the episode terminates with the
    first step that is relabelled as one, and what came after it is left out; an episode without one counts as cut at
    its last step if it was recorded as a success.

    Args:
        records: one episode from step 0, all of its steps.
        relabels: of its folder.

    Raises:
        DataError: they lack the episode, or have another number of steps.
    """
    if not records:
        return []
    episode = records[-1].episode_id
    values = relabels.values.get(episode)
    if values is None:
        raise DataError(
            f"relabels {relabels.name!r} say nothing of episode {episode!r}, which was recorded later or elsewhere: "
            "relabel the folder again"
        )
    new = check_values(values, len(records))
    relabelled = [
        replace(r, rewards={**r.rewards, relabels.component: float(v)}, reward_version=relabels.version)
        for r, v in zip(records, new, strict=True)
    ]
    return _move_end(relabelled) if relabels.component == SUCCESS else relabelled


def _move_end(records: list[StepRecord]) -> list[StepRecord]:
    """End the episode where success says so."""
    first = next((i for i, r in enumerate(records) if r.rewards[SUCCESS] > 0.5), None)
    last = records[-1]
    if first is None:
        if not last.last or last.stop_reason != SUCCESS:
            return records
        return [*records[:-1], replace(last, terminated=False, truncated=True, stop_reason=TIME_OUT)]
    after = records[first].final_obs if first + 1 == len(records) else records[first + 1].obs
    if after is None:
        # cut by a crash right after the step: what followed it was never seen
        return records
    end = replace(records[first], terminated=True, truncated=False, stop_reason=SUCCESS, final_obs=after)
    return [*records[:first], end]


def _check_component(component: str) -> None:
    if component not in COMPONENTS:
        raise DataError(unknown_name("reward component", component, COMPONENTS))
