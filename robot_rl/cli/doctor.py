"""``robot-rl doctor [CELL]``: what a bug report needs, and whether a cell is fit to train."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.main import EXIT_ERROR

MARKS = {"ok": " ok ", "warn": "warn", "bad": "BAD "}


@dataclass(frozen=True)
class DoctorArguments:
    """Print versions, machine, graphics and learning back end; with CELL, also whether it is fit to train.

    For a cell: kernel, priorities, processor clock, timers, clock, shared memory, disk, middleware, driver packages,
    graphics, the learner's device, the way to the robot and its firmware, the rate of each real camera. Nothing moves.
    Exit code 2 if something is bad. `robot-rl train --require-healthy` runs the same and refuses.

    Attributes:
        cell: YAML of a cell, or the name of a bundled one.
        out_dir: where runs will be written.
    """

    cell: tyro.conf.Positional[str] = ""
    out_dir: Path = Path("runs")


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a = parse(DoctorArguments, argv, verb="doctor")
    if a.cell:
        return _cell(a.cell, a.out_dir)
    from robot_rl.runtime.doctor.software import check_gpu, render
    from robot_rl.runtime.run_folder import machine, versions

    for name, value in {**versions(), **machine()}.items():
        print(f"{name:12} {value}")
    print(f"{'disk':12} {shutil.disk_usage('.').free / 2**30:.1f} GiB free here")
    print(f"{'jax':12} {check_gpu().text}")
    for backend in ("egl", "osmesa"):
        answer = render(backend)
        hint = "" if answer == "works" else " (videos need libegl1 with libgl1-mesa-dri, or libosmesa6)"
        print(f"{'render':12} {backend}: {answer}{hint}")
    return 0


def _cell(source: str, out_dir: Path) -> int:
    from robot_rl.hardware.cell.description import load_cell
    from robot_rl.runtime.doctor.check import check_cell
    from robot_rl.runtime.doctor.finding import Level, worst

    findings = check_cell(load_cell(source), out_dir)
    for f in findings:
        print(f"[{MARKS[f.level.value]}] {f.name:14} {f.text}")
        if f.remedy:
            print(f"{'':22}-> {f.remedy}")
    level = worst(findings)
    verdicts = {
        Level.OK: "fit to train",
        Level.WARN: "fit to train, with less margin than it could have",
        Level.BAD: "not fit to train: see BAD above",
    }
    print(verdicts[level])
    return EXIT_ERROR if level is Level.BAD else 0
