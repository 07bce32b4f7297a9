"""``make faults``: everything in this folder that takes long, and the page that says how it went.

``python -m tests.faults.run [PART ...] [--kills 50] [--minutes 10]`` runs the parts named, or all; results are kept in
``--work`` so that the page also shows parts of earlier runs of the same work folder.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults import soak as soaking
from tests.faults.cases_disk import full_disks
from tests.faults.cases_network import networks, strangers
from tests.faults.cases_peers import malformed, old_schema
from tests.faults.cases_processes import clock_jumps, doubles, kills, stops
from tests.faults.fuzz import Outcome, fuzz_files, fuzz_messages, fuzz_records
from tests.faults.rig import ROBOT_HZ, ROOT
from tests.faults.table import Row, load_rows, save_rows, write_page

PICTURE = "images/soak.svg"
CASES: dict[str, Callable[[Path], list[Row]]] = {
    "kills": kills,
    "stops": stops,
    "networks": networks,
    "disks": full_disks,
    "clock": clock_jumps,
    "malformed": malformed,
    "doubles": doubles,
    "old_schema": old_schema,
    "strangers": strangers,
}
INPUTS = {"messages": 80_000, "records": 40_000, "files": 1_000}


def main(argv: list[str] | None = None) -> int:
    """Run the parts; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="tests.faults.run", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join([*CASES, 'fuzz', 'soak'])}; all by default")
    parser.add_argument("--kills", type=int, default=50, help="how many kills in all")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak")
    parser.add_argument("--work", type=Path, default=Path("build/faults"), help="folder for runs and results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "reliability.md", help="where the page goes")
    args = parser.parse_args(argv)
    wanted = args.parts or [*CASES, "fuzz", "soak"]
    unknown = set(wanted) - {*CASES, "fuzz", "soak"}
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}")
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in wanted:
        start_s = time.monotonic()
        print(f"== {name}", flush=True)
        failed |= _part(name, work, args.page, args.kills, args.minutes)
        print(f"   {time.monotonic() - start_s:.0f} s", flush=True)
        _write(work, args.page, "make faults" if not args.parts else "make faults, part by part")
    return int(failed)


def _part(name: str, work: Path, page: Path, n_kills: int, minutes: float) -> bool:
    """Run one part and keep its result; whether it failed."""
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if name == "soak":
        result = soaking.soak(folder, minutes)
        soaking.write_csv(result, work / "soak.csv")
        soaking.draw(result, page.parent / PICTURE)
        (work / "soak.md").write_text(soaking.section(result, PICTURE), encoding="utf-8")
        print("\n".join(result.wrong), flush=True)
        return bool(result.wrong)
    if name == "fuzz":
        text, bad = _fuzz(folder)
        (work / "fuzz.md").write_text(text, encoding="utf-8")
        return bad
    rows = kills(folder, n_kills) if name == "kills" else CASES[name](folder)
    save_rows(rows, work / f"{name}.json")
    for row in rows:
        print(row.line(), flush=True)
    return any(row.wrong for row in rows)


def _fuzz(folder: Path) -> tuple[str, bool]:
    outcomes = {
        "messages, decoded and their contents used": fuzz_messages(INPUTS["messages"], 7),
        "step records": fuzz_records(INPUTS["records"], 7),
        "episode files": fuzz_files(INPUTS["files"], folder, 7),
    }
    lines = [
        "## Malformed inputs",
        "",
        "Mutations of valid inputs and noise, read in one process. `DataError` is the only exception allowed.",
        "",
        "| what | inputs | refused | still well-formed | other exceptions | memory grown, peak, MiB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {name} | {_counts(outcome)} |" for name, outcome in outcomes.items()]
    for name, outcome in outcomes.items():
        lines += [f"- {name}: {text} ({n} times)" for text, n in outcome.findings.most_common(10)]
    return "\n".join(lines), any(o.findings for o in outcomes.values())


def _counts(o: Outcome) -> str:
    memory = f"{o.grown_mib:.0f}, {o.peak_mib:.0f}"
    return f"{o.inputs:,} | {o.refused:,} | {o.accepted:,} | {sum(o.findings.values())} | {memory}"


def _write(work: Path, page: Path, command: str) -> None:
    rows = [row for name in CASES if (work / f"{name}.json").exists() for row in load_rows(work / f"{name}.json")]
    parts = [work / "fuzz.md", work / "soak.md"]
    write_page(rows, [p.read_text() for p in parts if p.exists()], page, command=command, hz=ROBOT_HZ)


if __name__ == "__main__":
    sys.exit(main())
