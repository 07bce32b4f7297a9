"""The actor process on `PointEnv`: ``python -m tests.runtime.point_actor`` takes the real actor's arguments."""

import sys

from robot_rl.runtime.actor import process as actor
from tests.runtime.fakes import PointEnv

actor.open_env = lambda config: PointEnv(limit=12)  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(actor.main())
