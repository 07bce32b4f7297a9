"""Plays a part of an evaluation in a process of its own: a job as JSON on stdin, its episodes as JSON on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from robot_rl.core.errors import RobotRlError
from robot_rl.evaluation.checkpoints import Job, load_saved_policy, run_job


def main() -> int:
    """Read the job, play it, answer with one line; a known error is answered as ``{"error": ...}`` with exit code 2."""
    request = json.load(sys.stdin)
    job = Job(request["checkpoint"], request["task"], request["task_options"], tuple(request["seeds"]))
    try:
        episodes, _ = run_job(job, load_saved_policy(Path(job.checkpoint)))
    except RobotRlError as e:
        sys.stdout.write(json.dumps({"error": str(e)}) + "\n")
        return 2
    sys.stdout.write(json.dumps({"episodes": [asdict(e) for e in episodes]}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
