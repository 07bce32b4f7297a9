"""A smaller copy of a dataset: whole episodes, byte for byte; nothing is changed or removed where it came from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.data.catalog import Entry
from robot_rl.data.labels import LABELS_FILE

THINNED_FILE = "thinned.json"


@dataclass(frozen=True)
class Rule:
    """What a smaller dataset keeps.

    Attributes:
        every: keep the first of every so many episodes; 1 keeps all.
        max_gb: keep at most so many GB (10^9 bytes), the episodes spread evenly over the dataset; None for no limit.
        successes_only: drop episodes that did not end in success.
        keep_interventions: episodes in which an operator took over are exempt from the other rules; `max_gb` drops them
            only when nothing else is left to drop.
    """

    every: int = 1
    max_gb: float | None = None
    successes_only: bool = False
    keep_interventions: bool = False

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: a number is out of range.
        """
        if self.every < 1:
            raise ConfigError(f"every is {self.every}, expected at least 1")
        if self.max_gb is not None and not self.max_gb > 0.0:
            raise ConfigError(f"max_gb is {self.max_gb}, expected more than 0")


@dataclass(frozen=True)
class Choice:
    """Which files stay.

    Attributes:
        kept: in their order.
        dropped: with the reason of each: ``not whole``, ``no success``, ``thinned out``, ``over the size``.
    """

    kept: tuple[Entry, ...]
    dropped: tuple[tuple[Entry, str], ...]


def choose(entries: Sequence[Entry], rule: Rule) -> Choice:
    """Apply a rule; files that are not whole are always dropped."""
    reasons: dict[Path, str] = {e.path: "not whole" for e in entries if not e.whole}

    def exempt(entry: Entry) -> bool:
        return rule.keep_interventions and entry.interventions > 0

    def drop(reason: str, unwanted: Callable[[int, Entry], bool]) -> None:
        left = [e for e in entries if e.path not in reasons and not exempt(e)]
        reasons.update({e.path: reason for i, e in enumerate(left) if unwanted(i, e)})

    if rule.successes_only:
        drop("no success", lambda i, e: not e.success)
    if rule.every > 1:
        drop("thinned out", lambda i, e: i % rule.every != 0)
    if rule.max_gb is not None:
        left = [e for e in entries if e.path not in reasons]
        fitting = _fitting(left, exempt, 1e9 * rule.max_gb)
        reasons.update({e.path: "over the size" for e in left if e.path not in fitting})
    kept = tuple(e for e in entries if e.path not in reasons)
    return Choice(kept, tuple((e, reasons[e.path]) for e in entries if e.path in reasons))


def copy_chosen(choice: Choice, out: Path, rule: Rule) -> Path:
    """Copy the kept files and their labels, with the folders they lie in below their common one; list what was dropped.

    Args:
        choice: of `choose`.
        out: a folder that is absent or empty.
        rule: written down beside the files.

    Returns:
        The list of what was kept and dropped, ``<out>/thinned.json``.

    Raises:
        DataError: nothing is kept, or the folder holds something.
        StorageError: the folder cannot be written.
    """
    if not choice.kept:
        raise DataError(f"no episode is left by the rule {rule}, so nothing is copied")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is not an empty folder: choose another, nothing is overwritten")
    everything = [e.path for e in choice.kept] + [e.path for e, _ in choice.dropped]
    root = Path(os.path.commonpath([p.absolute().parent for p in everything]))
    listing = {
        "source": str(root),
        "rule": asdict(rule),
        "kept": [str(e.path.absolute().relative_to(root)) for e in choice.kept],
        "dropped": {str(e.path.absolute().relative_to(root)): reason for e, reason in choice.dropped},
    }
    try:
        for name in listing["kept"]:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, out / name)
        for folder in {Path(name).parent for name in listing["kept"]}:
            if (root / folder / LABELS_FILE).is_file():
                shutil.copy2(root / folder / LABELS_FILE, out / folder / LABELS_FILE)
        (out / THINNED_FILE).write_text(json.dumps(listing, indent=1), encoding="utf-8")
    except OSError as e:
        raise StorageError(
            f"cannot copy into {out}: {e.strerror or e}; what is there so far is a part of the copy"
        ) from e
    return out / THINNED_FILE


def _fitting(entries: Sequence[Entry], first: Callable[[Entry], bool], limit_bytes: float) -> set[Path]:
    """Episodes that fit into a size: those wanted first, then ever finer between those taken already."""
    order = sorted(range(len(entries)), key=lambda i: (not first(entries[i]), _van_der_corput(i), i))
    taken, size = set[Path](), 0
    for i in order:
        if size + entries[i].bytes <= limit_bytes:
            taken.add(entries[i].path)
            size += entries[i].bytes
    return taken


def _van_der_corput(index: int) -> float:
    """The index with its binary digits mirrored at the point, in [0, 1)."""
    value, place = 0.0, 0.5
    while index:
        value += place * (index & 1)
        index, place = index >> 1, place / 2
    return value
