"""Whole episodes out of cut or damaged files, beside them or elsewhere; the originals are never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robot_rl.core.errors import DataError
from robot_rl.data.episode_log import PARTIAL, SUFFIX, read_episode, recover

RECOVERED = ".recovered"


@dataclass(frozen=True)
class Repair:
    """What became of one file that was not whole.

    Attributes:
        source: the broken file, as it was.
        target: the whole episode made of it, or None.
        steps: complete steps in the broken file.
        kept: steps in the new one.
        text: one sentence saying what was lost, or why nothing could be made of it.
    """

    source: Path
    target: Path | None
    steps: int
    kept: int
    text: str


def repair(paths: Sequence[Path], out: Path | None = None) -> list[Repair]:
    """Recover every file that is not whole; whole ones are passed over.

    Args:
        paths: episode files.
        out: folder of the new files, which then keep their names; None puts ``name.recovered.mcap`` beside each.

    Raises:
        DataError: two broken files would get the same name in `out`.
    """
    broken = [p for p in paths if not _is_whole(p)]
    targets = [_target(p, out) for p in broken]
    twice = sorted({t for t in targets if targets.count(t) > 1})
    if twice:
        raise DataError(f"several broken files would be written to {twice[0]}: repair their folders one by one")
    return [_repair(source, target) for source, target in zip(broken, targets, strict=True)]


def _target(path: Path, out: Path | None) -> Path:
    name = path.name.removesuffix(PARTIAL).removesuffix(SUFFIX)
    return path.with_name(f"{name}{RECOVERED}{SUFFIX}") if out is None else out / f"{name}{SUFFIX}"


def _repair(source: Path, target: Path) -> Repair:
    if target.exists():
        return Repair(source, None, 0, 0, f"{target} exists already and is not overwritten")
    try:
        broken = read_episode(source, strict=False, images=False, labels=False)
        whole = recover(source, target)
    except DataError as e:
        return Repair(source, None, 0, 0, str(e))
    steps, kept = len(broken.records), len(whole.records)
    why = f" ({broken.problem})" if broken.problem else ""
    lost = "what came after them is lost" if not broken.records[-1].last else "nothing is lost, only the file's end"
    if kept < steps:
        lost += "; the last of them became the final observation, because its action has no known outcome"
    return Repair(source, target, steps, kept, f"{steps} complete steps were found{why}; {lost}")


def _is_whole(path: Path) -> bool:
    try:
        return read_episode(path, strict=False, images=False, labels=False).complete
    except DataError:
        return False
