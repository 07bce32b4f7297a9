"""One learner of a pair as a process of its own: ``python -m robot_rl.runtime.learner.member``.

`robot_rl.runtime.pair_processes` starts two of them and one actor. It may be killed at any time; its successor listens
where it did and goes on with its run folder. It exits with code 0 when all steps of the pair have been taken, 130 when
it was asked to stop, 2 with one sentence when it cannot go on.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from robot_rl.core.errors import RobotRlError
from robot_rl.runtime.learner.child import EXIT_INTERRUPTED
from robot_rl.runtime.learner.line import Endpoints, Line
from robot_rl.runtime.learner.partner import Partner
from robot_rl.runtime.learner.process import train_two_processes
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.learner.training import see_through
from robot_rl.runtime.locks import FolderLock
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.run_folder import open_run
from robot_rl.runtime.stop import ParentFlag, StopFlag, stop_on_signals
from robot_rl.runtime.tasks import open_simulation

PREDECESSOR_S = 30.0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the child process; returns the exit code."""
    parser = argparse.ArgumentParser(prog="robot_rl.runtime.learner.member", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--line", type=int, required=True, help="descriptor of the socket to the parent")
    parser.add_argument("--parent", type=int, required=True, help="end when this process is no longer the parent")
    parser.add_argument("--records", default="", help="where a predecessor listened for records")
    parser.add_argument("--parameters", default="", help="where it published parameters")
    parser.add_argument("--resume", action="store_true", help="go on with what the run folder holds")
    parser.add_argument("--accept-loss", action="store_true", help="although its log lacks steps")
    args = parser.parse_args(argv)
    try:
        with stop_on_signals() as stop:
            return 0 if _train(args, ParentFlag(args.parent, stop)) else EXIT_INTERRUPTED
    except RobotRlError as e:
        print(f"robot-rl learner: {e}", file=sys.stderr, flush=True)
        return 2


def _train(args: argparse.Namespace, stop: StopFlag) -> bool:
    run = open_run(args.run)
    config = run.config()
    with closing(Line(socket.socket(fileno=args.line))) as line:
        lock = FolderLock(run.path, "trains in", wait_s=PREDECESSOR_S)
        try:
            with closing(open_simulation(config)) as env:
                layout = env.state_spec, env.action_spec, env.hz
            # Two lines cannot be redrawn in one place, so both are printed now and then.
            session = Session(run, config, *layout, Progress(config.task, live=False))
            at = Endpoints(args.records, args.parameters) if args.records else None
            partner = Partner(line, session, at)
            return see_through(
                session,
                lambda: train_two_processes(session, stop, partner=partner),
                stop,
                resumed=args.resume,
                accept_loss=args.accept_loss,
            )
        finally:
            lock.close()


if __name__ == "__main__":
    sys.exit(main())
