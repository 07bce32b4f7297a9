"""Plays a part of an evaluation, or a whole one, in a process of its own: a job as JSON on stdin, one answer on stdout.

Besides the fields of `Job` the input may hold ``summary`` (answer with the row and line of the whole evaluation instead
of its episodes), ``niceness`` (added to the process's own) and ``parent`` (the process id without which there is nobody
to answer, so that no evaluation outlives the one who asked).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from robot_rl.core.errors import RobotRlError
from robot_rl.evaluation.checkpoints import Job, load_saved_policy, run_job
from robot_rl.evaluation.evaluate import Evaluation
from robot_rl.evaluation.rollout import EpisodeResult

EXIT_ORPHAN = 3


def main() -> int:
    """Read the job, play it, answer with one line; a known error is answered as ``{"error": ...}`` with exit code 2."""
    request = json.load(sys.stdin)
    os.nice(int(request.get("niceness", 0)))
    code = 0
    try:
        answer = _answer(request)
    except RobotRlError as e:
        answer, code = {"error": str(e)}, 2
    sys.stdout.write(json.dumps(answer) + "\n")
    return code


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    job = Job(request["checkpoint"], request["task"], request["task_options"], tuple(request["seeds"]))
    parent = int(request.get("parent", 0))

    def end_with_parent(_: EpisodeResult) -> None:
        if parent and os.getppid() != parent:
            sys.exit(EXIT_ORPHAN)

    saved = load_saved_policy(Path(job.checkpoint))
    episodes, limit_s = run_job(job, saved, end_with_parent)
    if request.get("summary"):
        result = Evaluation(job.task, tuple(episodes), limit_s, saved.policy.version, job.task_options)
        return {"row": result.row(), "line": result.line()}
    return {"episodes": [asdict(e) for e in episodes]}


if __name__ == "__main__":
    sys.exit(main())
