"""Who says what a step was worth: the task's own rules, or a detector that only sees; and what is merely watched."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.protocols import Cell, Detector, RewardModel, Verdict
from robot_rl.core.types import ArmState, Frame, GripperState
from robot_rl.envs.judge import PROGRESS
from robot_rl.envs.tasks.base import Snapshot, Task

P_SUCCESS, TRUTH = "p_success", "truth"


@dataclass(frozen=True)
class Judgement:
    """What was said of one control tick.

    Attributes:
        success: the task is done.
        watched: components that nothing weighs, see `robot_rl.data.rewards.WATCHED`.
    """

    success: bool
    watched: dict[str, float] = field(default_factory=dict)


class NeverDone:
    """A detector that sees no success, so that episodes go on after it: for filming what success looks like."""

    cameras: tuple[str, ...] = ()

    def reset(self) -> None:
        """Nothing to forget."""

    def judge(self, arm: ArmState, gripper: GripperState, frames: Mapping[str, Frame], t_s: float) -> Verdict:
        """Not yet."""
        return Verdict(False, None)


class Judging:
    """Success by the rules of the task, or by a detector beside them; the answer of a progress model on top.

    Args:
        cell: whose cameras the models look through. Where it does not look after its objects itself, the rules of the
            task know nothing, and no truth is told beside a detector.
        task: whose rules they are.
        detector: decides in their place; None for the rules.
        progress: answers with ``progress``, among others; None for no such component.

    Raises:
        ConfigError: a model wants a camera that the cell lacks, or the progress model knows of no progress.
    """

    def __init__(
        self, cell: Cell, task: Task, detector: Detector | None = None, progress: RewardModel | None = None
    ) -> None:
        self._task, self._detector, self._progress = task, detector, progress
        self._truth_known = not cell.unseen and not cell.placed_by_person
        if progress is not None and PROGRESS not in progress.names:
            raise ConfigError(
                f"a progress model answers with {PROGRESS!r}, this one with {', '.join(progress.names) or 'nothing'}"
            )
        for what, model in (("detector", detector), ("progress model", progress)):
            if model is not None:
                _check_cameras(what, model.cameras, cell.cameras)

    @property
    def detected(self) -> bool:
        """Whether a detector decides, rather than the rules of the task."""
        return self._detector is not None

    def begin(self, now: Snapshot, frames: Mapping[str, Frame]) -> Judgement:
        """An episode begins: what came before is forgotten, and its first tick watched.

        Raises:
            DataError: a model cannot answer.
        """
        if self._detector is not None:
            self._detector.reset()
        reset = getattr(self._progress, "reset", None)
        if reset is not None:
            reset()
        return Judgement(False, self._progress_of(now, frames))

    def judge(self, now: Snapshot, frames: Mapping[str, Frame], t_s: float) -> Judgement:
        """What the tick of a step was worth.

        Args:
            now: readings.
            frames: by camera.
            t_s: time of the tick on the cell's clock.

        Raises:
            DataError: a model cannot answer, or has not been able to judge for too long.
        """
        watched = self._progress_of(now, frames)
        if self._detector is None:
            return Judgement(self._task.success(now), watched)
        seen = {camera: frames[camera] for camera in self._detector.cameras}
        verdict = self._detector.judge(now.arm, now.gripper, seen, t_s)
        if verdict.p_success is not None:
            watched[P_SUCCESS] = float(verdict.p_success)
        if self._truth_known:
            watched[TRUTH] = float(self._task.success(now))
        return Judgement(verdict.success, watched)

    def _progress_of(self, now: Snapshot, frames: Mapping[str, Frame]) -> dict[str, float]:
        if self._progress is None:
            return {}
        seen = {camera: frames[camera] for camera in self._progress.cameras}
        answer = self._progress.evaluate(now.arm, now.gripper, now.objects, seen)
        if PROGRESS not in answer:
            raise DataError(f"the progress model answers {sorted(answer)}, expected {PROGRESS!r} among them")
        return {PROGRESS: float(answer[PROGRESS])}


def _check_cameras(what: str, wanted: Collection[str], there: Collection[str]) -> None:
    missing = sorted(set(wanted) - set(there))
    if missing:
        raise ConfigError(
            f"the {what} looks through the cameras {', '.join(sorted(wanted))}, of which this cell lacks "
            f"{', '.join(missing)}; it has {', '.join(sorted(there)) or 'none'}"
        )
