"""``robot-rl teleop TASK``: drive the arm by hand, to try a device or to move things about; nothing is recorded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.cells import IN_PROCESS
from robot_rl.runtime.config import Option

if TYPE_CHECKING:
    from robot_rl.envs.tasks.base import Snapshot


@dataclass(frozen=True)
class TeleopArguments:
    """Drive the arm by hand; nothing is recorded. docs/devices.md shows keys, buttons and axes.

    Attributes:
        task: id of the task, whose workspace, speeds and start poses hold.
        device: what you hold: spacemouse, gamepad, gamepad:/dev/input/js1, keyboard, or several joined by a plus sign.
        mode: hold moves while the device is moved or its button held; latch until the button is pressed again.
        cell: sim for the simulation in this process, ros for the same as ROS 2 nodes, another bundled cell, or the path
            of a cell's YAML.
        seed: of initial states.
        task_options: options of the task, as NAME=VALUE.
    """

    task: Annotated[str, tyro.conf.Positional] = "Reach"
    device: str = "spacemouse"
    mode: Literal["hold", "latch"] = "hold"
    cell: str = IN_PROCESS
    seed: int = 0
    task_options: dict[str, Option] = field(default_factory=dict)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: TeleopArguments = parse(TeleopArguments, argv, verb="teleop")
    from robot_rl.envs import make_env
    from robot_rl.hardware.devices import describe_teleop, open_teleop
    from robot_rl.runtime.acting import ActingConfig
    from robot_rl.runtime.collector import Collector
    from robot_rl.runtime.demos import Still
    from robot_rl.runtime.operator import keep_open
    from robot_rl.runtime.paced import Paced
    from robot_rl.runtime.stop import stop_on_signals

    options: dict[str, Any] = dict(a.task_options)
    print(describe_teleop(a.device))
    with ExitStack() as stack:
        device = stack.enter_context(closing(open_teleop(a.device, mode=a.mode)))
        env = make_env(a.task, cell=a.cell, **options)
        paced = stack.enter_context(closing(Paced(env)))
        collector = Collector(paced, Still(), ActingConfig(a.seed, "teleop"), make_teleop=keep_open(device))
        stop = stack.enter_context(stop_on_signals())
        ended = ""
        while not (collector.ended or stop.requested):
            records = collector.step()
            ended = next((f", ended: {r.stop_reason}" for r in reversed(records) if r.last), ended)
            if sys.stdout.isatty():
                print(f"\r\x1b[K{describe(env.snapshot, paused=collector.paused)}{ended}", end="", flush=True)
        collector.interrupt()
    print(f"\n{collector.env_steps} steps, {collector.next_episode} episodes")
    return 0


def describe(now: Snapshot, *, paused: bool) -> str:
    """Where the arm is and what it feels, in one line."""
    x, y, z = 1e3 * now.arm.pose_base_tcp[:3]
    force_n = float(np.linalg.norm(now.arm.wrench_tcp[:3]))
    state = now.arm.fault or ("paused" if paused else "ready")
    return f"{state}: tool at {x:.0f}, {y:.0f}, {z:.0f} mm, {force_n:.0f} N, gripper {1e3 * now.gripper.width_m:.0f} mm"
