"""How good a success classifier is: frame by frame, by kind of situation, and for whole episodes under its gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array
from robot_rl.rewards.calibrate import expected_error, rate_bounds
from robot_rl.rewards.frames import Clip
from robot_rl.rewards.judge import Judged, SuccessJudge
from robot_rl.rewards.model_file import Scorer
from robot_rl.rewards.spans import NO, YES

ENOUGH_EPISODES = 3
"""Episodes with success and without that an evaluation needs before it says anything."""
ENOUGH_FRAMES = 20


@dataclass(frozen=True)
class Limits:
    """What a model must keep to be trusted.

    Attributes:
        fpr: false-positive rate over frames.
        recall: share of success frames that reach the threshold.
        bucket_fpr: false-positive rate in each kind of situation with at least 20 frames.
        false_end: share of episodes that the gate ends before they have succeeded.
        missed: share of successful episodes that the gate does not see.
        probe: share of frames without success that a disturbed picture may turn into one.
    """

    fpr: float = 0.01
    recall: float = 0.9
    bucket_fpr: float = 0.05
    false_end: float = 0.05
    missed: float = 0.1
    probe: float = 0.05


@dataclass(frozen=True)
class Rate:
    """A counted rate with its Clopper-Pearson interval of 95 %.

    Attributes:
        hits: how often it happened.
        n: how often it could have.
    """

    hits: int
    n: int

    @property
    def value(self) -> float:
        """The rate; NaN without trials."""
        return self.hits / self.n if self.n else float("nan")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper end."""
        return rate_bounds(self.hits, self.n)

    def text(self) -> str:
        """For people."""
        if not self.n:
            return "none"
        low, high = self.bounds
        return f"{self.value:.1%} ({self.hits} of {self.n}; {low:.1%} to {high:.1%})"


@dataclass(frozen=True)
class ClipResult:
    """A model's answers to one episode.

    Attributes:
        clip: the episode.
        views: probability of each frame by camera ``[T+1]``.
        judged: of each frame but the first.
    """

    clip: Clip
    views: Mapping[str, Array]
    judged: tuple[Judged, ...]

    @property
    def p(self) -> Array:
        """The least convinced view's probability of each frame ``[T+1]``."""
        return np.asarray(np.min(np.stack(list(self.views.values())), axis=0))

    @property
    def fired(self) -> int | None:
        """Frame at which the gate says success for the first time, which would have ended the episode."""
        return next((k for k, j in enumerate(self.judged, 1) if j.gate.success), None)

    @property
    def true_from(self) -> int | None:
        """First frame that shows success."""
        yes = np.flatnonzero(self.clip.success == YES)
        return int(yes[0]) if yes.size else None

    @property
    def false_end(self) -> bool:
        """Whether the gate would have ended it before it had succeeded."""
        if self.fired is None or self.clip.success[self.fired] != NO:
            return False
        return self.true_from is None or self.fired < self.true_from

    @property
    def missed(self) -> bool:
        """Whether it succeeded and the gate has not seen it."""
        return self.true_from is not None and (self.fired is None or self.false_end)


@dataclass(frozen=True)
class Evaluation:
    """A model on some episodes.

    Attributes:
        results: by episode.
        threshold: from which a frame counts as success.
    """

    results: tuple[ClipResult, ...]
    threshold: float

    @property
    def frames(self) -> tuple[Array, npt.NDArray[np.bool_], npt.NDArray[np.str_]]:
        """Probability, success and kind of every frame that has a statement ``[N]`` each."""
        told = [r.clip.success >= 0 for r in self.results]
        p = np.concatenate([r.p[t] for r, t in zip(self.results, told, strict=True)])
        success = np.concatenate([r.clip.success[t] == YES for r, t in zip(self.results, told, strict=True)])
        kinds = [np.array(r.clip.bucket)[t] for r, t in zip(self.results, told, strict=True)]
        return p, success, np.concatenate(kinds)

    @property
    def recall(self) -> Rate:
        """Success frames that reach the threshold."""
        p, success, _ = self.frames
        return Rate(int((p[success] >= self.threshold).sum()), int(success.sum()))

    @property
    def fpr(self) -> Rate:
        """Other frames that reach it."""
        p, success, _ = self.frames
        return Rate(int((p[~success] >= self.threshold).sum()), int((~success).sum()))

    @property
    def by_bucket(self) -> dict[str, Rate]:
        """The same by kind of situation."""
        p, success, kinds = self.frames
        return {
            str(kind): Rate(int((p[rows] >= self.threshold).sum()), int(rows.sum()))
            for kind in np.unique(kinds[~success])
            for rows in [~success & (kinds == kind)]
        }

    @property
    def false_ends(self) -> Rate:
        """Episodes that the gate would have ended before they had succeeded."""
        return Rate(sum(r.false_end for r in self.results), len(self.results))

    @property
    def missed(self) -> Rate:
        """Successful episodes that it has not seen."""
        some = [r for r in self.results if r.true_from is not None]
        return Rate(sum(r.missed for r in some), len(some))

    @property
    def delays(self) -> list[int]:
        """Frames from the first that shows success to the gate's word, in episodes in which it was right."""
        return [
            max(0, r.fired - r.true_from)
            for r in self.results
            if r.fired is not None and r.true_from is not None and not r.false_end
        ]

    @property
    def auc(self) -> float:
        """Probability that a success frame scores above another one; NaN without both kinds."""
        p, success, _ = self.frames
        return auc(p, success)

    @property
    def enough(self) -> bool:
        """Whether there are enough episodes of both kinds to say something."""
        yes = sum(r.true_from is not None for r in self.results)
        return min(yes, len(self.results) - yes) >= ENOUGH_EPISODES

    def complaints(self, limits: Limits) -> list[str]:
        """What the model does not keep, one sentence each."""
        checks = [
            (self.fpr, limits.fpr, "false positives over frames"),
            (self.false_ends, limits.false_end, "episodes ended before they had succeeded"),
            (self.missed, limits.missed, "successes that were not seen"),
        ]
        some = {kind: rate for kind, rate in self.by_bucket.items() if rate.n >= ENOUGH_FRAMES}
        checks += [(rate, limits.bucket_fpr, f"false positives in {kind}") for kind, rate in some.items()]
        out = [f"{what}: {r.text()}, at most {limit:.1%} allowed" for r, limit, what in checks if r.value > limit]
        if not self.recall.value >= limits.recall:
            out.append(f"recall over frames: {self.recall.text()}, at least {limits.recall:.1%} wanted")
        return out

    def to_dict(self, *, held_out: bool) -> dict[str, Any]:
        """Plain data for a model's file.

        Args:
            held_out: the model has seen none of these episodes.
        """
        p, success, _ = self.frames
        delays = self.delays
        return {
            "held_out": held_out and self.enough,
            "episodes": len(self.results),
            "threshold": self.threshold,
            "fpr": asdict(self.fpr),
            "recall": asdict(self.recall),
            "by_bucket": {kind: asdict(rate) for kind, rate in self.by_bucket.items()},
            "false_ends": asdict(self.false_ends),
            "missed": asdict(self.missed),
            "median_delay_frames": float(np.median(delays)) if delays else None,
            "auc": _finite(self.auc),
            "calibration_error": _finite(expected_error(p, success)),
            "brier": _finite(float(np.mean((p - success) ** 2)) if len(p) else float("nan")),
        }


def evaluate_scorer(
    scorer: Scorer, clips: Sequence[Clip], *, on_clip: Callable[[int, int], None] = lambda done, of: None
) -> Evaluation:
    """Judge recorded episodes as they would be judged while they run.

    Raises:
        DataError: there are none, or a camera does not fit.
    """
    if not clips:
        raise DataError("there are no episodes to evaluate on")
    judge, results = SuccessJudge(scorer), []
    for k, clip in enumerate(clips):
        views = scorer.score(clip.images)
        results.append(ClipResult(clip, views, tuple(judge.judge_clip(clip, views))))
        on_clip(k + 1, len(clips))
    return Evaluation(tuple(results), scorer.info.gate.on)


def auc(p: Array, success: npt.NDArray[np.bool_]) -> float:
    """Area under the receiver operating characteristic, ties counting half."""
    yes, no = np.sort(p[success]), p[~success]
    if not len(yes) or not len(no):
        return float("nan")
    above = len(yes) - 0.5 * (np.searchsorted(yes, no, "left") + np.searchsorted(yes, no, "right"))
    return float(above.mean() / len(yes))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
