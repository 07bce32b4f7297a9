"""The part of the report on a success classifier: how far its verdicts part from the truth, where that is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robot_rl.core.errors import RobotRlError
from robot_rl.core.marks import VETOED
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Array
from robot_rl.data.episode_log import SUFFIX, read_episode
from robot_rl.evaluation.charts import Chart, Series, draw
from robot_rl.evaluation.report_tables import definitions
from robot_rl.evaluation.run_record import WINDOW_EPISODES, RunRecord
from robot_rl.evaluation.stats import rolling_mean
from robot_rl.rewards.calibrate import rate_bounds

STEPS = "environment steps"


@dataclass(frozen=True)
class JudgedEpisode:
    """A training episode and what was said about it.

    Attributes:
        steps: how many it had.
        seen: the classifier ended it as a success.
        true_end: by the simulator's rules the task was done at its last step.
        true_ever: it was done at some step.
        vetoed: a person said that its success was none.
    """

    steps: int
    seen: bool
    true_end: bool
    true_ever: bool
    vetoed: bool


def read_judged(folder: Path) -> list[JudgedEpisode]:
    """The episodes of a run that a classifier judged beside the truth, in the order of their numbers.

    Args:
        folder: of the learner's log, one folder an actor. What cannot be read is left out.
    """
    out = []
    for file in sorted(folder.rglob(f"*{SUFFIX}"), key=lambda path: (path.stem, path.parent.name)):
        try:
            records = read_episode(file, images=False, labels=False).records
        except RobotRlError:
            continue
        if records and all("truth" in r.rewards for r in records):
            out.append(_judged(records))
    return out


def detector_section(run: RunRecord) -> str:
    """Charts and counts; an empty string if no classifier judged the run, or nobody knew the truth."""
    settings = run.config.get("detector")
    if not isinstance(settings, dict) or not settings.get("model"):
        return ""
    episodes = read_judged(run.path / "episodes")
    if not episodes:
        note = f"The classifier {settings['model']} decided on success; nobody knew the truth beside it."
        return f'<section><h2>Success classifier</h2><p class="note">{note}</p></section>'
    charts = "".join(draw(chart) for chart in detector_charts(episodes))
    panel = f'<div class="panel">{definitions(detector_facts(episodes, str(settings["model"])))}</div>'
    return f'<section><h2>Success classifier and truth</h2><div class="grid">{charts}</div>{panel}</section>'


def detector_charts(episodes: list[JudgedEpisode]) -> list[Chart]:
    """Success as the policy was paid for it and as it truly was; precision and recall as training went on."""
    steps = np.cumsum([e.steps for e in episodes]).astype(np.float64)
    seen, true = _column(episodes, "seen"), _column(episodes, "true_ever")
    right = np.array([e.seen and e.true_end for e in episodes], np.float64)
    last = f"last {WINDOW_EPISODES} episodes"
    both = (
        Series("by the classifier", steps, rolling_mean(seen, WINDOW_EPISODES), color=1),
        Series("by the truth", steps, rolling_mean(true, WINDOW_EPISODES), color=2, dashed=True),
    )
    rates = (
        Series("precision", steps, _ratio(right, seen), color=3),
        Series("recall", steps, _ratio(right, true), color=4),
    )
    return [
        Chart(f"Training success, {last}", STEPS, "share of episodes", both, percent=True,
              note="The policy learns from the classifier alone."),
        Chart(f"Classifier against truth, {last}", STEPS, "by episode", rates, percent=True,
              note="Precision: of the successes it saw, those that were. Recall: of those there were, those it saw."),
    ]  # fmt: skip


def detector_facts(episodes: list[JudgedEpisode], model: str) -> dict[str, str]:
    """Counts over the whole run."""
    seen, true = sum(e.seen for e in episodes), sum(e.true_ever for e in episodes)
    right = sum(e.seen and e.true_end for e in episodes)
    facts = {
        "model": model,
        "episodes judged": str(len(episodes)),
        "precision by episode": _rate(right, seen),
        "recall by episode": _rate(sum(e.seen and e.true_ever for e in episodes), true),
        "false successes": str(seen - right),
        "successes not seen": str(sum(e.true_ever and not e.seen for e in episodes)),
    }
    vetoes = sum(e.vetoed for e in episodes)
    return {**facts, "vetoed by a person": str(vetoes)} if vetoes else facts


def _judged(records: tuple[StepRecord, ...]) -> JudgedEpisode:
    truth = [r.rewards["truth"] > 0.5 for r in records]
    last = records[-1]
    return JudgedEpisode(
        len(records), last.rewards.get("success", 0.0) > 0.5, truth[-1], any(truth), last.stop_reason == VETOED
    )


def _column(episodes: list[JudgedEpisode], name: str) -> Array:
    return np.array([getattr(e, name) for e in episodes], np.float64)


def _ratio(part: Array, whole: Array) -> Array:
    top, bottom = rolling_mean(part, WINDOW_EPISODES), rolling_mean(whole, WINDOW_EPISODES)
    return np.where(bottom > 0, top / np.maximum(bottom, 1e-9), np.nan)


def _rate(hits: int, n: int) -> str:
    if not n:
        return "none"
    low, high = rate_bounds(hits, n)
    return f"{hits / n:.1%} ({hits} of {n}; 95 % {low:.1%} to {high:.1%})"
