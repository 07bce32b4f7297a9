"""The evaluation worker on `PointEnv`: ``python -m tests.runtime.learner.point_worker`` takes the real worker's input.

``POINT_WORKER_KILL`` names a checkpoint at which it kills itself; ``POINT_WORKER_FACTS`` a file for its priority and
number of threads.
"""

import os
import signal
import sys
from pathlib import Path

import robot_rl.envs
from robot_rl.evaluation import worker
from robot_rl.evaluation.checkpoints import SavedPolicy, load_saved_policy
from tests.runtime.fakes import PointEnv


def _load(path: Path) -> SavedPolicy:
    if path.name == os.environ.get("POINT_WORKER_KILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "POINT_WORKER_FACTS" in os.environ:
        Path(os.environ["POINT_WORKER_FACTS"]).write_text(f"{os.nice(0)} {os.environ['OMP_NUM_THREADS']}")
    return load_saved_policy(path)


robot_rl.envs.make_env = lambda task, **options: PointEnv(limit=12)  # type: ignore[assignment]
worker.load_saved_policy = _load

if __name__ == "__main__":
    sys.exit(worker.main())
