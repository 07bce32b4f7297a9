"""The production client against an emulated robot, both in processes of their own.

The client makes its process a real-time one where it may, which must not happen to the pytest that runs everything
else: files named ``cases_*.py`` are run by a pytest in a child process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parents[3]
END_S = 60.0
_numbers = count()


def run_cases(path: Path) -> None:
    """Run a file of cases; fails with what it printed."""
    command = [sys.executable, "-m", "pytest", str(path), "-p", "no:cacheprovider", "-q", "-W", "error"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def free_address() -> str:
    """An address of the loopback interface that nobody else uses, so that clients find the robot's standard ports."""
    pid = os.getpid()
    return f"127.{50 + next(_numbers) % 50}.{pid // 250 % 250}.{pid % 250 + 1}"


@contextmanager
def emulated(address: str, task: str = "Reach") -> Iterator[subprocess.Popen[str]]:
    """An emulator that is ready; its process."""
    command = [sys.executable, "-m", "robot_rl.cli", "fci-emulator", "--address", address, "--report-s", "0"]
    with subprocess.Popen([*command, "--task", task], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert "arm 1337, hand 1338, faults 1339" in process.stdout.readline()
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            process.wait(END_S)


def wait_until(condition: Callable[[], bool]) -> None:
    """Return as soon as it holds."""
    deadline_s = time.monotonic() + END_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never came true"
        time.sleep(0.005)
