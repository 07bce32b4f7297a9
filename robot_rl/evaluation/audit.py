"""Everything that is known about a success classifier before it may reward anything, as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from robot_rl.core.types import Array
from robot_rl.evaluation.audit_probes import PROBES
from robot_rl.rewards.drift import AMBER, RED
from robot_rl.rewards.evaluate import Evaluation, Limits, Rate, evaluate_scorer
from robot_rl.rewards.frames import Clip
from robot_rl.rewards.judge import SuccessJudge
from robot_rl.rewards.model_file import ModelInfo, Scorer
from robot_rl.rewards.spans import NO

PROBED_CLIPS = 12


@dataclass(frozen=True)
class ProbeResult:
    """What a disturbance of the pictures did to frames without success.

    Attributes:
        name: of the disturbance.
        fooled: frames that reach the threshold by the networks alone.
        served: frames that reach it and are not turned away by the watch over the cameras.
        ended: episodes that the gate would have ended before they had succeeded.
    """

    name: str
    fooled: Rate
    served: Rate
    ended: Rate


@dataclass(frozen=True)
class Audit:
    """A model, judged.

    Attributes:
        info: what is known about it.
        evaluation: on episodes.
        probes: disturbances.
        drift: frames by the state of the watch over the cameras: fine, amber, red.
        known: episodes among these that it was trained on.
        limits: what it must keep.
    """

    info: ModelInfo
    evaluation: Evaluation
    probes: tuple[ProbeResult, ...]
    drift: tuple[int, int, int]
    known: int
    limits: Limits = field(default_factory=Limits)

    @property
    def complaints(self) -> list[str]:
        """What it does not keep, one sentence each."""
        out = self.evaluation.complaints(self.limits)
        out += [
            f"{p.name}: {p.served.text()} of the frames become successes, at most {self.limits.probe:.1%} allowed"
            for p in self.probes
            if p.served.value > self.limits.probe
        ]
        if self.known:
            out.append(f"{self.known} of the episodes were trained on: audit with others")
        if not self.evaluation.enough:
            out.append("there are fewer than three episodes with success, or without: collect more")
        return out


def audit_model(
    scorer: Scorer,
    clips: Sequence[Clip],
    *,
    limits: Limits | None = None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Audit:
    """Judge a model on episodes, and on what broken cameras would make of some of them.

    Raises:
        DataError: there are no episodes, or a camera does not fit.
    """
    evaluation = evaluate_scorer(scorer, clips, on_clip=lambda done, of: on_progress("judging", done, of))
    known = set(scorer.info.card.get("episodes", ()))
    states = [j.drift for r in evaluation.results for j in r.judged]
    some = _spread(clips, PROBED_CLIPS)
    probes = []
    for k, name in enumerate(PROBES):
        probes.append(_probe(scorer, some, name, evaluation.threshold))
        on_progress("probing", k + 1, len(PROBES))
    return Audit(
        scorer.info,
        evaluation,
        tuple(probes),
        (sum(s < AMBER for s in states), sum(s == AMBER for s in states), sum(s == RED for s in states)),
        sum(c.episode_id in known for c in clips),
        limits or Limits(),
    )


def roc(evaluation: Evaluation) -> tuple[Array, Array]:
    """False-positive rate and recall at every threshold, rising ``[K]`` each."""
    p, success, _ = evaluation.frames
    order = np.argsort(-p, kind="stable")
    hits, misses = np.cumsum(success[order]), np.cumsum(~success[order])
    last = np.append(np.diff(p[order]) != 0, True)
    fpr, recall = misses[last] / max(misses[-1], 1), hits[last] / max(hits[-1], 1)
    return np.append(0.0, fpr), np.append(0.0, recall)


def precision_recall(evaluation: Evaluation) -> tuple[Array, Array]:
    """Recall and precision at every threshold, recall rising ``[K]`` each."""
    p, success, _ = evaluation.frames
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(success[order])
    last = np.append(np.diff(p[order]) != 0, True)
    return hits[last] / max(hits[-1], 1), hits[last] / np.arange(1, len(p) + 1)[last]


def reliability(evaluation: Evaluation, bins: int = 10) -> list[tuple[float, Rate]]:
    """Mean promised probability and what happened, by bin; empty bins are left out."""
    p, success, _ = evaluation.frames
    which = np.minimum((p * bins).astype(int), bins - 1)
    return [
        (float(p[which == b].mean()), Rate(int(success[which == b].sum()), int((which == b).sum())))
        for b in range(bins)
        if (which == b).any()
    ]


def disagreement(evaluation: Evaluation) -> Rate:
    """Frames on whose side of the threshold the views differ."""
    stacked = [np.stack(list(r.views.values())) >= evaluation.threshold for r in evaluation.results]
    differs = np.concatenate([s.any(0) & ~s.all(0) for s in stacked])
    return Rate(int(differs.sum()), len(differs))


def _spread(clips: Sequence[Clip], n: int) -> list[Clip]:
    """Some episodes of both kinds."""
    yes, no = [c for c in clips if c.has_success], [c for c in clips if not c.has_success]
    return [*yes[: n // 2], *no[: n - min(n // 2, len(yes))]]


def _probe(scorer: Scorer, clips: Sequence[Clip], name: str, threshold: float) -> ProbeResult:
    judge = SuccessJudge(scorer)
    fooled = served = frames = ended = 0
    for clip in clips:
        disturbed = replace(clip, images=PROBES[name](clip))
        views = scorer.score(disturbed.images)
        judged = list(judge.judge_clip(disturbed, views))
        p = np.min(np.stack(list(views.values())), axis=0)[1:]
        no = clip.success[1:] == NO
        seen = np.array([j.drift != RED for j in judged])
        frames += int(no.sum())
        fooled += int((no & (p >= threshold)).sum())
        served += int((no & seen & (p >= threshold)).sum())
        fired = next((k for k, j in enumerate(judged) if j.gate.success), None)
        true_from = next((k for k, s in enumerate(clip.success[1:]) if s == 1), len(judged))
        ended += fired is not None and fired < true_from and bool(no[fired])
    return ProbeResult(name, Rate(fooled, frames), Rate(served, frames), Rate(ended, len(clips)))
