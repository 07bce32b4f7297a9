"""The actor as a child process of the learner: started, watched, restarted a bounded number of times."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import robot_rl
from robot_rl.core.errors import DeviceError
from robot_rl.runtime.seeds import FIRST_ACTOR

MAX_RESTARTS = 3
RESTART_WINDOW_S = 600.0
EXIT_SAID_WHY = 2
SPOOL = "spool"
ACTOR_MODULE = "robot_rl.runtime.actor.process"


class ActorProcess:
    """Runs ``python -m robot_rl.runtime.actor.process`` for a run; its output goes to ``actor-<name>.log`` there.

    Args:
        run_dir: folder of the run; the actor's spool is in ``spool`` there.
        records: endpoint for records.
        parameters: endpoint for parameters.
        name: of the actor.
        module: what to run; takes the arguments of `robot_rl.runtime.actor.process`.

    Attributes:
        name: of the actor.
        restarts: how often it had to be started again.
    """

    def __init__(
        self, run_dir: Path, records: str, parameters: str, *, name: str = FIRST_ACTOR, module: str = ACTOR_MODULE
    ) -> None:
        self.name = name
        self._command = [sys.executable, "-m", module, "--name", name, "--spool", str(run_dir.resolve() / SPOOL)]
        # A learner that evaluates or compiles is silent for minutes; one that is gone is noticed by its process id.
        self._command += ["--learner", records, "--parameters", parameters, "--parent", str(os.getpid())]
        self._log_path = run_dir / f"actor-{name}.log"
        self._log: IO[bytes] | None = None
        self.restarts = 0
        self._deaths_s: list[float] = []
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def check(self) -> str | None:
        """Restart the actor if it died.

        Returns:
            A sentence if it was restarted.

        Raises:
            DeviceError: it said why it cannot go on, or died too often.
        """
        code = self._process.poll()
        if code is None:
            return None
        why = self._last_line()
        if code == EXIT_SAID_WHY:
            raise DeviceError(why.removeprefix("robot-rl actor: ") or f"the actor {self.name} stopped without a reason")
        now = time.monotonic()
        self._deaths_s = [t for t in self._deaths_s if now - t < RESTART_WINDOW_S] + [now]
        if len(self._deaths_s) > MAX_RESTARTS:
            times = f"{len(self._deaths_s)} times in {RESTART_WINDOW_S / 60:.0f} minutes, last with exit code {code}"
            raise DeviceError(f"the actor {self.name} died {times}: {why or 'no message'}")
        self.restarts += 1
        self._process = self._start()
        return f"the actor {self.name} died with exit code {code} and was started again"

    def ask_to_end(self) -> None:
        """Ask the process to end, without waiting for it."""
        if self.running:
            self._process.terminate()

    def stop(self, timeout_s: float = 15.0) -> None:
        """Ask the process to end, then insist. May be called twice."""
        if self.running:
            self.ask_to_end()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._log is None:
            self._log = self._log_path.open("ab")
        root = str(Path(robot_rl.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        # One thread each: the actor's matrices are small, and the other cores belong to the learner.
        threads = {
            name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        }
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **threads, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches the learner alone, which then ends the actor in order
        )

    def _last_line(self) -> str:
        try:
            lines = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""
