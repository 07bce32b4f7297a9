"""Judging a cell by the rules of its task, from true poses: what a learned detector of success is measured against."""

from __future__ import annotations

from collections.abc import Mapping

from robot_rl.core.errors import DataError
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.envs.tasks.base import Snapshot, Task

SUCCESS, PROGRESS = "success", "progress"


class TaskJudge:
    """`robot_rl.core.protocols.RewardModel` that knows where everything is.

    Components: ``success``, 0 or 1, and ``progress``, the task's potential in [0, 1].

    Args:
        task: whose rules are applied.
    """

    names = (SUCCESS, PROGRESS)
    cameras: tuple[str, ...] = ()

    def __init__(self, task: Task) -> None:
        self._task = task
        self._objects = frozenset(o.name for o in task.objects)

    def evaluate(
        self, arm: ArmState, gripper: GripperState, objects: Mapping[str, Array], frames: Mapping[str, Frame]
    ) -> dict[str, float]:
        """Both components; pictures are not looked at.

        Raises:
            DataError: the pose of an object is unknown; names it.
        """
        missing = sorted(self._objects - objects.keys())
        if missing:
            raise DataError(f"{self._task.id} cannot be judged: the poses of {', '.join(missing)} are not known")
        now = Snapshot(arm, gripper, dict(objects))
        return {SUCCESS: float(self._task.success(now)), PROGRESS: float(self._task.progress(now))}
