"""Evaluations during training on a spare process, so that neither learning nor acting waits for them.

Checkpoints are evaluated one after another, each by a fresh ``python -m robot_rl.evaluation.worker`` at low priority
with one thread: what goes wrong in one stays in one. What is still to be done lies in ``evaluations.pending.json``, so
a run that is killed makes these evaluations when it is resumed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import robot_rl
from robot_rl.core.errors import StorageError
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.monitor.metrics import EVALUATIONS
from robot_rl.runtime.run_folder import replace_text

WORKER_MODULE = "robot_rl.evaluation.worker"
PENDING = "evaluations.pending.json"
LOG = "evaluation.log"
NICENESS = 10
CLOSE_S = 2.0


@dataclass(frozen=True)
class Outcome:
    """How one evaluation went.

    Attributes:
        update: number of the checkpoint.
        env_step: environment steps of the run when it was made.
        row: for ``evaluations.jsonl``; None if the evaluation failed.
        line: the result or the reason, for people.
    """

    update: int
    env_step: int
    row: dict[str, Any] | None
    line: str


@dataclass(frozen=True)
class _Job:
    update: int
    checkpoint: str
    env_step: int
    robot_s: float
    wall_s: float


class BackgroundEvaluator:
    """A queue of checkpoints and the process that evaluates the first of them.

    Evaluations that an earlier part of the run left undone are queued first.

    Args:
        run_dir: folder of the run.
        config: of the run; its `EvalConfig` says how many episodes from which initial states.
        module: what the process runs; takes the input of `robot_rl.evaluation.worker`.
    """

    def __init__(self, run_dir: Path, config: TrainConfig, *, module: str = WORKER_MODULE) -> None:
        self._run_dir, self._config, self._module = run_dir, config, module
        self._waiting: deque[_Job] = deque(self._left_undone() if config.evaluation.every else ())
        self._answered: list[_Job] = []
        self._worker: _Worker | None = None
        self._start_next()

    @property
    def pinned(self) -> set[int]:
        """Updates whose checkpoints must not be deleted yet.

        Those of the latest `poll` are among them until the next one, by which time the best has been marked.
        """
        running = [self._worker.job] if self._worker is not None else []
        return {job.update for job in (*self._answered, *running, *self._waiting)}

    @property
    def outstanding(self) -> int:
        """Evaluations under way or waiting."""
        return len(self._waiting) + (self._worker is not None)

    def submit(self, checkpoint_path: Path, env_step: int, robot_s: float, wall_s: float = 0.0) -> None:
        """Queue a checkpoint.

        Args:
            checkpoint_path: its folder, ``checkpoints/<update>``.
            env_step: environment steps of the run when it was made.
            robot_s: robot time of the run then, seconds.
            wall_s: wall time of the run then, seconds.

        Raises:
            StorageError: the list of what is to be done cannot be written.
        """
        job = _Job(int(checkpoint_path.name), str(checkpoint_path.resolve()), env_step, robot_s, round(wall_s, 3))
        self._waiting.append(job)
        self._start_next()
        self._save()

    def poll(self) -> list[Outcome]:
        """What has finished since the last call, in the order of submission. Never waits, never raises for a worker.

        The caller writes the rows down before it calls again.
        """
        if self._answered:
            self._answered = []
            self._save()
        if self._worker is None or self._worker.running:
            return []
        worker, self._worker = self._worker, None
        outcome = worker.outcome()
        self._answered = [worker.job]
        self._start_next()
        return [outcome]

    def wait(self, timeout_s: float) -> bool:
        """Wait until the evaluation under way has ended, but not longer than this.

        Returns:
            Whether `poll` has something to give.
        """
        return self._worker is not None and self._worker.wait(timeout_s)

    def close(self) -> None:
        """End the process under way; what is undone stays on the list. May be called twice."""
        if self._answered:
            self._answered = []
            self._save()
        if self._worker is not None:
            self._waiting.appendleft(self._worker.job)
            self._worker.close()
            self._worker = None

    def _start_next(self) -> None:
        if self._worker is None and self._waiting:
            self._worker = _Worker(self._waiting.popleft(), self._run_dir, self._config, self._module)

    def _save(self) -> None:
        """Keep on the list what is answered too, until the caller has had the time to write it down."""
        running = [self._worker.job] if self._worker is not None else []
        jobs = [asdict(job) for job in (*self._answered, *running, *self._waiting)]
        try:
            replace_text(self._run_dir / PENDING, json.dumps({"jobs": jobs}, indent=1))
        except OSError as e:
            raise StorageError(f"cannot write {self._run_dir / PENDING}: {e.strerror or e}") from e

    def _left_undone(self) -> Iterator[_Job]:
        seed = self._config.evaluation.validation_seed
        done = {str(r.get("checkpoint")) for r in _rows(self._run_dir / EVALUATIONS) if r.get("seed") == seed}
        try:
            listed = json.loads((self._run_dir / PENDING).read_text(encoding="utf-8"))["jobs"]
            jobs = [_Job(**job) for job in listed]
        except (OSError, ValueError, KeyError, TypeError):
            return
        for job in jobs:
            path = self._run_dir / "checkpoints" / f"{job.update:09d}"
            if path.name not in done and path.is_dir():
                yield _Job(job.update, str(path.resolve()), job.env_step, job.robot_s, job.wall_s)


class _Worker:
    """The process of one evaluation. Input and output are unnamed files: a pipe could fill up and stop either side."""

    def __init__(self, job: _Job, run_dir: Path, config: TrainConfig, module: str) -> None:
        wanted = config.evaluation
        self.job = job
        self._log_path = run_dir / LOG
        request = {
            "checkpoint": job.checkpoint,
            "task": config.task,
            "task_options": config.env_options,
            "seeds": list(range(wanted.validation_seed, wanted.validation_seed + wanted.episodes)),
            "summary": True,
            "niceness": NICENESS,
            "parent": os.getpid(),
        }
        self._problem = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._answer: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process is
        try:
            with tempfile.TemporaryFile() as questions, self._log_path.open("ab") as log:
                questions.write(json.dumps(request).encode())
                questions.seek(0)
                self._process = subprocess.Popen(
                    [sys.executable, "-m", module],
                    stdin=questions,
                    stdout=self._answer,
                    stderr=log,
                    env=_environment(),
                    start_new_session=True,  # Ctrl-C reaches the learner alone, which then ends this one
                )
        except OSError as e:
            self._problem = f"its process could not be started: {e.strerror or e}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, timeout_s: float) -> bool:
        try:
            if self._process is not None:
                self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def outcome(self) -> Outcome:
        job = self.job
        code = self._process.wait() if self._process is not None else 0
        self._answer.seek(0)
        try:
            answer = json.loads(self._answer.read().splitlines()[-1])
        except (IndexError, ValueError):
            answer = {"error": self._problem or f"its process died with exit code {code}, see {self._log_path.name}"}
        self._answer.close()
        if "error" in answer:
            line = f"the evaluation of checkpoint {job.update:09d} failed: {answer['error']}"
            return Outcome(job.update, job.env_step, None, line)
        where = {"checkpoint": f"{job.update:09d}", "env_step": job.env_step}
        when = {"robot_s": job.robot_s, "wall_s": job.wall_s}
        return Outcome(job.update, job.env_step, {**where, **when, **answer["row"]}, answer["line"])

    def close(self) -> None:
        if self._process is not None and self.running:
            self._process.terminate()
            if not self.wait(CLOSE_S):
                self._process.kill()
                self._process.wait()
        self._answer.close()


def await_all(
    evaluator: BackgroundEvaluator,
    take: Callable[[Outcome], None],
    note: Callable[[str], None],
    stopped: Callable[[], bool],
) -> None:
    """See the outstanding evaluations through at the end of a run.

    Args:
        evaluator: with or without work.
        take: given every outcome.
        note: prints a line that stays.
        stopped: looked at now and then; what is undone when it turns true is made when the run is resumed.
    """
    said = 0
    while evaluator.outstanding and not stopped():
        if evaluator.outstanding != said:
            said = evaluator.outstanding
            note(f"waiting for {said} evaluation{'s' if said > 1 else ''} in the background")
        evaluator.wait(0.2)
        for outcome in evaluator.poll():
            take(outcome)


def _environment() -> dict[str, str]:
    root = str(Path(robot_rl.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1"), "PYTHONPATH": path}


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row
