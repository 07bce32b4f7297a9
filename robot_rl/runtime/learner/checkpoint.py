"""Checkpoints: a folder per checkpoint that is either whole and verified, or does not exist.

``checkpoints/<update>/`` holds ``agent.safetensors`` (agent and optimisers), ``actor.safetensors`` (what acting and
evaluation need), ``state.json`` (counters, random states, configuration, versions, and which episodes had been learned
from) and ``manifest.json`` (SHA-256 of the files). Experience is not in it: the log holds that. A checkpoint is written
under another name, flushed to the disk and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError, StorageError

FORMAT = 3
Arrays = Mapping[str, npt.NDArray[Any]]
_BEST = "best.json"
_DAMAGED = ".damaged"


class BrokenCheckpoint(DataError):
    """A checkpoint is incomplete or damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        path: its folder.
        agent: named arrays of the agent's state.
        actor: named arrays of the acting policy.
        state: counters, random states, specifications.
    """

    path: Path
    agent: dict[str, npt.NDArray[Any]]
    actor: dict[str, npt.NDArray[Any]]
    state: dict[str, Any]


def save_checkpoint(
    root: Path,
    update: int,
    *,
    agent: Arrays,
    actor: Arrays,
    state: Mapping[str, Any],
    keep: int = 3,
    keep_also: Collection[int] = (),
) -> Path:
    """Write a checkpoint, then delete what rotation no longer keeps.

    Args:
        root: the run's ``checkpoints`` folder.
        update: number of update calls so far; names the folder.
        agent: arrays of the agent's state.
        actor: arrays of the acting policy.
        state: plain data for ``state.json``.
        keep: newest checkpoints to keep besides the best.
        keep_also: updates whose checkpoints somebody still needs.

    Returns:
        The checkpoint's folder.

    Raises:
        StorageError: the disk is full or not writable; older checkpoints are untouched.
    """
    final, partial = root / f"{update:09d}", root / f".{update:09d}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_arrays(partial / "agent.safetensors", agent)
        _write_arrays(partial / "actor.safetensors", actor)
        (partial / "state.json").write_text(json.dumps({"format": FORMAT, **state}), encoding="utf-8")
        _write_manifest(partial)
        _publish(partial, final)
    except OSError as e:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(f"cannot write the checkpoint {final}: {e.strerror or e}") from e
    _rotate(root, keep, {final.name, *(f"{n:09d}" for n in keep_also)})
    return final


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Args:
        path: the checkpoint's folder.

    Raises:
        BrokenCheckpoint: it is incomplete or damaged.
        DataError: it is absent or of another format.
    """
    verify_checkpoint(path)
    state = _read_json(path / "state.json", path)
    if state.get("format") != FORMAT:
        raise DataError(f"the checkpoint {path} has format {state.get('format')}, this version reads {FORMAT}")
    return Checkpoint(path, _read_arrays(path / "agent.safetensors"), _read_arrays(path / "actor.safetensors"), state)


def load_actor(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Only what acting needs: the policy's arrays and ``state.json``.

    Raises:
        DataError: as `load_checkpoint`.
    """
    verify_checkpoint(path, ("actor.safetensors", "state.json"))
    return _read_arrays(path / "actor.safetensors"), _read_json(path / "state.json", path)


def verify_checkpoint(path: Path, names: tuple[str, ...] = ()) -> None:
    """Compare files with their recorded hashes: all of them, or those named.

    Raises:
        BrokenCheckpoint: naming the first file that is missing or differs.
        DataError: there is no such folder.
    """
    if not path.is_dir():
        raise DataError(f"there is no checkpoint at {path}")
    hashes = _read_json(path / "manifest.json", path).get("sha256")
    if not isinstance(hashes, dict) or not {"agent.safetensors", "actor.safetensors", "state.json"} <= set(hashes):
        raise BrokenCheckpoint(f"the checkpoint {path} is broken: its manifest.json does not list its files")
    for name in names or tuple(hashes):
        file = path / name
        if not file.is_file():
            raise BrokenCheckpoint(f"the checkpoint {path} is broken: {name} is missing")
        if _sha256(file) != hashes[name]:
            raise BrokenCheckpoint(f"the checkpoint {path} is broken: {name} does not match its recorded hash")


def list_checkpoints(root: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(p for p in root.glob("[0-9]*") if p.is_dir() and p.name.isdigit())


def latest_checkpoint(root: Path) -> Path:
    """The newest checkpoint.

    Raises:
        DataError: there is none.
    """
    found = list_checkpoints(root)
    if not found:
        raise DataError(f"there is no checkpoint in {root}")
    return found[-1]


def load_newest_sound(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole; damaged ones newer than it are renamed to ``<update>.damaged``.

    Returns:
        The checkpoint, None if there is none at all; and a sentence about each damaged one.

    Raises:
        DataError: there are checkpoints and none of them is whole, or one is of another format.
    """
    problems: list[str] = []
    found = list_checkpoints(root)
    for path in reversed(found):
        try:
            saved = load_checkpoint(path)
        except BrokenCheckpoint as e:
            problems.append(str(e))
            continue
        for damaged in found[found.index(path) + 1 :]:
            target = damaged.with_name(damaged.name + _DAMAGED)
            shutil.rmtree(target, ignore_errors=True)
            damaged.rename(target)
        return saved, problems
    if found:
        raise BrokenCheckpoint(f"{problems[0]}; no other one is whole: remove {root} to learn again from the log alone")
    return None, []


def best_checkpoint(root: Path) -> Path:
    """The checkpoint marked by `mark_best`, or the newest if none is."""
    number = _best(root)[0]
    path = root / f"{number:09d}"
    return path if path.is_dir() else latest_checkpoint(root)


def mark_best(root: Path, update: int, score: float) -> bool:
    """Remember a checkpoint as the best if its score is at least that of the best so far.

    Returns:
        Whether it is.
    """
    number, best = _best(root)
    if (root / f"{number:09d}").is_dir() and score < best:
        return False
    _replace_json(root / _BEST, {"update": update, "score": score})
    return True


def _best(root: Path) -> tuple[int, float]:
    try:
        data = json.loads((root / _BEST).read_text(encoding="utf-8"))
        return int(data["update"]), float(data["score"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1, float("-inf")


def _rotate(root: Path, keep: int, needed: Collection[str]) -> None:
    best = f"{_best(root)[0]:09d}"
    for path in list_checkpoints(root)[:-keep]:
        if path.name != best and path.name not in needed:
            shutil.rmtree(path, ignore_errors=True)


def _publish(partial: Path, final: Path) -> None:
    for file in partial.rglob("*"):
        if file.is_file():
            _flush(file)
    _flush(partial)
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    partial.rename(final)
    _flush(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_manifest(folder: Path) -> None:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    _replace_json(folder / "manifest.json", {"sha256": {p.relative_to(folder).as_posix(): _sha256(p) for p in files}})


def _replace_json(path: Path, data: Any) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
    partial.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_arrays(path: Path, arrays: Arrays) -> None:
    from safetensors.numpy import save

    path.write_bytes(save({k: np.asarray(v, order="C") for k, v in arrays.items()}))


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as e:
        raise BrokenCheckpoint(f"{path} is not a readable safetensors file: {e}") from e


def _read_json(path: Path, checkpoint: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BrokenCheckpoint(f"the checkpoint {checkpoint} is broken: {path.name} is missing") from None
    except (OSError, ValueError) as e:
        raise BrokenCheckpoint(f"the checkpoint {checkpoint} is broken: {path.name} is not readable JSON ({e})") from e
    if not isinstance(data, dict):
        raise BrokenCheckpoint(f"the checkpoint {checkpoint} is broken: {path.name} holds no mapping")
    return data
