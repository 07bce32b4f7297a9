"""Which stops of the robot by itself, its reflexes, may be recovered without a person, and how often."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from robot_rl.controllers.arbiter_modes import Fault
from robot_rl.controllers.arbiter_readings import Reading, RobotMode

_HOUR_S = 3600.0
# A collision may break the arbiter's force limit a few readings before the robot reports its reflex.
_SAME_COLLISION_S = 0.5
_COLLISION = frozenset({"reflex", "force_limit"})


class ReflexRecovery:
    """Counts reflexes and grants so many recoveries within any hour."""

    def __init__(self) -> None:
        self.reflexes = 0
        self._granted = False
        self._granted_s: deque[float] = deque()

    def count(self, t_s: float, per_hour: int) -> None:
        """A reflex happened. A grant is used up now, also if the recovery fails later."""
        self.reflexes += 1
        while self._granted_s and t_s - self._granted_s[0] >= _HOUR_S:
            self._granted_s.popleft()
        self._granted = len(self._granted_s) < per_hour
        if self._granted:
            self._granted_s.append(t_s)

    def wanted(self, faults: Sequence[Fault]) -> bool:
        """Whether these faults are a collision that may be recovered, and nothing else."""
        names = {fault.name for fault in faults}
        return self._granted and "reflex" in names and names <= _COLLISION


def is_same_collision(faults: Sequence[Fault], reading: Reading | None, t_s: float) -> bool:
    """Whether the robot reports a reflex right after the force limit was broken, and nothing else is wrong."""
    if reading is None or reading.robot_mode is not RobotMode.REFLEX or len(faults) != 1:
        return False
    return faults[0].name == "force_limit" and t_s - faults[0].t_s <= _SAME_COLLISION_S
