"""A live cell to break: ``robot-rl cell up`` in a process, a watcher of its topics, and its processes by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from std_msgs.msg import String

from robot_rl.core.config import write_yaml
from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.environment import cell_environment
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import pose_of, twist_of

ROOT = Path(__file__).parents[2]
START_S = 60.0
# A target that moves by less in a tick is held; a tool that is slower stands.
STILL_M = 1e-5
STILL_M_S = 0.004
FREEZE_S = 0.05


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = START_S) -> None:
    """Wait for something.

    Raises:
        TimeoutError: naming it.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.005)


@dataclass
class Seen:
    """What the cell's topics said, with the times of arrival."""

    targets: list[tuple[float, Array]] = field(default_factory=list)
    poses: list[tuple[float, Array]] = field(default_factory=list)
    speeds: list[tuple[float, float]] = field(default_factory=list)
    modes: list[tuple[float, str]] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)

    @property
    def mode(self) -> str:
        return self.modes[-1][1] if self.modes else ""

    @property
    def fault(self) -> str:
        return self.faults[-1][1] if self.faults else ""


class Watch:
    """Listens to a cell and calls its services."""

    def __init__(self, config: CellConfig) -> None:
        self._spinner = Spinner("watch", config)
        self.calls = Calls(self._spinner, 10.0)
        self.seen = Seen()
        node = self._spinner.node

        def keep(kind: Any, topic: str, where: list[Any], read: Callable[[Any], Any], profile: Any) -> None:
            node.create_subscription(kind, topic, lambda m: where.append((time.time(), read(m))), profile)

        keep(PoseStamped, names.TARGET_POSE, self.seen.targets, pose_of, qos.STREAM_IN)
        keep(PoseStamped, names.CURRENT_POSE, self.seen.poses, pose_of, qos.STREAM_IN)
        speed = lambda m: float(np.linalg.norm(twist_of(m)[:3]))  # noqa: E731
        keep(TwistStamped, names.CURRENT_TWIST, self.seen.speeds, speed, qos.STREAM_IN)
        keep(String, names.MODE, self.seen.modes, lambda m: m.data, qos.LATCHED)
        keep(String, names.FAULT, self.seen.faults, lambda m: m.data, qos.LATCHED)

    @property
    def node(self) -> Any:
        return self._spinner.node

    def held_at_s(self, since_s: float, told_s: float | None = None) -> float:
        """When the target moved for the last time; `since_s` if it did not.

        Args:
            since_s: when something was broken.
            told_s: when the fault was told: at that moment the target becomes the measured pose, which is no motion.
        """
        moved = since_s
        rows = [row for row in list(self.seen.targets) if row[0] >= since_s - 0.05]
        for (_, before), (t_s, after) in pairwise(rows):
            frozen = told_s is not None and abs(t_s - told_s) < FREEZE_S
            if np.abs(after[:3] - before[:3]).max() > STILL_M and t_s > moved and not frozen:
                moved = t_s
        return moved

    def stood_at_s(self, since_s: float) -> float:
        """From when on the tool stood."""
        fast = [t_s for t_s, speed in list(self.seen.speeds) if t_s >= since_s and speed > STILL_M_S]
        return max(fast, default=since_s)

    def faulted_at_s(self, since_s: float) -> float | None:
        """When the first fault after a time was told."""
        return next((t_s for t_s, text in list(self.seen.faults) if t_s >= since_s and text), None)

    def close(self) -> None:
        self._spinner.close()


class LiveCell:
    """``robot-rl cell up`` on a description, as a user starts it."""

    def __init__(self, config: CellConfig, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config, self.path, self.log = config, folder / "cell.yaml", folder / "cell.log"
        write_yaml(config, self.path)
        with self.log.open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "robot_rl.cli", "cell", "up", str(self.path)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )
        self.watch = Watch(config)
        self._children: list[subprocess.Popen[Any]] = []

    def wait_up(self) -> None:
        """Until states and modes are heard."""
        wait_until(lambda: self._up.poll() is not None or (self.watch.seen.mode and self.watch.seen.poses), "the cell")
        if self._up.poll() is not None:
            raise RuntimeError(f"cell up ended: {self.text()[-2000:]}")

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def pid(self, node: str) -> int:
        """Process of a node.

        Raises:
            LookupError: it does not run.
        """
        wanted = ["node", node, str(self.path)]
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(words[i : i + 2] == wanted[:2] for i in range(len(words))) and self._mine(words):
                return int(folder.name)
        raise LookupError(f"no process of the node {node!r}")

    def _mine(self, words: Sequence[str]) -> bool:
        return any(self.path.parent.name in word or self.config.name in word for word in words)

    def signal(self, node: str, number: signal.Signals) -> float:
        """Send a signal to a node; when it was sent."""
        pid = self.pid(node)
        now_s = time.time()
        os.kill(pid, number)
        return now_s

    def child(self, module: str, *args: str) -> subprocess.Popen[str]:
        """A commander in a process of its own, its output readable."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(self.path), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**os.environ, **cell_environment(self.config)},
        )
        self._children.append(process)
        return process

    def ready(self) -> None:
        """Recover and enable if need be, so that commands are followed."""
        watch = self.watch
        end_s = time.monotonic() + START_S
        while watch.seen.mode not in ("holding", "active"):
            if time.monotonic() > end_s:
                raise TimeoutError(f"cannot enable the cell: {watch.seen.mode}, {watch.seen.fault}")
            if watch.seen.mode in ("fault", "stopped"):
                watch.calls.trigger(names.RECOVER, 30.0)
            watch.calls.switch(names.ENABLE, True, 30.0)
            time.sleep(0.3)

    def close(self) -> None:
        for process in self._children:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        self.watch.close()
        if self._up.poll() is None:
            self._up.send_signal(signal.SIGINT)
        try:
            self._up.wait(40.0)
        except subprocess.TimeoutExpired:
            self._up.kill()
            self._up.wait()


class Commander:
    """`tests.faults.cell_actor` and what it has said so far."""

    def __init__(self, cell: LiveCell, task: str, *cameras: str) -> None:
        self._cell = cell
        self.process = cell.child("tests.faults.cell_actor", task, *cameras)
        self.said: list[dict[str, Any]] = []
        self.other: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                self.said.append(json.loads(line))
            except ValueError:
                self.other.append(line.rstrip())

    def wait_moving(self, watch: Watch) -> None:
        """Until an episode runs and the tool moves; a machine that stumbled meanwhile is forgiven."""

        def begun() -> bool:
            if watch.seen.mode in ("fault", "stopped"):
                self._cell.ready()
            return any(s["event"] == "begun" for s in self.said)

        self._until(begun, "an episode")
        since_s = time.time()
        self._until(lambda: any(t > since_s + 0.5 and v > 0.01 for t, v in watch.seen.speeds[-20:]), "motion")

    def _until(self, condition: Callable[[], object], what: str) -> None:
        try:
            wait_until(lambda: self.process.poll() is not None or condition(), what)
        except TimeoutError as e:
            raise TimeoutError(f"{e}; the commander said {self.said[-3:]} {self.other[-5:]}") from e
        if self.process.poll() is not None:
            raise RuntimeError("the commander ended: " + "\n".join(self.other[-10:]))

    def ended_after(self, since_s: float) -> dict[str, Any] | None:
        """The first end of an episode after a time."""
        return next((s for s in self.said if s["event"] == "ended" and s["t_s"] >= since_s), None)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> float:
        now_s = time.time()
        self.process.send_signal(number)
        return now_s
