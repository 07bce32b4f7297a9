"""One process of a cell: started again when it dies, ended in steps, what it prints kept in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from robot_rl.hardware.cell.graph import ProcessSpec
from robot_rl.hardware.cell.tether import PARENT

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
SETTLED_S = 60.0
"""A process that ran so long begins again with the shortest delay."""
EXIT_SAID_WHY = 2
INTERRUPT_S = 8.0
TERMINATE_S = 3.0


class CellProcess:
    """A process and its successors, which are one to whoever looks at the cell.

    It writes straight to its log: a terminal that is paused never stops a node.

    Args:
        spec: what to run.
        log_dir: folder of its log ``<name>.log``; the one before becomes ``<name>.log.1``.

    Attributes:
        spec: what to run.
        log: file of its output.
        starts: how often it was started.
        deaths_s: when it died, on the monotonic clock, within the last `SETTLED_S`.
    """

    def __init__(self, spec: ProcessSpec, log_dir: Path) -> None:
        self.spec = spec
        self.log = log_dir / f"{spec.name.replace(':', '_')}.log"
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        self._handle = self.log.open("wb")
        self._read = self.log.open("rb")
        self._rest = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._delay_s = FIRST_DELAY_S
        self.starts = 0
        self.deaths_s: list[float] = []
        self.start_at_s = 0.0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C reaches the supervisor alone, which ends the cell in order.

        Raises:
            OSError: it cannot be started.
        """
        self._process = subprocess.Popen(
            self.spec.argv,
            stdin=subprocess.DEVNULL,
            stdout=self._handle,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.spec.env, PARENT: str(os.getpid())},
            start_new_session=True,
        )
        self._started_s = time.monotonic()
        self.starts += 1

    def died(self) -> int | None:
        """Its exit code if it has ended since the last call; negative for a signal."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._sweep(self._process.pid)
        self._process = None
        now_s = time.monotonic()
        if now_s - self._started_s > SETTLED_S:
            self._delay_s = FIRST_DELAY_S
        self.deaths_s = [t for t in self.deaths_s if now_s - t < SETTLED_S] + [now_s]
        return code

    def put_off(self) -> float:
        """Plan the next start; the delay until then, in s, which doubles from one to the next."""
        delay_s = self._delay_s
        self.start_at_s = time.monotonic() + delay_s
        self._delay_s = min(2.0 * delay_s, LONGEST_DELAY_S)
        return delay_s

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def wait(self, end_s: float) -> bool:
        """Whether it has ended, waiting until then on the monotonic clock."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(end_s - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            return False
        self._sweep(self._process.pid)
        self._process = None
        return True

    def kill(self) -> None:
        """End it and what it started at once."""
        if self._process is not None:
            self._sweep(self._process.pid)
            self._process.wait()
            self._process = None

    def new_lines(self) -> Iterator[str]:
        """Whole lines printed since the last call."""
        *lines, self._rest = (self._rest + self._read.read()).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)

    def last_line(self) -> str:
        """What it said last, or nothing."""
        lines = self.log.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Close the log."""
        self._handle.close()
        self._read.close()

    def _sweep(self, group: int) -> None:
        """Children of a process that died do not outlive it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def stop_together(group: list[CellProcess], interrupt_s: float = INTERRUPT_S, terminate_s: float = TERMINATE_S) -> None:
    """End processes as Ctrl-C does, then insist.

    Args:
        group: what to end at the same time.
        interrupt_s: time for SIGINT to work.
        terminate_s: time for SIGTERM to work, before SIGKILL.
    """
    for number, limit_s in ((signal.SIGINT, interrupt_s), (signal.SIGTERM, terminate_s)):
        end_s = time.monotonic() + limit_s
        for process in group:
            process.signal(number)
        if all([process.wait(end_s) for process in group]):
            return
    for process in group:
        process.kill()
