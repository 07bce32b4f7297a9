"""Real processes on a real DDS domain of their own; needs the extra ros."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from robot_rl.core.config import write_yaml
from robot_rl.hardware.cell.description import CellConfig, NetworkConfig, load_cell
from robot_rl.hardware.cell.environment import cell_environment

# A scalar of the wrong type then raises instead of becoming garbage.
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"

with warnings.catch_warnings():
    # Message types import this parser when they are first used; it imports what the standard library deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    import lark  # noqa: F401

START_S = 40.0


def free_domain() -> int:
    """A domain that other test processes of this machine hardly use at the same time."""
    return 45 + os.getpid() % 57


def test_cell(name: str = "sim", **changes: object) -> CellConfig:
    """A bundled cell on a domain and in a namespace of this process's own."""
    config = load_cell(name)
    return replace(config, name=f"t{os.getpid()}", network=NetworkConfig(free_domain()), **changes)  # type: ignore[arg-type]


test_cell.__test__ = False  # type: ignore[attr-defined]


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = START_S) -> None:
    """Wait for something that may take long on a busy machine."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)


class NodeProcess:
    """One node in a process of its own."""

    def __init__(self, config: CellConfig, name: str, folder: Path, *args: str) -> None:
        self.path = folder / f"{name.replace(':', '_')}.yaml"
        self.log = self.path.with_suffix(".log")
        write_yaml(config, self.path)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "robot_rl.cli", "node", name, str(self.path), *args],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **cell_environment(config)},
            )

    @property
    def text(self) -> str:
        """What it printed."""
        return self.log.read_text(errors="replace")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def close(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(20.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Starts nodes and ends them after the test: ``start_node(config, "arbiter")``."""
    with ExitStack() as stack:

        def start(config: CellConfig, name: str, *args: str) -> NodeProcess:
            node = NodeProcess(config, name, tmp_path, *args)
            stack.callback(node.close)
            return node

        yield start
