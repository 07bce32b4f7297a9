"""What a reward model says of recorded episodes, as values of a reward component for every step.

Whatever the kind of model: success goes through the very gate and watch over the cameras that a live episode goes
through, and process rewards through the forms of `robot_rl.rewards.process` or one of two plain ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Array, Float32
from robot_rl.data.episode_log import Episode, read_episode
from robot_rl.rewards.frames import make_clip
from robot_rl.rewards.judge import SuccessJudge
from robot_rl.rewards.model_file import ModelInfo, Scorer
from robot_rl.rewards.process import Form, Shaping, shape

Component = Literal["success", "progress", "p_success", "process"]
Way = Literal["auto", "cost", "value", "potential", "clip", "delta", "min_form", "softmin", "naive_sum"]
PREFERENCE, PROGRESS = "preference", "progress"
SIMILARITY = ("clip_text", "clip_goal_image")


@dataclass(frozen=True)
class How:
    """What becomes of a model's answers.

    Attributes:
        component: which reward component they are written as.
        way: for ``process`` only. ``auto`` is that of `default_way`; ``cost`` pays ``p - 1`` of the frame after the
            step, so that every step costs what is still missing and nobody gains by staying; ``value`` pays
            ``2 p - 1``; the others are the forms of `robot_rl.rewards.process.Shaping`.
        gamma: of ``potential``.
    """

    component: Component
    way: Way = "auto"
    gamma: float = 0.97

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming what is wrong.
        """
        if self.way not in get_args(Way):
            raise ConfigError(f"process rewards cannot be made the way {self.way!r}: one of {', '.join(get_args(Way))}")
        if not 0.0 <= self.gamma <= 1.0:
            raise ConfigError(f"gamma is {self.gamma}, expected 0 to 1")


@dataclass(frozen=True)
class Relabelled:
    """What a model says of one episode.

    Attributes:
        path: of its file.
        episode_id: of the episode.
        values: of the component, one a step ``float32[T]``.
        before: the component as it was recorded ``float32[T]``, 0 where it was not.
        success: the episode ended in success as recorded.
        p: of every observation ``float64[T+1]``, the least convinced view's.
    """

    path: Path
    episode_id: str
    values: Float32
    before: Float32
    success: bool
    p: Array

    @property
    def first(self) -> int | None:
        """The first step whose value is above 1/2; None for none."""
        above = np.flatnonzero(self.values > 0.5)
        return int(above[0]) if len(above) else None


def default_component(info: ModelInfo) -> Component:
    """What a kind of model is there for: preferences order, similarities watch, classifiers decide."""
    if info.kind in (PREFERENCE, PROGRESS):
        return "process"
    return "progress" if info.kind in SIMILARITY else "success"


def default_way(info: ModelInfo) -> Way:
    """Preferences compare and know no end, so that each step costs what is missing; progress pays what is kept."""
    return "cost" if info.kind == PREFERENCE else "min_form"


def relabel_episode(scorer: Scorer, episode: Episode, how: How) -> Relabelled:
    """Ask a model about one episode.

    Args:
        scorer: the model.
        episode: whole, with pictures.
        how: what becomes of the answers.

    Raises:
        DataError: the episode lacks a camera, or its pictures have another size than the model was made for.
    """
    home = np.array(scorer.info.home_base_tcp, np.float64)
    clip = make_clip(episode, tuple(scorer.info.cameras), home)
    scores = scorer.score(clip.images)
    p = np.min(np.stack(list(scores.values())), axis=0)
    if how.component == "success":
        judged = SuccessJudge(scorer).judge_clip(clip, scores)
        values = np.array([j.gate.success for j in judged], np.float32)
    elif how.component == "process":
        way = default_way(scorer.info) if how.way == "auto" else how.way
        values = _process(p, way, how.gamma, terminated=episode.records[-1].terminated, success=episode.success)
    else:
        values = p[1:].astype(np.float32)
    before = np.array([r.rewards.get(how.component, 0.0) for r in episode.records], np.float32)
    return Relabelled(episode.path, clip.episode_id, values, before, episode.success, p)


def _process(p: Array, way: Way, gamma: float, *, terminated: bool, success: bool) -> Float32:
    if way == "cost":
        return np.asarray(p[1:] - 1.0, np.float32)
    if way == "value":
        return np.asarray(2.0 * p[1:] - 1.0, np.float32)
    form: Form = "min_form" if way == "auto" else way
    return shape(p, Shaping(form, gamma=gamma), terminated=terminated, success=success)


def relabel(
    scorer: Scorer,
    files: Sequence[Path],
    how: How,
    *,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> list[Relabelled]:
    """Ask a model about many episodes; those that are not whole are passed over.

    Args:
        scorer: the model.
        files: of the episodes.
        how: what becomes of the answers.
        on_file: told of each file (done, of how many).

    Raises:
        DataError: none is whole; otherwise as `relabel_episode`.
    """
    out = []
    for done, path in enumerate(files, 1):
        episode = read_episode(path, strict=False)
        if episode.complete:
            out.append(relabel_episode(scorer, episode, how))
        on_file(done, len(files))
    if not out:
        raise DataError(f"none of the {len(files)} episode files is whole: robot-rl data repair makes them so")
    return out


def changes(rows: Sequence[Relabelled], component: str) -> dict[str, str]:
    """What relabelling changes, in words, for people."""
    facts = {"episodes": f"{len(rows)}, {sum(len(r.values) for r in rows)} steps"}
    if component == "success":
        flips = [(r.success, r.first is not None) for r in rows]
        earlier = [len(r.values) - 1 - r.first for r in rows if r.success and r.first is not None]
        facts |= {
            "success as recorded": f"{sum(a for a, _ in flips)} episodes, relabelled {sum(b for _, b in flips)}",
            "agree": f"{sum(a == b for a, b in flips)} of {len(flips)} episodes",
            "no longer a success": f"{sum(a and not b for a, b in flips)}: end as a time-out",
            "now a success": f"{sum(b and not a for a, b in flips)}: end with the first such step",
            "successes that end earlier": f"{sum(e > 0 for e in earlier)}, by {sum(earlier)} steps in all",
        }
        return facts
    for name, wanted in (("successes", True), ("others", False)):
        some = [r for r in rows if r.success == wanted]
        if some:
            before, after = (np.mean([getattr(r, k).sum() for r in some]) for k in ("before", "values"))
            last = np.mean([r.p[-1] for r in some])
            facts[f"sum over an episode, {name}"] = f"{before:.3f} before, {after:.3f} now; {last:.3f} at the end"
    order = separation(rows)
    if order is not None:
        facts["a success ends higher than another episode"] = f"{100 * order:.1f} % of pairs"
    return facts


def separation(rows: Sequence[Relabelled]) -> float | None:
    """Share of the pairs of a success and another episode in which the model's answer to the success's end is higher.

    Returns:
        None without episodes of both kinds. 1/2 says that the model cannot tell them apart.
    """
    good, bad = ([r.p[-1] for r in rows if r.success == wanted] for wanted in (True, False))
    if not good or not bad:
        return None
    gaps = np.array(good)[:, None] - np.array(bad)[None]
    return float((gaps > 0).mean() + 0.5 * (gaps == 0).mean())
