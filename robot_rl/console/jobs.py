"""Programs that the console starts: recordings and trainings. They outlive it, and a later console finds them again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from robot_rl.core.errors import DataError, StorageError

FOLDER = ".console"
TAIL_BYTES = 4000


@dataclass(frozen=True)
class Job:
    """A program that was started.

    Attributes:
        name: of its files.
        argv: of ``robot-rl``.
        pid: of its process.
        born: when the kernel says that process began; another process of the same number is another job.
        log: what it prints.
    """

    name: str
    argv: tuple[str, ...]
    pid: int
    born: str
    log: Path

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # if it is a child of this console, let the kernel forget it
        return _born(self.pid) == self.born

    def tail(self, lines: int = 3) -> str:
        """The last lines it printed, of a line that is written over the newest text."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        kept = [line.rpartition("\r")[2].strip() for line in text.split("\n")]
        return "\n".join([line for line in kept if line][-lines:])

    def stop(self) -> None:
        """Ask it to save and end, as Ctrl-C would."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGINT)


class Jobs:
    """The programs of one folder of runs.

    Args:
        folder: of the runs; what is noted about jobs lies in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def start(self, argv: Sequence[str]) -> Job:
        """Start ``robot-rl`` with these arguments, in a session of its own.

        Raises:
            StorageError: its log cannot be written.
        """
        name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{argv[0]}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            log = self._free(name)
            pid = _spawn([sys.executable, "-m", "robot_rl.cli", *argv], log)
            job = Job(log.stem, tuple(argv), pid, _born(pid), log)
            facts = {**asdict(job), "log": str(log)}
            log.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
        except OSError as e:
            raise StorageError(f"cannot start a program with its log in {self._folder}: {e.strerror or e}") from e
        return job

    def known(self) -> list[Job]:
        """Every job that was started here, the newest last; what cannot be read is left out."""
        jobs = []
        for path in sorted(self._folder.glob("*.json")):
            with suppress(DataError):
                jobs.append(_read(path))
        return jobs

    def running(self) -> list[Job]:
        """Those that still run."""
        return [job for job in self.known() if job.running]

    def _free(self, name: str) -> Path:
        for attempt in range(100):
            path = self._folder / f"{name}{f'_{attempt + 1}' if attempt else ''}.log"
            with suppress(FileExistsError):
                path.touch(exist_ok=False)
                return path
        raise OSError(f"a hundred programs were started as {name}")


def _spawn(argv: Sequence[str], log: Path) -> int:
    """A process in a session of its own, with nothing to read and a file to write to."""
    to_log = os.O_WRONLY | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), to_log, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # A console that was itself started in the background may ignore Ctrl-C, and its children would with it.
    return os.posix_spawn(argv[0], list(argv), os.environ, file_actions=actions, setsid=True, setsigdef=[signal.SIGINT])


def _read(path: Path) -> Job:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Job(data["name"], tuple(data["argv"]), int(data["pid"]), str(data["born"]), Path(data["log"]))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"{path} does not describe a program: {e}") from e


def _born(pid: int) -> str:
    """Start time of a process in the kernel's ticks; empty if there is none, or if it is dead and not forgotten."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
