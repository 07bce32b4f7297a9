"""Processes of a training run as children of the one that leads: started, watched, restarted a bounded number of times.

An actor is a child of its learner; of a pair, the actor and both learners are children of ``robot-rl train``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import robot_rl
from robot_rl.core.errors import DeviceError
from robot_rl.runtime.learner.line import Endpoints, Line, line
from robot_rl.runtime.seeds import FIRST_ACTOR

MAX_RESTARTS = 3
RESTART_WINDOW_S = 600.0
EXIT_SAID_WHY, EXIT_INTERRUPTED = 2, 130
SPOOL = "spool"
ACTOR_MODULE = "robot_rl.runtime.actor.process"
LEARNER_MODULE = "robot_rl.runtime.learner.member"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class ChildProcess:
    """A Python module that runs until it is stopped; its output goes to a file.

    Args:
        title: what to call it in a sentence.
        log: the file.
        command: module and arguments.

    Attributes:
        title: as given.
        restarts: how often it had to be started again.
    """

    def __init__(self, title: str, log: Path, command: Sequence[str]) -> None:
        self.title = title
        self.restarts = 0
        self._command, self._log_path = list(command), log
        self._log: IO[bytes] | None = None
        self._deaths_s: list[float] = []
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """With which it ended; None while it runs."""
        return self._process.poll()

    def check(self) -> str | None:
        """Start it again if it died.

        Returns:
            A sentence if that was done.

        Raises:
            DeviceError: it said why it cannot go on, or died too often.
        """
        code = self.exit_code
        if code is None:
            return None
        why = self._last_line()
        if code == EXIT_SAID_WHY:
            said = why.removeprefix("robot-rl actor: ").removeprefix("robot-rl learner: ")
            raise DeviceError(said or f"{self.title} stopped without a reason")
        now = time.monotonic()
        self._deaths_s = [t for t in self._deaths_s if now - t < RESTART_WINDOW_S] + [now]
        if len(self._deaths_s) > MAX_RESTARTS:
            times = f"{len(self._deaths_s)} times in {RESTART_WINDOW_S / 60:.0f} minutes, last with exit code {code}"
            raise DeviceError(f"{self.title} died {times}: {why or 'no message'}")
        self.restarts += 1
        self._process = self._start()
        return f"{self.title} died with exit code {code} and was started again"

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
        return self._spawn(self._command, stdout=self._output(), threads=dict.fromkeys(THREADS, "1"))

    def _output(self) -> IO[bytes]:
        if self._log is None:
            self._log = self._log_path.open("ab")
        return self._log

    def _spawn(
        self,
        command: Sequence[str],
        *,
        stdout: IO[bytes] | None,
        threads: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        root = str(Path(robot_rl.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=self._output(),
            env={**os.environ, **(threads or {}), "PYTHONPATH": path},
            pass_fds=pass_fds,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends this one in order
        )

    def _last_line(self) -> str:
        try:
            lines = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


class ActorProcess(ChildProcess):
    """Runs ``python -m robot_rl.runtime.actor.process`` for a run; its output goes to ``actor-<name>.log`` there.

    Args:
        run_dir: folder of the run; the actor's spool is in ``spool`` there.
        records: endpoint for records.
        parameters: endpoint for parameters.
        pair: where the other learner of a pair listens; None for a run alone.
        name: of the actor.
        module: what to run; takes the arguments of `robot_rl.runtime.actor.process`.

    Attributes:
        name: of the actor.
    """

    def __init__(
        self,
        run_dir: Path,
        records: str,
        parameters: str,
        *,
        pair: Endpoints | None = None,
        name: str = FIRST_ACTOR,
        module: str = ACTOR_MODULE,
    ) -> None:
        self.name = name
        command = [module, "--name", name, "--spool", str(run_dir.resolve() / SPOOL)]
        # A learner that evaluates or compiles is silent for minutes; one that is gone is noticed by its process id.
        command += ["--learner", records, "--parameters", parameters, "--parent", str(os.getpid())]
        if pair is not None:
            command += ["--pair", pair.records, "--pair-parameters", pair.parameters]
        # One thread each: the actor's matrices are small, and the other cores belong to the learner.
        super().__init__(f"the actor {name}", run_dir / f"actor-{name}.log", command)


class LearnerProcess(ChildProcess):
    """Runs ``python -m robot_rl.runtime.learner.member``; it prints here, what it complains of is in ``learner.log``.

    One that died is started again where it listened, and goes on with its run.

    Args:
        run_dir: folder of the run.
        task: of the run.
        resumed: go on with what the folder holds.
        accept_loss: although its log lacks steps.
        module: what to run; takes the arguments of `robot_rl.runtime.learner.member`.

    Attributes:
        at: where it listens; None until it does.
        env_steps: as it said last.
        ending: it is about to end, or has ended.
    """

    def __init__(
        self, run_dir: Path, task: str, *, resumed: bool, accept_loss: bool, module: str = LEARNER_MODULE
    ) -> None:
        self.at: Endpoints | None = None
        self.env_steps, self.ending = 0, False
        self._resumed = resumed
        self._line: Line | None = None
        self._told = -1
        command = [module, "--run", str(run_dir.resolve()), "--parent", str(os.getpid())]
        command += ["--accept-loss"] if accept_loss else []
        super().__init__(f"the learner of {task}", run_dir / "learner.log", command)

    def listen(self) -> None:
        """Hear what it says of itself."""
        assert self._line is not None
        facts = self._line.hear()
        if "records" in facts:
            self.at = Endpoints(str(facts["records"]), str(facts["parameters"]))
        self.env_steps = int(facts.get("env_steps", self.env_steps))
        self.ending = bool(facts.get("ending", self.ending))

    def tell_elsewhere(self, env_steps: int) -> None:
        """Tell it how many steps the other one has."""
        if env_steps != self._told and self._line is not None:
            self._line.say(elsewhere=env_steps)
            self._told = env_steps

    def stop(self, timeout_s: float = 15.0) -> None:
        """As for every child."""
        super().stop(timeout_s)
        if self._line is not None:
            self._line.close()
            self._line = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._line is not None:
            self._line.close()
        self._line, there = line()
        self._told, self.ending = -1, False
        command = [*self._command, "--line", str(there.fileno())]
        command += [] if self.at is None else ["--records", self.at.records, "--parameters", self.at.parameters]
        command += ["--resume"] if self._resumed else []
        self._resumed = True  # whoever comes after this one goes on
        try:
            return self._spawn(command, stdout=None, pass_fds=(there.fileno(),))
        finally:
            there.close()
