"""How like a goal in words, or in pictures, a frame is: rewards of a frozen CLIP without training.

Source: VLM-RM (Rocamonde et al. 2023, arXiv 2310.12921, section 3 and equation 3). With the unit embeddings ``s`` of a
frame, ``g`` of the goal and ``b`` of a baseline, the same scene with the task not done, and the projection ``P`` on the
line from ``b`` to ``g``:

    R_alpha = 1 - |(alpha P + (1 - alpha) I) (s - g)|^2 / 2

``alpha = 0`` is the cosine of ``s`` and ``g``; ``alpha = 1`` looks only along the line from baseline to goal, so that
what both have in common, the scene, does not count.

Such a similarity is no probability of success: it is high when the gripper hides the object, or holds it above the
target. It is there to be watched, or as a progress score under the contract of process rewards. It declares success
only if a threshold for it has been calibrated on labelled frames, on request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array, Float32, Image
from robot_rl.rewards.calibrate import off_edges, sigmoid, threshold_at
from robot_rl.rewards.clip_backbone import ClipBackbone, open_backbone
from robot_rl.rewards.evaluate import auc, evaluate_scorer
from robot_rl.rewards.frames import Clip, count_frames, split_clips
from robot_rl.rewards.gate import NEVER, GateSpec
from robot_rl.rewards.model_file import CameraInfo, ModelInfo, checked_pictures
from robot_rl.rewards.spans import NO, YES
from robot_rl.vision.preprocess import PreprocessSpec

TEXT, GOAL_IMAGE = "clip_text", "clip_goal_image"
TEMPLATES = (
    "{}",
    "a photo of {}",
    "a picture from a robot's camera: {}",
    "a robot arm at a table, {}",
    "a low resolution rendering in which {}",
)
"""Sentences that a description is put into: one sentence alone is never to be trusted."""
LEAST_AUC = 0.8


def goal_baseline(frames: Float32, goal: Float32, baseline: Float32, alpha: float) -> Float32:
    """Goal-baseline regularised similarity, see above.

    Args:
        frames: unit embeddings ``[N, D]``.
        goal: unit embedding ``[D]``.
        baseline: unit embedding ``[D]``.
        alpha: strength of the regularisation in [0, 1].

    Returns:
        ``float32[N]``, at most 1; at least -1.

    Raises:
        DataError: goal and baseline are the same, or alpha is out of range.
    """
    if not 0.0 <= alpha <= 1.0:
        raise DataError(f"alpha is {alpha}, expected 0 (plain cosine) to 1 (only the direction from baseline to goal)")
    line = goal.astype(np.float64) - baseline
    length2 = float(line @ line)
    if length2 < 1e-8:
        raise DataError("goal and baseline have the same embedding: describe the same scene with the task not done")
    gap = frames.astype(np.float64) - goal
    along = (gap @ line / length2)[:, None] * line
    rest = alpha * along + (1.0 - alpha) * gap
    return np.asarray(1.0 - 0.5 * np.square(rest).sum(1), np.float32)


def text_side(backbone: ClipBackbone, descriptions: Sequence[str], templates: Sequence[str] = TEMPLATES) -> Float32:
    """One unit embedding ``[D]`` for a side: the mean over its descriptions and the templates.

    Raises:
        DataError: there is no description, or their embeddings cancel out.
    """
    texts = [template.format(text) for text in descriptions if text.strip() for template in templates]
    if not texts:
        raise DataError("a side needs a description in words, for example 'a red cube held in the air by a gripper'")
    return mean_unit(backbone.encode_texts(texts))


def mean_unit(embeddings: Float32) -> Float32:
    """The direction of the mean ``[D]`` of unit embeddings ``[N, D]``.

    Raises:
        DataError: they cancel out.
    """
    mean = embeddings.mean(0)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        raise DataError("the embeddings of one side cancel out: describe one thing")
    return np.asarray(mean / length, np.float32)


class SimilarityReward:
    """`robot_rl.rewards.model_file.Scorer` of the kinds ``clip_text`` and ``clip_goal_image``.

    Args:
        info: of the model.
        arrays: ``<camera>/goal`` and ``<camera>/baseline``, unit embeddings ``[D]``.
        backbone: that made them.

    Raises:
        DataError: an embedding is missing.
    """

    def __init__(self, info: ModelInfo, arrays: Mapping[str, Any], backbone: ClipBackbone) -> None:
        self._info, self._arrays, self._backbone = info, arrays, backbone
        missing = [f"{c}/{side}" for c in info.cameras for side in ("goal", "baseline") if f"{c}/{side}" not in arrays]
        if missing:
            raise DataError(f"the reward model lacks {', '.join(missing)}: make it anew")

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""
        return self._info

    def similarity(self, images: Mapping[str, Image]) -> dict[str, Float32]:
        """Regularised similarity in [-1, 1] by camera ``float32[N]``.

        Raises:
            DataError: a camera is missing or its pictures have another size.
        """
        out = {}
        for name, pictures in checked_pictures(self._info, images).items():
            s = self._backbone.encode_images(pictures, self._info.cameras[name].preprocess)
            goal, baseline = self._arrays[f"{name}/goal"], self._arrays[f"{name}/baseline"]
            out[name] = goal_baseline(s, goal, baseline, float(self._info.settings["alpha"]))
        return out

    def score(self, images: Mapping[str, Image]) -> dict[str, Array]:
        """As `robot_rl.rewards.model_file.Scorer.score`; ``(1 + R) / 2`` where nothing was calibrated."""
        out = {}
        for name, value in self.similarity(images).items():
            fitted = self._info.settings["logistic"].get(name)
            x = value.astype(np.float64)
            p = 0.5 * (1.0 + x) if fitted is None else sigmoid(fitted[0] * x + fitted[1])
            out[name] = off_edges(p)
        return out

    def close(self) -> None:
        """Release the backbone. May be called twice."""
        self._backbone.close()


def open_similarity(info: ModelInfo, arrays: Mapping[str, Any]) -> SimilarityReward:
    """Open a model file of these kinds; the text tower's tokenizer is not needed any more.

    Raises:
        ConfigError: the backbone's folder is not on this machine.
        DataError: it is another backbone than the model was made with.
    """
    folder, checksum = Path(info.settings["backbone"]), str(info.settings["backbone_checksum"])
    return SimilarityReward(info, arrays, open_backbone(folder, checksum))


def make_similarity(
    kind: str,
    backbone: ClipBackbone,
    clips: Sequence[Clip],
    sides: Mapping[str, tuple[Float32, Float32]],
    home_base_tcp: Array,
    *,
    specs: Mapping[str, PreprocessSpec],
    alpha: float,
    words: Mapping[str, Any],
    may_end: bool = False,
    target_fpr: float = 0.01,
    seed: int = 0,
) -> tuple[ModelInfo, dict[str, npt.NDArray[Any]]]:
    """Put a model together and look at how it does on labelled frames.

    Args:
        kind: ``clip_text`` or ``clip_goal_image``.
        backbone: stays open.
        clips: recorded episodes, for the cameras' sizes and, where they hold success and other frames, calibration.
        sides: (goal, baseline) by camera.
        home_base_tcp: home of the task.
        specs: what is done to the pictures, by camera.
        alpha: strength of the regularisation.
        words: what the goal was described with, for the card.
        may_end: give it a gate that opens, at a threshold for the false-positive rate.
        target_fpr: of frames.
        seed: of the split of episodes.

    Raises:
        DataError: it may end episodes but there are not enough labelled frames, or it cannot tell them apart.
    """
    cameras = {n: CameraInfo((x.shape[1], x.shape[2]), specs[n]) for n, x in clips[0].images.items()}
    settings = {
        "alpha": alpha,
        "backbone": str(backbone.folder.absolute()),
        "backbone_checksum": backbone.checksum,
        "logistic": {},
        **words,
    }
    home = tuple(map(float, home_base_tcp))
    info = ModelInfo(kind, clips[0].task, cameras, NEVER, home, settings)
    pairs = (
        (f"{name}/{side}", v)
        for name, both in sides.items()
        for side, v in zip(("goal", "baseline"), both, strict=True)
    )
    arrays: dict[str, npt.NDArray[Any]] = dict(pairs)
    fitting, test = split_clips(clips, (0.4,), seed)
    info, skill = _calibrated(info, arrays, backbone, fitting, may_end=may_end, target_fpr=target_fpr)
    card = {"made_s": time.time(), "episodes": sorted(c.episode_id for c in fitting), "auc": skill,
            "frames": count_frames(fitting), "held_out": count_frames(test)}  # fmt: skip
    info = replace(info, card=card)
    if test and info.settings["logistic"]:
        evaluation = evaluate_scorer(SimilarityReward(info, arrays, backbone), test).to_dict(held_out=True)
        info = replace(info, evaluation=evaluation)
    return info, arrays


def _calibrated(
    info: ModelInfo,
    arrays: Mapping[str, Any],
    backbone: ClipBackbone,
    clips: Sequence[Clip],
    *,
    may_end: bool,
    target_fpr: float,
) -> tuple[ModelInfo, dict[str, float]]:
    """The model with a logistic curve for each camera, if there are frames of both kinds; and each camera's AUC."""
    scorer = SimilarityReward(info, arrays, backbone)
    values = [scorer.similarity(clip.images) for clip in clips]
    labels = np.concatenate([clip.success for clip in clips]) if clips else np.zeros(0, np.int8)
    told = labels >= 0
    success = labels[told] == YES
    if not success.any() or success.all():
        if may_end:
            raise DataError(
                "a similarity may end episodes only after calibration: give episodes with and without success"
            )
        return info, {}
    x = {c: np.concatenate([v[c] for v in values])[told].astype(np.float64) for c in info.cameras}
    skill = {c: auc(v, success) for c, v in x.items()}
    fitted = {c: logistic(v, success) for c, v in x.items()}
    info = replace(info, settings={**info.settings, "logistic": {c: list(f) for c, f in fitted.items()}})
    if may_end:
        if min(skill.values()) < LEAST_AUC:
            raise DataError(
                f"the similarity cannot tell success from what is not (area under the curve {min(skill.values()):.2f}, "
                f"at least {LEAST_AUC} is needed to end episodes): try other words, a region, or train a head"
            )
        p = np.min([sigmoid(f[0] * x[c] + f[1]) for c, f in fitted.items()], axis=0)
        on = min(threshold_at(p[labels[told] == NO], target_fpr), 1.0)
        info = replace(info, gate=GateSpec(on=on, off=min(0.5, on)))
    return info, skill


def logistic(x: Array, success: npt.NDArray[np.bool_], l2: float = 1e-2) -> tuple[float, float]:
    """Slope >= 0 and offset of the logistic curve of success over a number, both kinds weighing alike (Newton).

    Args:
        x: the number ``[N]``.
        success: ``[N]``, some and not all.
        l2: charge on the slope over the standardised number.
    """
    mean, std = float(x.mean()), float(x.std()) + 1e-9
    z = np.stack([(x - mean) / std, np.ones_like(x)], 1)
    weight = np.where(success, 0.5 / success.mean(), 0.5 / (1.0 - success.mean())) / len(x)
    w = np.zeros(2)
    for _ in range(50):
        p = sigmoid(z @ w)
        gradient = z.T @ (weight * (p - success)) + l2 * np.array([w[0], 0.0])
        curvature = (z * (weight * p * (1.0 - p))[:, None]).T @ z + np.diag([l2, 1e-9])
        w = w - np.linalg.solve(curvature, gradient)
    slope = max(float(w[0]), 0.0)
    return slope / std, float(w[1]) - slope * mean / std
