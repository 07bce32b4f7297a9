"""Real ``robot-rl train`` and ``robot-rl act`` processes to break, with a witness inside, at a robot's pace."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.faults.evidence import Audit, audit

ROOT = Path(__file__).parents[2]
ROBOT_HZ = 40.0
SLACK = 20
START_S = 180.0
FLAGS = ["--demos", "2", "--env-steps", "1000000", "--pace.learning-starts", "30", "--pace.slack", str(SLACK)]
FLAGS += ["--agent.hidden", "16", "--agent.utd", "1", "--agent.batch-size", "16", "--checkpoint-every", "150"]
FLAGS += ["--evaluation.every", "0", "--evaluation.final-episodes", "0", "--no-report"]


class Rig:
    """One run with its processes.

    Args:
        folder: for everything; made if need be.
        task: what is trained.
        flags: more flags of ``robot-rl train``.
        listen: where the learner listens for actors that are started apart; empty if it starts its own.
        dial: where such an actor finds the learner.
        keys: folder of the learner's keys.
        actor_keys: folder of the actor's keys.
        learner_prefix: begins the learner's command line, for example to enter a network namespace.
        actor_prefix: begins that of actors started apart.
        out_dir: of the learner.
        spool: of an actor that is started apart.
        hz: control rate the robot is slowed down to.
        cameras: pictures added to what the robot observes, separated by commas.
    """

    def __init__(
        self,
        folder: Path,
        *,
        task: str = "Reach",
        flags: list[str] | None = None,
        listen: str = "",
        dial: str = "",
        keys: Path | None = None,
        actor_keys: Path | None = None,
        learner_prefix: list[str] | None = None,
        actor_prefix: list[str] | None = None,
        out_dir: Path | None = None,
        spool: Path | None = None,
        hz: float = ROBOT_HZ,
        cameras: str = "",
    ) -> None:
        self.folder, self.task, self._flags = folder, task, flags if flags is not None else FLAGS
        self._listen, self._dial, self._keys, self._actor_keys = listen, dial or listen, keys, actor_keys
        self._prefixes = learner_prefix or [], actor_prefix or []
        self.witness = folder / "witness"
        self.witness.mkdir(parents=True, exist_ok=True)
        self.set_clock(0.0)
        self.out_dir, self._spool = out_dir or folder / "runs", spool or folder / "spool"
        self._env = {
            **os.environ,
            "PYTHONPATH": f"{Path(__file__).parent / 'inject'}{os.pathsep}{ROOT}",
            "ROBOT_RL_WITNESS": str(self.witness),
            "ROBOT_RL_WITNESS_HZ": str(hz),
            "ROBOT_RL_WITNESS_CAMERAS": cameras,
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        self.learner: subprocess.Popen[bytes] | None = None
        self.actor: subprocess.Popen[bytes] | None = None
        self._logs: list[IO[bytes]] = []

    @property
    def run(self) -> Path:
        """Folder of the run."""
        (found,) = (self.out_dir / self.task).iterdir()
        return found

    @property
    def run_id(self) -> str:
        """Id of the run."""
        text: str = json.loads((self.run / "run.json").read_text())["run_id"]
        return text

    @property
    def archive(self) -> Path:
        """The actor's folder in the learner's archive."""
        return self.run / "episodes" / "a0"

    @property
    def spool(self) -> Path:
        """The actor's spool."""
        return (self._spool if self._listen else self.run / "spool") / self.run_id / "a0"

    def start_learner(self) -> None:
        """Begin the run, or go on with it."""
        begun = (self.out_dir / self.task).is_dir() and any((self.out_dir / self.task).iterdir())
        command = [sys.executable, "-m", "robot_rl.cli", "train"]
        if begun:
            command += ["--resume", str(self.run)]
        else:
            command += [self.task, *self._flags, "--out-dir", str(self.out_dir)]
            if self._listen:
                command += ["--actors", "0", "--listen", self._listen]
                command += ["--keys", str(self._keys)] if self._keys is not None else []
        self.learner = self._start([*self._prefixes[0], *command], "learner.txt")

    def start_actor(self, *extra: str, env: dict[str, str] | None = None) -> None:
        """Start an actor apart."""
        self.actor = self.another_actor(*extra, env=env)

    def another_actor(self, *extra: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start an actor that is not the rig's own."""
        command = [sys.executable, "-m", "robot_rl.cli", "act", "--learner", self._dial, "--name", "a0"]
        command += ["--spool", str(self._spool)]
        command += ["--keys", str(self._actor_keys)] if self._actor_keys is not None else []
        return self._start([*self._prefixes[1], *command, *extra], "actor.txt", env)

    def actor_pid(self) -> int:
        """The actor's process, 0 if there is none."""
        if self.actor is not None:
            return self.actor.pid if self.actor.poll() is None else 0
        if self.learner is None:
            return 0
        return next((p for p, words in children(self.learner.pid) if "robot_rl.runtime.actor.process" in words), 0)

    def progress(self) -> int:
        """Steps the running learner has taken from the actor."""
        path = self.witness / f"{self.learner.pid if self.learner is not None else 0}.log"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return sum(line.startswith(b"wrote") and b"-a0-" in line for line in lines)

    def await_progress(self, steps: int = 1, timeout_s: float = START_S) -> float:
        """Wait until the learner has archived so many more steps; returns the monotonic time.

        Raises:
            TimeoutError: it did not, or ended.
        """
        goal = self.progress() + steps

        def moved() -> bool:
            if self.learner is None or self.learner.poll() is not None:
                raise TimeoutError(f"the learner ended: {self.said('learner.txt')}")
            return self.progress() >= goal

        wait_until(moved, timeout_s, f"{steps} more steps; {self.said('learner.txt')} / {self.said('actor.txt')}")
        return time.monotonic()

    def kill(self, *, actor: bool = False, learner: bool = False) -> float:
        """``kill -9``; returns the monotonic time."""
        pid, now = self.actor_pid(), time.monotonic()
        if learner and self.learner is not None:
            self.learner.kill()
        if actor and pid:
            os.kill(pid, signal.SIGKILL)
        if learner and self.learner is not None:
            self.learner.wait()
        if actor and self.actor is not None:
            self.actor.wait()
        return now

    def set_clock(self, offset_s: float) -> None:
        """Set the time of day of all processes off by so much."""
        path = self.witness / "clock"
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(struct.pack("<d", offset_s))

    def stop(self) -> None:
        """End everything in order, with force if need be."""
        if self.learner is not None and self.learner.poll() is None:
            self.learner.send_signal(signal.SIGINT)
            _end(self.learner, 60.0)
        if self.actor is not None:
            self.actor.terminate()
            _end(self.actor, 30.0)

    def close(self) -> None:
        """End everything now."""
        pid = self.actor_pid()
        for process in (self.learner, self.actor):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if pid:
            wait_until(lambda: not alive(pid), 30.0, "the actor to end with the learner")
        for log in self._logs:
            log.close()
        self._logs = []

    def audit(self) -> Audit:
        """The account of the run; nothing may be running."""
        return audit(self.witness, self.archive, self.spool)

    def said(self, name: str) -> str:
        """The last line of what the processes printed."""
        path = self.folder / name
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        return lines[-1] if lines else ""

    def _start(self, command: list[str], log: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        file = (self.folder / log).open("ab")
        self._logs.append(file)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**self._env, **(env or {})},
            start_new_session=True,
        )


def children(pid: int) -> list[tuple[int, list[str]]]:
    """Processes started by a process, with their command lines."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid:
                    found.append((int(path.name), (path / "cmdline").read_text().split("\0")))
            except (OSError, ValueError):
                continue
    return found


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Look ten times a second.

    Raises:
        TimeoutError: it did not come true in time.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(0.1)


def nap(rng: random.Random, low_s: float, high_s: float) -> None:
    """Sleep a random time."""
    time.sleep(rng.uniform(low_s, high_s))


def _end(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
