"""Each check sees what is wrong, and asks only for what the cell needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from robot_rl.hardware.cell.description import CameraConfig, CellConfig, NetworkConfig, load_cell
from robot_rl.runtime.doctor import machine
from robot_rl.runtime.doctor.finding import Level, bad, ok, warn, worst

SIM, REAL = load_cell("sim"), load_cell("franka")


def test_a_kernel_that_is_not_real_time_is_bad_for_a_robot_only(tmp_path: Path) -> None:
    absent = tmp_path / "realtime"
    ordinary, preempting = "#1 SMP PREEMPT_DYNAMIC", "#1 SMP PREEMPT_RT"
    assert machine.check_kernel(SIM, ordinary, absent).level is Level.OK
    assert machine.check_kernel(REAL, ordinary, absent).level is Level.BAD
    relaxed = replace(REAL, robot=replace(REAL.robot, realtime="ignore"))
    assert machine.check_kernel(relaxed, ordinary, absent).level is Level.WARN
    assert machine.check_kernel(REAL, preempting, absent).level is Level.OK
    absent.write_text("1\n")
    assert machine.check_kernel(REAL, ordinary, absent).level is Level.OK


@pytest.mark.parametrize(
    ("governor", "level"), [("powersave", Level.WARN), ("performance", Level.OK), (None, Level.OK)]
)
def test_governor(tmp_path: Path, governor: str | None, level: Level) -> None:
    if governor is not None:
        file = tmp_path / "cpu0" / "cpufreq" / "scaling_governor"
        file.parent.mkdir(parents=True)
        file.write_text(governor + "\n")
    assert machine.check_governor(REAL, tmp_path).level is level


def test_a_clock_without_time_service_matters_between_machines() -> None:
    assert machine.check_clock(REAL, machine.STA_UNSYNC).level is Level.OK
    spread = replace(REAL, network=NetworkConfig(reach="environment"))
    assert machine.check_clock(spread, machine.STA_UNSYNC).level is Level.WARN
    assert machine.check_clock(spread, 0).level is Level.OK


def test_shared_memory_that_is_not_there(tmp_path: Path) -> None:
    assert machine.check_memory(SIM, tmp_path / "no").level is Level.BAD
    assert "MiB free" in machine.check_memory(replace(SIM, cameras={"wrist": CameraConfig()})).text


def test_disk_and_timers_say_what_they_measured(tmp_path: Path) -> None:
    assert "GiB free" in machine.check_disk(tmp_path / "not" / "yet").text
    assert "ms late" in machine.check_timers(SIM, sleeps=20).text


def test_worst() -> None:
    assert worst([]) is Level.OK
    assert worst([ok("a", ""), bad("b", "", "x"), warn("c", "", "y")]) is Level.BAD


def test_every_problem_has_a_remedy() -> None:
    cells: list[CellConfig] = [SIM, REAL]
    checks = [machine.check_kernel, machine.check_priority, machine.check_governor, machine.check_cores]
    for finding in (check(cell) for check in checks for cell in cells):
        assert (finding.remedy != "") == (finding.level is not Level.OK), finding
