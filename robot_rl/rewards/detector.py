"""A reward model at work: as the detector of an environment, and as the model that a reward node asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.protocols import Verdict
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.rewards.drift import RED
from robot_rl.rewards.judge import Judged, SuccessJudge
from robot_rl.rewards.model_file import Scorer, load_reward_model
from robot_rl.rewards.readings import live_readings

MAX_BLIND_S = 1.0
# Where nobody says when an episode begins, a pause is what parts two of them.
NEW_EPISODE_S = 2.0


class SuccessDetector:
    """`robot_rl.core.protocols.Detector` and `RewardModel` in one.

    It looks at newest pictures only and takes no time of its own. While a camera shows nothing that can be judged, it
    abstains; when that lasts, it refuses to go on, so that nothing is learnt from an episode that nobody saw.

    Args:
        scorer: the model; closed with the detector.
        max_blind_s: how long it may be unable to judge.
    """

    names = ("success", "p_success")

    def __init__(self, scorer: Scorer, *, max_blind_s: float = MAX_BLIND_S) -> None:
        self._scorer, self._max_blind_s = scorer, max_blind_s
        self._judge = SuccessJudge(scorer)
        self._home: Array = np.array(scorer.info.home_base_tcp)
        self._blind_since_s: float | None = None
        self._last_s = -np.inf

    @property
    def cameras(self) -> tuple[str, ...]:
        """Through which the model looks."""
        return tuple(self._scorer.info.cameras)

    @property
    def scorer(self) -> Scorer:
        """The model."""
        return self._scorer

    def reset(self) -> None:
        """A new episode begins."""
        self._judge.reset()
        self._blind_since_s = None

    def judge(self, arm: ArmState, gripper: GripperState, frames: Mapping[str, Frame], t_s: float) -> Verdict:
        """As `robot_rl.core.protocols.Detector.judge`."""
        judged = self._look(arm, gripper, frames, t_s)
        reason = judged.why if judged.drift == RED else judged.gate.reason
        return Verdict(judged.gate.success, judged.p, reason)

    def evaluate(
        self, arm: ArmState, gripper: GripperState, objects: Mapping[str, Array], frames: Mapping[str, Frame]
    ) -> dict[str, float]:
        """``success``, 0 or 1, by the gate, and ``p_success``; objects are not looked at.

        Raises:
            DataError: it cannot judge this look.
        """
        if not 0.0 <= arm.t_s - self._last_s < NEW_EPISODE_S:
            self.reset()
        self._last_s = arm.t_s
        judged = self._look(arm, gripper, frames, arm.t_s)
        if judged.p is None:
            raise DataError(f"the success classifier abstains: {judged.why}")
        return {"success": float(judged.gate.success), "p_success": judged.p}

    def veto(self) -> None:
        """A person says that the task is not done."""
        self._judge.veto()

    def close(self) -> None:
        """Release the model. May be called twice."""
        self._scorer.close()

    def _look(self, arm: ArmState, gripper: GripperState, frames: Mapping[str, Frame], t_s: float) -> Judged:
        images = {camera: frame.image for camera, frame in frames.items()}
        judged = self._judge.look(images, live_readings(arm, gripper, self._home), t_s)
        if judged.drift != RED:
            self._blind_since_s = None
            return judged
        if self._blind_since_s is None:
            self._blind_since_s = t_s
        if t_s - self._blind_since_s >= self._max_blind_s:
            raise DataError(
                f"the success classifier has not been able to judge for {t_s - self._blind_since_s:.1f} s "
                f"({judged.why}): look at that camera, or train a model on pictures as they are now"
            )
        return judged


def open_detector(
    model: Path, task: str, *, home_base_tcp: Array | None = None, real: bool = False, unevaluated: bool = False
) -> SuccessDetector:
    """Open a model to reward a robot with.

    Args:
        model: its folder.
        task: id of the task that is to be judged.
        home_base_tcp: home of that task as it is now ``[7]``; None for not to compare.
        real: the cell is no simulation.
        unevaluated: let a model judge that nobody has evaluated.

    Raises:
        DataError: there is no model, or it is damaged.
        ConfigError: it judges another task, cannot say success, or would reward a real robot unevaluated.
    """
    scorer = load_reward_model(model)
    info = scorer.info
    if info.task != task:
        scorer.close()
        raise ConfigError(f"the reward model {model} judges the task {info.task}, not {task}")
    if home_base_tcp is not None and not np.allclose(info.home_base_tcp, home_base_tcp, atol=1e-6):
        scorer.close()
        raise ConfigError(
            f"the reward model {model} was made for the home {list(info.home_base_tcp)}, the task's is "
            f"{home_base_tcp.tolist()}: train it anew"
        )
    if real and not info.evaluated and not unevaluated:
        scorer.close()
        raise ConfigError(
            f"the reward model {model} was never evaluated on episodes that it had not seen, so it may not reward a "
            "real robot: robot-rl reward evaluate MODEL EPISODES, or say --detector.unevaluated"
        )
    return SuccessDetector(scorer)
