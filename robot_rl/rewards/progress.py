"""Models that say how far a task has come, as `robot_rl.core.protocols.RewardModel` with the component ``progress``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.protocols import RewardModel
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.rewards.model_file import Scorer, load_reward_model

PROGRESS = "progress"


class Restricted:
    """A reward model of which only some components are asked for.

    Args:
        model: answers with at least `names`.
        names: of the components to keep.

    Raises:
        DataError: the model lacks one of them.
    """

    def __init__(self, model: RewardModel, names: Sequence[str] = (PROGRESS,)) -> None:
        missing = sorted(set(names) - set(model.names))
        if missing:
            raise DataError(
                f"the reward model answers with {', '.join(model.names)}, and knows nothing of {', '.join(missing)}"
            )
        self._model, self._names = model, tuple(names)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the components that are kept."""
        return self._names

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those of the model."""
        return self._model.cameras

    def evaluate(
        self, arm: ArmState, gripper: GripperState, objects: Mapping[str, Array], frames: Mapping[str, Frame]
    ) -> dict[str, float]:
        """The kept components of the model's answer.

        Raises:
            DataError: as the model.
        """
        answer = self._model.evaluate(arm, gripper, objects, frames)
        return {name: float(answer[name]) for name in self._names}


class SeenProgress:
    """What a model sees of the task's progress: the least convinced view's answer to the newest pictures.

    Args:
        scorer: of any kind of reward model; closed with this.
    """

    names = (PROGRESS,)

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    @property
    def cameras(self) -> tuple[str, ...]:
        """Through which the model looks."""
        return tuple(self._scorer.info.cameras)

    def evaluate(
        self, arm: ArmState, gripper: GripperState, objects: Mapping[str, Array], frames: Mapping[str, Frame]
    ) -> dict[str, float]:
        """``progress`` in [0, 1]; robot and objects are not looked at.

        Raises:
            DataError: a camera is missing, or its pictures have another size than the model was made for.
        """
        scores = self._scorer.score({name: frame.image[None] for name, frame in frames.items()})
        return {PROGRESS: min(float(values[0]) for values in scores.values())}

    def close(self) -> None:
        """Release the model. May be called twice."""
        self._scorer.close()


def open_seen_progress(folder: Path, task: str) -> SeenProgress:
    """Open a reward model to say how far a task has come.

    Raises:
        DataError: there is no model, or it is damaged.
        ConfigError: it is of another task, or a library or weight file that it needs is not there.
    """
    scorer = load_reward_model(folder)
    if scorer.info.task != task:
        scorer.close()
        raise ConfigError(f"the progress model {folder} is of the task {scorer.info.task}, not {task}")
    return SeenProgress(scorer)
