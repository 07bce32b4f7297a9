"""All that `robot-rl doctor CELL` looks at, and the refusal to train on what is bad."""

from __future__ import annotations

from pathlib import Path

from robot_rl.core.errors import DeviceError
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.runtime.doctor import machine, robot, software
from robot_rl.runtime.doctor.cameras import check_cameras
from robot_rl.runtime.doctor.finding import Finding, Level


def check_cell(config: CellConfig, out_dir: Path = Path("runs")) -> list[Finding]:
    """Look at everything a cell depends on; takes some seconds, moves nothing.

    Args:
        config: the cell.
        out_dir: where runs are written.
    """
    return [
        machine.check_kernel(config),
        machine.check_priority(config),
        machine.check_governor(config),
        machine.check_cores(config),
        machine.check_timers(config),
        machine.check_clock(config),
        machine.check_memory(config),
        machine.check_disk(out_dir),
        software.check_rmw(config),
        *software.check_drivers(config),
        *software.check_graphics(config),
        software.check_gpu(),
        *robot.check_way(config),
        *check_cameras(config),
    ]


def require_healthy(config: CellConfig, out_dir: Path = Path("runs")) -> None:
    """Look, and refuse.

    Raises:
        DeviceError: something is bad; names it and what to do.
    """
    found = [f for f in check_cell(config, out_dir) if f.level is Level.BAD]
    if found:
        listed = "; ".join(f"{f.name}: {f.text} ({f.remedy})" for f in found)
        raise DeviceError(f"not healthy enough to train: {listed}")
