"""Filling the replay from the log when a run is resumed, checked against what the checkpoint was made with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.runtime.learner.archive import Archive, Lengths
from robot_rl.runtime.transport.fields import Place

REPORT_EVERY_S = 3.0


@dataclass(frozen=True)
class Rebuilt:
    """What was read.

    Attributes:
        known: steps that the checkpoint was made with.
        new: steps that came after it.
        seconds: it took.
    """

    known: int
    new: int
    seconds: float


def to_plain(lengths: Lengths) -> dict[str, list[list[int]]]:
    """Steps by actor and episode number, as they are written into a checkpoint."""
    return {actor: [[number, steps] for number, steps in of.items()] for actor, of in lengths.items()}


def from_plain(data: Mapping[str, Sequence[Sequence[int]]]) -> Lengths:
    """Inverse of `to_plain`.

    Raises:
        DataError: it is something else.
    """
    try:
        return {str(actor): {int(number): int(steps) for number, steps in of} for actor, of in data.items()}
    except (AttributeError, TypeError, ValueError) as e:
        raise DataError(f"the checkpoint's account of episodes cannot be read: {e}") from e


def ends(lengths: Lengths) -> dict[str, Place]:
    """Last place by actor."""
    return {actor: (max(of), of[max(of)] - 1) for actor, of in lengths.items() if of}


def rebuild(
    archive: Archive,
    account: Lengths,
    *,
    known: Callable[[StepRecord], Any],
    new: Callable[[StepRecord], Any] | None,
    images: bool = True,
    accept_loss: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Rebuilt:
    """Read the whole archive once.

    Args:
        archive: not read yet.
        account: steps the checkpoint was made with; empty without one.
        known: given those, in the order in which they were taken.
        new: given the later ones; None to pass over them.
        images: decode pictures too.
        accept_loss: only report what is missing or damaged.
        report: prints a line now and then when it takes long.

    Raises:
        DataError: a finished file is damaged, or steps are missing that the checkpoint was made with; says where.
    """
    until, total = ends(account), sum(sum(of.values()) for of in account.values())
    counts, damaged, start_s = [0, 0], list[str](), time.monotonic()
    said_s = start_s
    for record in archive.load(images=images, damaged=damaged.append):
        actor, number = archive.owner(record.episode_id)
        is_new = actor not in until or (number, record.step_index) > until[actor]
        counts[is_new] += 1
        if not is_new:
            known(record)
        elif new is not None:
            new(record)
        if time.monotonic() - said_s > REPORT_EVERY_S:
            said_s = time.monotonic()
            report(f"reading the log: {sum(counts):,} steps, {total:,} of them in the checkpoint")
    problem = lacking(account, archive.lengths, archive.folder) or next(iter(damaged), "")
    if problem and not accept_loss:
        raise DataError(f"{problem}; put back what is missing, or go on without it with --accept-loss")
    if problem:
        report(problem)
    return Rebuilt(counts[0], counts[1], time.monotonic() - start_s)


def lacking(account: Lengths, found: Lengths, folder: Path) -> str:
    """One sentence about steps that should be there, empty if all are."""
    short = [
        (folder / actor / f"{number:06d}.mcap", found.get(actor, {}).get(number, 0), steps)
        for actor, of in account.items()
        for number, steps in of.items()
        if found.get(actor, {}).get(number, 0) < steps
    ]
    if not short:
        return ""
    path, got, expected = short[0]
    others = f", and {len(short) - 1} more episodes are short" if len(short) > 1 else ""
    return f"the log lacks steps that the checkpoint was made with: {path} yields {got} of {expected} steps{others}"
