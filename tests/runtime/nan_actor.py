"""The actor process on a cell whose sensor breaks."""

import sys

from robot_rl.runtime.actor import process as actor
from tests.runtime.fakes import PointEnv

actor.open_env = lambda config: PointEnv(bad_at=lambda e, s: s == 2)  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(actor.main())
