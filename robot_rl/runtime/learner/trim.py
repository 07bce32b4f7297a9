"""Cutting a run's tables back to a checkpoint, so that everything after it is written once."""

from __future__ import annotations

import json
from pathlib import Path

from robot_rl.runtime.learner.learner import Counters
from robot_rl.runtime.monitor.csv_log import drop_rows_after
from robot_rl.runtime.monitor.metrics import EVALUATIONS, PROCESS_TABLE
from robot_rl.runtime.run_folder import replace_text


def trim_tables(folder: Path, counters: Counters | None) -> None:
    """Drop what was written after a checkpoint, and half-written lines.

    Args:
        folder: of the run.
        counters: of the checkpoint; None to drop everything.
    """
    c = counters if counters is not None else Counters(env_steps=-1, updates=-1)
    drop_rows_after(folder / "episodes.csv", "episode", c.episodes - 1)
    drop_rows_after(folder / PROCESS_TABLE, "episode", c.episodes - 1)
    drop_rows_after(folder / "learner.csv", "update", c.updates)
    drop_rows_after(folder / "actors.csv", "env_step", c.env_steps)
    drop_lines_after(folder / EVALUATIONS, "env_step", c.env_steps)


def drop_lines_after(path: Path, key: str, limit: float) -> int:
    """Remove the lines of a JSON-lines file whose `key` exceeds `limit`, and those that are not whole.

    Returns:
        How many were removed.
    """
    if not path.is_file():
        return 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    keep = [line for line in lines if _value(line, key) <= limit]
    if len(keep) < len(lines):
        replace_text(path, "".join(f"{line}\n" for line in keep))
    return len(lines) - len(keep)


def _value(line: str, key: str) -> float:
    try:
        return float(json.loads(line)[key])
    except (ValueError, KeyError, TypeError):
        return float("inf")
