"""Which processes a cell consists of: the one list for `robot-rl cell up` and the launch files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.environment import carries_pictures, cell_environment

EMULATOR = "fci-emulator"
ROBOT_RL = (sys.executable, "-m", "robot_rl.cli")
# Small matrices: threads would only take the cores from one another.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class Stage(IntEnum):
    """When a process is stopped: the highest first. What moves the arm outlives whatever tells it to."""

    GROUND = 0
    ARM = 1
    ARBITER = 2
    REST = 3


@dataclass(frozen=True)
class ProcessSpec:
    """One process of a cell.

    Attributes:
        name: of the node, such as ``arbiter`` or ``camera:wrist``; or `EMULATOR`.
        argv: command line.
        env: variables it needs beside the present ones.
        stage: stopped together with others of its stage, before those of lower ones.
        essential: without it there is no cell; otherwise the cell goes on while it is down.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    stage: Stage
    essential: bool = False

    @property
    def is_node(self) -> bool:
        """Whether it is a ROS 2 node, that is, `robot-rl node NAME`."""
        return self.name != EMULATOR


def with_task(config: CellConfig, task: str) -> CellConfig:
    """A cell with the objects of another task, unless that is empty; options of its own task do not carry over."""
    return replace(config, task=task, task_options={}) if task not in ("", config.task) else config


def processes(config: CellConfig, source: Path, *, task: str = "") -> tuple[ProcessSpec, ...]:
    """What to start for a cell, in order.

    Args:
        config: the cell.
        source: YAML that the processes read, which says the same.
        task: whose objects a simulated cell holds instead of the description's; empty for none.
    """
    config = with_task(config, task)
    env = {**_ONE_THREAD, "PYTHONUNBUFFERED": "1"}
    arm = "sim" if config.robot.provider == "sim" else "arm"
    found: list[tuple[str, Stage]] = []
    if config.record is not None:
        found.append(("recorder", Stage.GROUND))
    if config.robot.emulated:
        found.append((EMULATOR, Stage.GROUND))
    found += [(arm, Stage.ARM), ("arbiter", Stage.ARBITER)]
    if arm == "arm" and config.gripper.provider != "none":
        found.append(("gripper", Stage.REST))
    if arm == "arm":
        found.append(("world", Stage.REST))
    found += [(f"camera:{name}", Stage.REST) for name in config.cameras]
    if config.teleop.provider != "none":
        found.append(("teleop", Stage.REST))
    if config.reward:
        found.append(("reward", Stage.REST))
    options = ("--task", task) if task else ()
    return tuple(
        ProcessSpec(
            name,
            _emulator(config) if name == EMULATOR else (*ROBOT_RL, "node", name, str(source), *options),
            {**cell_environment(config, pictures=carries_pictures(name)), **env},
            stage,
            essential=stage in (Stage.ARM, Stage.ARBITER) or name == EMULATOR,
        )
        for name, stage in found
    )


def _emulator(config: CellConfig) -> tuple[str, ...]:
    options = [f"{name}={value}" for name, value in config.task_options.items()]
    return (
        *ROBOT_RL,
        EMULATOR,
        "--address",
        config.robot.address,
        "--task",
        config.task,
        *(["--task-options", *options] if options else []),
        "--seed",
        str(config.seed),
    )
