"""A learner of a pair on `PairPoint`: ``python -m tests.runtime.pair_member`` takes the real one's arguments."""

import sys

import robot_rl.envs
from robot_rl.runtime.learner import member
from tests.runtime.pair_point import PairPoint

robot_rl.envs.make_env = lambda task, **options: PairPoint(task)  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(member.main())
