"""Rows of the fault matrix and the page they are written to."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from robot_rl.runtime.run_folder import machine
from tests.faults.evidence import Audit

HEAD = """\
# Reliability

What is broken on purpose, and what it costs. This page is written by the run itself: `make faults` repeats it.

{facts}

## Faults

Real `robot-rl train Reach` and its real actor, slowed down to {hz:g} control steps a second. A witness inside both
processes writes down every step that moves the robot, every record that reaches a disk and every acknowledgement; that
account is compared with the files of the actor (spool) and of the learner (archive) at the end.

- acknowledged lost: steps the learner had confirmed and does not have. Must be 0.
- logged lost: steps that were in the actor's spool and are nowhere now. Must be 0.
- unlogged: steps that moved the robot and were not in the spool yet when a process ended: the most of any single end,
  the step that was being executed included. The step that is being executed cannot be saved, so 1 is the aim.
- twice: steps twice in the archive or in a replay buffer. Must be 0.
- recovered: from the fault (a process ended, the network came back) to the next step in the archive, which includes the
  start of Python and of JAX where a process was started anew; median and longest.
- robot: whether it moved where it had to stand still, or beyond what the learner had allowed.

| fault | times | acknowledged lost | logged lost | unlogged | twice | recovered, s | robot | verdict |
|---|---|---|---|---|---|---|---|---|
"""


# Paths of one machine are of no interest to others.
_LEADING_FOLDERS = re.compile(r"(?:/[^\s/“”]+){2,}/")


@dataclass
class Row:
    """One fault.

    Attributes:
        fault: in words.
        times: how often it was caused.
        audit: account of the run.
        recovered_s: time to the next archived step, each time.
        robot: what the robot did.
        notes: what else is worth saying.
        wrong: broken promises; empty is a pass.
        not_run: why it was left out, or empty.
    """

    fault: str
    times: int = 1
    audit: Audit | None = None
    recovered_s: list[float] = field(default_factory=list)
    robot: str = ""
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    not_run: str = ""

    def line(self) -> str:
        """The row in Markdown."""
        if self.not_run:
            return f"| {self.fault} | 0 | | | | | | | not run: {self.not_run} |"
        a = self.audit
        counts = [""] * 4 if a is None else [str(n) for n in (a.acked_lost, a.written_lost, a.unlogged, a.duplicates)]
        times = self.recovered_s
        recovered = f"{median(times):.1f}, {max(times):.1f}" if len(times) > 1 else f"{times[0]:.1f}" if times else ""
        verdict = "; ".join(["pass" if not self.wrong else "**FAIL** " + "; ".join(self.wrong), *self.notes])
        cells = [self.fault, str(self.times), *counts, recovered, self.robot, verdict]
        return (
            "| " + " | ".join(_LEADING_FOLDERS.sub("…/", c.replace("|", "/").replace("\n", " ")) for c in cells) + " |"
        )


def judged(row: Row) -> Row:
    """The row with the broken promises of its account."""
    if row.audit is not None:
        row.wrong += row.audit.problems
    return row


def write_page(rows: Sequence[Row], sections: Sequence[str], path: Path, *, command: str, hz: float) -> None:
    """Write table and sections.

    Args:
        rows: of the matrix.
        sections: Markdown of the parts that follow it.
        path: of the page.
        command: that made it.
        hz: control rate.
    """
    here = machine()
    when = datetime.now().astimezone().isoformat(timespec="minutes")
    facts = f"Made on {when} by `{command}` on {here['processor']}, {here['cores']} cores, {here['system']}."
    lines = [HEAD.format(facts=facts, hz=hz) + "\n".join(row.line() for row in rows), *sections]
    path.write_text("\n\n".join(lines).rstrip() + "\n", encoding="utf-8")


def save_rows(rows: Sequence[Row], path: Path) -> None:
    """Keep the rows, so that a part can be repeated without the rest."""
    path.write_text(json.dumps([asdict(r) for r in rows], indent=1), encoding="utf-8")


def load_rows(path: Path) -> list[Row]:
    """Inverse of `save_rows`."""
    rows = []
    for data in json.loads(path.read_text(encoding="utf-8")):
        audit = data.pop("audit")
        rows.append(Row(**data, audit=None if audit is None else Audit(**audit)))
    return rows
