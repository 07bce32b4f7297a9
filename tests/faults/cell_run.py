"""``make faults-cell``: breaks a live cell on purpose, and writes what followed into docs/safety.md.

``python -m tests.faults.cell_run [CASE ...] [--times 3]`` runs some of the cases, or all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from robot_rl.runtime.run_folder import machine
from tests.faults.cell_cases import HEAD, Row, all_rows
from tests.faults.cell_rig import ROOT

BEGIN, END = "<!-- live faults: written by make faults-cell -->", "<!-- end of live faults -->"
CASES = ("actor", "commands", "two", "estop", "camera", "stale", "arbiter", "robot", "arm")


def main(argv: list[str] | None = None) -> int:
    """Run the cases; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="tests.faults.cell_run", description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--times", type=int, default=3, help="how often each")
    parser.add_argument("--work", type=Path, default=Path("build/faults-cell"), help="folder for logs and results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "safety.md", help="page with the table")
    args = parser.parse_args(argv)
    if unknown := set(args.cases) - set(CASES):
        parser.error(f"unknown cases {sorted(unknown)}")
    args.work.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    rows = all_rows(args.work.resolve(), args.times, lambda n: not args.cases or n in args.cases, _show)
    print(f"{time.monotonic() - began_s:.0f} s", flush=True)
    write(args.page, args.work, f"make faults-cell TIMES={args.times}")
    return int(any(row.wrong for row in rows))


def _show(row: Row) -> None:
    print(row.line(), flush=True)


def write(page: Path, work: Path, command: str) -> None:
    """Put the newest result of every case into the page, between its two marks."""
    rows = []
    for case in CASES:
        file = work / f"{case}.json"
        if file.exists():
            rows += [Row(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
    facts = machine()
    made = datetime.now(UTC).isoformat(timespec="minutes")
    lines = [
        f"Made on {made} by `{command}` on {facts['processor']}, {facts['cores']} cores, {facts['system']}.",
        "",
        HEAD,
        *(row.line() for row in rows),
    ]
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
