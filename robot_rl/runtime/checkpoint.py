"""Checkpoints: a folder per checkpoint that is either whole and verified, or does not exist.

``checkpoints/<update>/`` holds ``agent.safetensors`` (everything to go on training), ``actor.safetensors`` (what acting
and evaluation need), ``state.json`` (counters, random states, versions) and ``manifest.json`` (SHA-256 of the files).
The newest one also holds the replay. It is written under another name, flushed to the disk and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError

FORMAT = 1
Arrays = Mapping[str, npt.NDArray[Any]]
_REPLAY = "replay"
_BEST = "best.json"


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

    @property
    def replay_path(self) -> Path:
        """Where the replay was saved; only the newest checkpoint has it."""
        return self.path / _REPLAY


def save_checkpoint(
    root: Path,
    update: int,
    *,
    agent: Arrays,
    actor: Arrays,
    state: Mapping[str, Any],
    save_replay: Callable[[Path], None] | None = None,
    keep: int = 3,
) -> Path:
    """Write a checkpoint, then delete what rotation no longer keeps.

    Args:
        root: the run's ``checkpoints`` folder.
        update: number of update calls so far; names the folder.
        agent: arrays of the agent's state.
        actor: arrays of the acting policy.
        state: plain data for ``state.json``.
        save_replay: writes the replay to the path it is given.
        keep: newest checkpoints to keep besides the best.

    Returns:
        The checkpoint's folder.

    Raises:
        DataError: the disk is full or not writable; older checkpoints are untouched.
    """
    final, partial = root / f"{update:09d}", root / f".{update:09d}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_arrays(partial / "agent.safetensors", agent)
        _write_arrays(partial / "actor.safetensors", actor)
        (partial / "state.json").write_text(json.dumps({"format": FORMAT, **state}, indent=1), encoding="utf-8")
        if save_replay is not None:
            save_replay(partial / _REPLAY)
        _write_manifest(partial)
        _publish(partial, final)
    except OSError as e:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(f"cannot write the checkpoint {final}: {e.strerror or e}") from e
    _rotate(root, final, keep)
    return final


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Args:
        path: the checkpoint's folder.

    Raises:
        DataError: it is absent, incomplete, damaged or of another format.
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
        DataError: naming the first file that is missing or differs.
    """
    if not path.is_dir():
        raise DataError(f"there is no checkpoint at {path}")
    hashes = _read_json(path / "manifest.json", path).get("sha256")
    if not isinstance(hashes, dict) or not {"agent.safetensors", "actor.safetensors", "state.json"} <= set(hashes):
        raise DataError(f"the checkpoint {path} is broken: its manifest.json does not list its files")
    for name in names or tuple(hashes):
        file = path / name
        if not file.is_file():
            raise DataError(f"the checkpoint {path} is broken: {name} is missing")
        if _sha256(file) != hashes[name]:
            raise DataError(f"the checkpoint {path} is broken: {name} does not match its recorded hash")


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
    (root / _BEST).write_text(json.dumps({"update": update, "score": score}), encoding="utf-8")
    return True


def _best(root: Path) -> tuple[int, float]:
    try:
        data = json.loads((root / _BEST).read_text(encoding="utf-8"))
        return int(data["update"]), float(data["score"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1, float("-inf")


def _rotate(root: Path, newest: Path, keep: int) -> None:
    best = f"{_best(root)[0]:09d}"
    found = list_checkpoints(root)
    for path in found[:-keep]:
        if path.name != best and path != newest:
            shutil.rmtree(path, ignore_errors=True)
    for path in found:
        if path != newest:
            _drop_replay(path)


def _drop_replay(path: Path) -> None:
    # The manifest loses the replay first: a crash in between leaves files that nobody asks for.
    manifest = path / "manifest.json"
    try:
        hashes = _read_json(manifest, path).get("sha256", {})
    except DataError:
        return
    kept = {k: v for k, v in hashes.items() if k.split("/")[0].split(".")[0] != _REPLAY}
    if len(kept) != len(hashes):
        _replace_json(manifest, {"sha256": kept})
    for file in path.glob(f"{_REPLAY}*"):
        if file.is_dir():
            shutil.rmtree(file, ignore_errors=True)
        else:
            file.unlink(missing_ok=True)


def _publish(partial: Path, final: Path) -> None:
    for file in partial.rglob("*"):
        if file.is_file():
            _flush(file)
    _flush(partial)
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    _flush(final.parent)


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
    from safetensors.numpy import save_file

    save_file({k: np.asarray(v, order="C") for k, v in arrays.items()}, path)


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as e:
        raise DataError(f"{path} is not a readable safetensors file: {e}") from e


def _read_json(path: Path, checkpoint: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"the checkpoint {checkpoint} is broken: {path.name} is missing") from None
    except (OSError, ValueError) as e:
        raise DataError(f"the checkpoint {checkpoint} is broken: {path.name} is not readable JSON ({e})") from e
    if not isinstance(data, dict):
        raise DataError(f"the checkpoint {checkpoint} is broken: {path.name} holds no mapping")
    return data
