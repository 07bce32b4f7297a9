"""One sequence of actions through every depth of simulation, compared: ``python -m tests.hardware.ros.golden``.

``L0`` is the simulation in this process, ``L1`` the same behind ROS 2 nodes in real time, ``L2`` the production driver
on the emulated robot, behind the nodes of a real cell. Prints the table of the documentation.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robot_rl.controllers.se3 import apply_tool_delta, quat_angle
from robot_rl.core.protocols import Cell
from robot_rl.core.types import Array
from robot_rl.envs.tasks import make_task
from robot_rl.envs.tasks.base import Task
from tests.hardware.ros.golden_depths import HZ, Depth, Tap, open_depth

DEPTHS = ("L0", "L1", "L2")
TASKS = ("PickCube", "PegInsert")
STEPS = 30


@dataclass(frozen=True)
class Step:
    """One control step.

    Attributes:
        before: measured pose that the action counts from ``[7]``.
        executed: action that was executed ``[7]``.
        commanded: target that the environment gave the arm ``[7]``.
        arrived: target that the arm had at the end of the step ``[7]``.
        after: measured pose then ``[7]``.
        late_s: how late the step woke up.
        age_s: of the reading it then took.
    """

    before: Array
    executed: Array
    commanded: Array
    arrived: Array
    after: Array
    late_s: float
    age_s: float


def actions(task: Task, steps: int = STEPS) -> Array:
    """A smooth sequence ``[steps, 7]`` in free space, with the gripper closing half way where it is used."""
    phase = np.linspace(0.0, 2.0 * np.pi, steps)
    sequence = np.zeros((steps, 7))
    sequence[:, 0] = 0.6 * np.sin(phase)
    sequence[:, 1] = 0.5 * np.cos(phase)
    # Back and forth along the tool: down first, into the room between the start and the table.
    sequence[:, 2] = 0.3 * np.sin(2.0 * phase)
    sequence[:, 5] = 0.5 * np.sin(phase)
    if task.action_spec.gripper_active:
        sequence[steps // 2 :, 6] = -1.0
    return sequence.astype(np.float32)


def run_actions(depth: Depth, sequence: Array) -> list[Step]:
    """(a) The environment steps through the actions, each from where it measures the tool."""
    env = depth.env
    env.reset(options={"start": env.task.sample_start(np.random.default_rng(7))})
    steps = []
    for action in sequence:
        before = env.snapshot.arm.pose_base_tcp
        *_, info = env.step(action)
        arm = env.snapshot.arm
        age_s = env.cell.clock.now_s() - arm.t_s
        commanded = apply_tool_delta(before, action[:6] * env.action_spec.step)
        arrived, after = depth.arrived(commanded), arm.pose_base_tcp
        steps.append(Step(before, info["action_executed"], commanded, arrived, after, info["late_s"], age_s))
        assert not info["stop_reason"], info
    return steps


def replay(depth: Depth, targets: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """(b) Absolute targets at every tick; what the arm had, and where the tool was, at the end of each step."""
    env, cell = depth.env, depth.env.cell
    env.reset(options={"start": env.task.sample_start(np.random.default_rng(7))})
    arrived, after, tick_s = [], [], cell.clock.now_s()
    for target in targets:
        cell.arm.set_target(target)
        tick_s += 1.0 / HZ
        cell.clock.sleep_until(tick_s)
        arrived.append(depth.arrived(target))
        after.append(cell.arm.state().pose_base_tcp)
    cell.arm.hold()
    return arrived, after


def delays_s(cell: Cell, tap: Tap, n: int = 100) -> Array:
    """How long targets take from `set_target` to where the arm's node hears them."""
    delays = []
    pose = cell.arm.state().pose_base_tcp
    for k in range(n):
        target = pose.copy()
        # Less than the arbiter lets the target move in one of its ticks.
        target[2] += 1e-3 * (k % 2) + 1e-6 * k
        began = len(tap.arrivals)
        sent_s = time.monotonic()
        cell.arm.set_target(target)
        # An odd time, so that it does not beat with the arbiter's.
        time.sleep(0.0537)
        heard = [t_s for t_s, arrived in tap.arrivals[began:] if np.array_equal(arrived, target)]
        if heard:
            delays.append(heard[0] - sent_s)
    cell.arm.hold()
    return np.array(delays)


@dataclass(frozen=True)
class Apart:
    """How far two courses of a tool are apart at equal steps.

    Attributes:
        most_m: largest distance.
        end_m: distance after the last step.
        most_rad: largest angle between the orientations.
    """

    most_m: float
    end_m: float
    most_rad: float


def apart(course: Sequence[Array], other: Sequence[Array]) -> Apart:
    """Compare two courses of poses ``[7]``."""
    pairs = list(zip(course, other, strict=True))
    off_m = [float(np.linalg.norm(a[:3] - b[:3])) for a, b in pairs]
    return Apart(max(off_m), off_m[-1], max(quat_angle(a[3:], b[3:]) for a, b in pairs))


@dataclass(frozen=True)
class Result:
    """A depth against L0, on one task.

    Attributes:
        task: its id.
        depth: which.
        steps: compared.
        executed_equal: steps whose executed action equals L0's.
        meaning: largest difference between a target that arrived and the measured pose plus the action's delta.
        bits: replayed targets that arrived bit for bit.
        stepping: apart from L0 when the same actions are stepped through. Each counts from where the tool is measured,
            so what delays take off one step is missing from all that follow.
        replaying: apart from L0 when the same targets are replayed.
        late_s: of the steps ``[steps]``.
        age_s: of the readings ``[steps]``.
        delay_s: of targets on their way to the arm.
    """

    task: str
    depth: str
    steps: int
    executed_equal: int
    meaning: float
    bits: int
    stepping: Apart
    replaying: Apart
    late_s: Array
    age_s: Array
    delay_s: Array


def compare(task_id: str, depth: str) -> Result:
    """Run a depth and compare it with L0."""
    sequence = actions(make_task(task_id))
    with open_depth("L0", task_id) as reference:
        wanted = run_actions(reference, sequence)
        targets = [step.commanded for step in wanted]
        _, course = replay(reference, targets)
    with open_depth(depth, task_id) as other:
        got = run_actions(other, sequence)
        arrived, replayed = replay(other, targets)
        delay_s = delays_s(other.env.cell, other.tap) if other.tap is not None else np.zeros(0)
    return Result(
        task_id,
        depth,
        len(got),
        sum(np.array_equal(a.executed, b.executed) for a, b in zip(wanted, got, strict=True)),
        max(float(np.abs(step.arrived - step.commanded).max()) for step in got),
        sum(np.array_equal(a, b) for a, b in zip(targets, arrived, strict=True)),
        apart([step.after for step in wanted], [step.after for step in got]),
        apart(course, replayed),
        np.array([step.late_s for step in got]),
        np.array([step.age_s for step in got]),
        delay_s,
    )


def markdown(results: Sequence[Result]) -> str:
    """The table of the documentation."""
    head = [
        "task", "depth", "executed equal", "targets off by", "replayed bit for bit", "stepping: tool apart",
        "replaying: tool apart", "late p50 / p99", "reading's age p50 / p99", "target's way p50 / p99",
    ]  # fmt: skip
    rows = [head, ["---"] * len(head), *(_row(r) for r in results)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(r: Result) -> list[str]:
    return [
        r.task,
        r.depth,
        f"{r.executed_equal} of {r.steps}",
        f"{r.meaning:.0e}" if r.meaning else "0",
        f"{r.bits} of {r.steps}",
        _text(r.stepping),
        _text(r.replaying),
        _quantiles_ms(r.late_s),
        _quantiles_ms(r.age_s),
        _quantiles_ms(r.delay_s),
    ]


def _text(off: Apart) -> str:
    return f"{1e3 * off.most_m:.1f} mm, {off.most_rad:.3f} rad; end {1e3 * off.end_m:.1f} mm"


def _quantiles_ms(values_s: Array) -> str:
    if not len(values_s):
        return "-"
    half, most = 1e3 * np.quantile(values_s, [0.5, 0.99])
    return f"{half:.1f} / {most:.1f} ms"


def main(argv: Sequence[str]) -> None:
    """Compare all depths on all tasks, or those named."""
    depths = [d for d in DEPTHS if d in argv] or list(DEPTHS)
    print(markdown([compare(task, depth) for task in TASKS for depth in depths]))


if __name__ == "__main__":
    main(sys.argv[1:])
