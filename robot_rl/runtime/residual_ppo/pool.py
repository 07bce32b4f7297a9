"""Many simulated environments, stepped together by processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import robot_rl
from robot_rl.core.errors import DataError, DeviceError
from robot_rl.runtime.residual_ppo.slots import Slots, map_slots, slots_size
from robot_rl.runtime.residual_ppo.worker import DONE, RESET, STEP, Job

END_S = 10.0
"""How long a process is given to end by itself."""


class EnvPool:
    """E environments of one task in W processes, each of which steps its share in turn.

    Args:
        task: id of the task.
        task_options: options of `robot_rl.envs.make_env`.
        envs: E.
        workers: W, at most E.
        state_size: values of a state row.

    Attributes:
        slots: what is asked and answered; `reset` and `step` read and write them.

    Raises:
        DataError: an environment cannot be made; says why.
        DeviceError: a process died.
    """

    def __init__(self, task: str, task_options: Mapping[str, Any], *, envs: int, workers: int, state_size: int) -> None:
        self._workers: list[subprocess.Popen[str]] = []
        # A file without a name that its processes inherit: no memory is left over however they end.
        with tempfile.TemporaryFile() as file:
            file.truncate(slots_size(envs, state_size))
            self.slots: Slots = map_slots(file.fileno(), envs, state_size)[0]
            try:
                for k in range(workers):
                    first, end = k * envs // workers, (k + 1) * envs // workers
                    job = Job(file.fileno(), envs, state_size, first, end - first, task, dict(task_options))
                    self._workers.append(_start(job))
                self._answers()
            except BaseException:
                self.close()
                raise

    def reset(self) -> None:
        """Begin an episode wherever there is a seed; the other environments rest.

        Raises:
            DataError: an environment could not; says why.
            DeviceError: a process died.
        """
        self._ask(RESET)

    def step(self) -> None:
        """One control step of all environments that do not rest.

        Raises:
            DataError: as `reset`.
            DeviceError: as `reset`.
        """
        self._ask(STEP)

    @property
    def pids(self) -> tuple[int, ...]:
        """Of its processes."""
        return tuple(worker.pid for worker in self._workers)

    def close(self) -> None:
        """End the processes. May be called twice."""
        for worker in self._workers:
            with suppress(OSError):
                _pipe(worker.stdin).close()
        for worker in self._workers:
            try:
                worker.wait(END_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            _pipe(worker.stdout).close()
        self._workers.clear()

    def _ask(self, order: str) -> None:
        for worker in self._workers:
            with suppress(BrokenPipeError):  # its answer, or that there is none, says more
                _tell(worker, order)
        self._answers()

    def _answers(self) -> None:
        for k, worker in enumerate(self._workers):
            answer = _pipe(worker.stdout).readline().strip()
            if answer == DONE:
                continue
            if not answer:
                code = worker.wait()
                raise DeviceError(
                    f"simulation process {k} of {len(self._workers)} ended by itself with exit code {code}: what it "
                    "wrote is above; if that is nothing, the machine may have run out of memory: try fewer --envs"
                )
            raise DataError(f"simulation process {k}: {json.loads(answer)['error']}")


def _start(job: Job) -> subprocess.Popen[str]:
    root = str(Path(robot_rl.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    worker = subprocess.Popen(
        [sys.executable, "-m", "robot_rl.runtime.residual_ppo.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(job.handle,),
        env={**os.environ, **one_thread, "PYTHONPATH": path},
    )
    _tell(worker, json.dumps(asdict(job)))
    return worker


def _tell(worker: subprocess.Popen[str], line: str) -> None:
    pipe = _pipe(worker.stdin)
    pipe.write(line + "\n")
    pipe.flush()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
