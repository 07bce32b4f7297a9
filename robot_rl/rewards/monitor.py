"""Watching whether a process reward and success part ways, which is how a reward that is being farmed looks.

A pure function over summaries of the newest episodes and a small state that checkpoints hold. Episodes in which a
person helped are left out: they do not show what the policy earns by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Array

Level = Literal["green", "amber", "red"]
LEVELS: tuple[Level, ...] = ("green", "amber", "red")
OPPOSED, RISING, LOITERING, BELIEVED = "opposed", "rising", "loitering", "believed"
MIN_OF_EACH = 5
STANDARD_ERRORS = 2.0
BELIEVED_SHARE = 0.3
REVIEW_AT_MOST = 50


@dataclass(frozen=True)
class MonitorConfig:
    """When a process reward is taken to be farmed.

    Attributes:
        switch_off: a red alarm sets the weight of the process reward to 0 for the rest of the run. Otherwise it is only
            told.
        window: episodes that are looked at; the newer half is compared with the older one.
        check_every: episodes between two looks.
        high: progress from which the model holds the task for nearly done.
        opposed_below: rank correlation of process return and success below which they are opposed.
        patience: looks in a row with the same sign that make it red by itself.
    """

    switch_off: bool = True
    window: Annotated[int, Range(10, 1000)] = 50
    check_every: Annotated[int, Range(1, 1000)] = 10
    high: Annotated[float, Range(0.0, 1.0)] = 0.8
    opposed_below: Annotated[float, Range(-1.0, 0.0)] = -0.3
    patience: Annotated[int, Range(1, 100)] = 3

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a value is out of range, or the window cannot be halved.
        """
        check_ranges(self)
        if self.window % 2:
            raise ConfigError(f"process.monitor.window is {self.window}, expected an even number: it is halved")


@dataclass(frozen=True)
class EpisodeSummary:
    """What the monitor knows of an episode.

    Attributes:
        episode_id: which.
        process_return: what its progress would have earned by itself: the sum of the process reward, for the form
            ``potential`` how far progress came, before its weight, masking and the end of the task.
        success: the task was solved.
        high_steps: steps with progress above `MonitorConfig.high`.
        phi_end: progress after the last step.
        helped: a person was in command in it.
    """

    episode_id: str
    process_return: float
    success: bool
    high_steps: int
    phi_end: float
    helped: bool = False


@dataclass(frozen=True)
class Finding:
    """What a look found.

    Attributes:
        level: ``green``, ``amber`` (look at it) or ``red`` (the reward is not to be trusted).
        signs: names of what speaks against the reward.
        correlation: rank correlation of process return and success; None while fewer than five episodes of the window
            succeeded, or failed.
        reason: the signs as a sentence, empty if there are none.
    """

    level: Level = "green"
    signs: tuple[str, ...] = ()
    correlation: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class MonitorState:
    """What is remembered from episode to episode.

    Attributes:
        window: the newest unaided episodes.
        seen: unaided episodes so far.
        in_a_row: looks in a row that found each sign.
        last: what the last look found.
        review: episodes that a person should look at, the newest last: failures that the model holds for done.
    """

    window: tuple[EpisodeSummary, ...] = ()
    seen: int = 0
    in_a_row: tuple[tuple[str, int], ...] = ()
    last: Finding = Finding()
    review: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_plain(data: Mapping[str, Any]) -> MonitorState:
        """Inverse of `to_plain`.

        Raises:
            DataError: it is something else.
        """
        try:
            return MonitorState(
                tuple(EpisodeSummary(**e) for e in data["window"]),
                int(data["seen"]),
                tuple((str(sign), int(count)) for sign, count in data["in_a_row"]),
                Finding(**{**data["last"], "signs": tuple(data["last"]["signs"])}),
                tuple(data["review"]),
            )
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"the checkpoint's state of the process monitor cannot be read: {e}") from e


def observe(state: MonitorState, episode: EpisodeSummary, config: MonitorConfig) -> MonitorState:
    """The state after one more episode; looks at the window if it is full and it is time to."""
    if episode.helped:
        return state
    window = (*state.window, episode)[-config.window :]
    seen = state.seen + 1
    review = state.review
    if not episode.success and episode.phi_end > config.high:
        review = (*review, episode.episode_id)[-REVIEW_AT_MOST:]
    state = replace(state, window=window, seen=seen, review=review)
    if len(window) < config.window or seen % config.check_every:
        return state
    before = dict(state.in_a_row)
    found = find_signs(window, config)
    in_a_row = {sign: before.get(sign, 0) + 1 for sign in found}
    return replace(state, in_a_row=tuple(in_a_row.items()), last=_judge(window, found, in_a_row, config))


def find_signs(window: Sequence[EpisodeSummary], config: MonitorConfig) -> dict[str, str]:
    """What speaks against the reward: a clause for each sign, by its name.

    Args:
        window: episodes in order.
        config: see there.
    """
    old, new = np.array_split(np.arange(len(window)), 2)
    returns, success = (np.array([float(getattr(e, n)) for e in window]) for n in ("process_return", "success"))
    high = np.array([float(e.high_steps) for e in window])
    fooled = np.array([float(not e.success and e.phi_end > config.high) for e in window])
    flat = bool(success[new].mean() <= success[old].mean())
    rate = f"success went from {success[old].mean():.0%} to {success[new].mean():.0%}"
    found = {}
    rho = correlation(window)
    if rho is not None and rho < config.opposed_below:
        found[OPPOSED] = f"the rank correlation of process return and success is {rho:.2f}"
    if flat and _rose(returns[old], returns[new]):
        means = returns[old].mean(), returns[new].mean()
        found[RISING] = f"the process return rose from {means[0]:.2f} to {means[1]:.2f} while {rate}"
    if flat and _rose(high[old], high[new]):
        means = high[old].mean(), high[new].mean()
        found[LOITERING] = (
            f"steps of an episode above {config.high:g} rose from {means[0]:.1f} to {means[1]:.1f} while {rate}"
        )
    if fooled[new].mean() >= BELIEVED_SHARE:
        found[BELIEVED] = (
            f"{fooled[new].mean():.0%} of episodes failed although the model put them above {config.high:g} at the end"
        )
    return found


def correlation(window: Sequence[EpisodeSummary]) -> float | None:
    """Spearman's rank correlation of process return and success; None with fewer than five episodes of either kind."""
    success = np.array([float(e.success) for e in window])
    if min(success.sum(), len(success) - success.sum()) < MIN_OF_EACH:
        return None
    a, b = ranks(np.array([e.process_return for e in window])), ranks(success)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0.0 else 0.0


def ranks(values: Array) -> Array:
    """Ranks from 1, equal values sharing their mean rank ``[n]``."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - 0.5 * (counts - 1))[inverse], np.float64)


def _rose(old: Array, new: Array) -> bool:
    error = np.sqrt(old.var(ddof=1) / len(old) + new.var(ddof=1) / len(new))
    return bool(new.mean() - old.mean() > max(STANDARD_ERRORS * error, 1e-6))


def _judge(
    window: Sequence[EpisodeSummary], found: Mapping[str, str], in_a_row: Mapping[str, int], config: MonitorConfig
) -> Finding:
    """Two signs at once are red, and so is one that persists.

    A return that rises before success does is what a good process reward looks like early on: alone it is never red.
    """
    persists = any(count >= config.patience for sign, count in in_a_row.items() if sign != RISING)
    level: Level = "red" if len(found) >= 2 or persists else "amber" if found else "green"
    return Finding(level, tuple(found), correlation(window), "; ".join(found.values()))
