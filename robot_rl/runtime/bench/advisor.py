"""How often the intervention advisor is right, on logged runs: ``python -m robot_rl.runtime.bench.advisor RUN...``.

Episodes are replayed through it in the order in which they were recorded, as an operator would have seen them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from robot_rl.core.errors import DataError, RobotRlError
from robot_rl.data.catalog import find_episodes
from robot_rl.data.episode_log import Episode, read_episode
from robot_rl.runtime.advisor import Advisor, AdvisorConfig

EPISODES = "episodes"


@dataclass
class Tally:
    """What was said, and what happened.

    Attributes:
        spoken: by success of the episode: whether `stalled` was said in it; episodes without an operator only.
        first_share: where in those that failed it was said first, as a share of their length.
        repeats: whether the attempt failed that followed the words `repeats`.
        leads_s: before each take-over: how long `stalled` had been said, None if it had not.
        holds: of operators: steps in command, and steps after the first `hand_back`, None if it was not said.
    """

    spoken: dict[bool, list[bool]] = field(default_factory=lambda: {True: [], False: []})
    first_share: list[float] = field(default_factory=list)
    repeats: list[bool] = field(default_factory=list)
    leads_s: list[float | None] = field(default_factory=list)
    holds: list[tuple[int, int | None]] = field(default_factory=list)


def tally(episodes: Iterable[Episode], hz: float, config: AdvisorConfig | None = None) -> Tally:
    """Replay episodes of one run through an advisor.

    Args:
        episodes: whole ones, in the order of their recording.
        hz: control steps a second.
        config: thresholds.
    """
    result, advisor = Tally(), None
    for episode in episodes:
        advisor = advisor or Advisor(episode.meta.state_spec, hz, config)
        _follow(episode, advisor, hz, result)
    return result


def _follow(episode: Episode, advisor: Advisor, hz: float, result: Tally) -> None:
    first, since, helped, hold, told = None, None, False, 0, None
    repeats = advisor.advice.kind == "repeats"
    for i, record in enumerate(episode.records):
        if record.intervention and not helped:
            result.leads_s.append(None if since is None else (i - since) / hz)
            since, hold, told = None, 0, None
        elif helped and not record.intervention:
            result.holds.append((hold, told))
        helped = record.intervention
        advisor.see(record)
        kind = advisor.advice.kind
        if helped:
            hold += 1
            told = told + 1 if told is not None else 0 if kind == "hand_back" else None
        elif kind == "stalled":
            first = i if first is None else first
            since = i if since is None else since
    if helped:
        result.holds.append((hold, told))
    if any(r.intervention for r in episode.records):
        return
    result.spoken[episode.success].append(first is not None)
    if first is not None and not episode.success:
        result.first_share.append(first / len(episode.records))
    if repeats:
        result.repeats.append(not episode.success)


def row(name: str, seen: Tally) -> str:
    """One line of a Markdown table."""
    taken = [s for s in seen.leads_s if s is not None]
    told = [after / max(1, steps) for steps, after in seen.holds if after is not None]
    return " | ".join(
        (
            f"| {name}",
            _of(seen.spoken[False]),
            _of(seen.spoken[True]),
            f"{np.median(seen.first_share):.0%}" if seen.first_share else "-",
            _of(seen.repeats),
            f"{len(taken)} of {len(seen.leads_s)}",
            f"{np.median(taken):.1f} s" if taken else "-",
            f"{len(told)} of {len(seen.holds)}",
            f"{np.mean(told):.0%} |" if told else "- |",
        )
    )


HEAD = """\
| run | stalls said: failed | stalls said: succeeded | when, in failed | next failed after `repeats` | stall said before take-over | how long before | hand-back said | share of the hold after it |
|---|---|---|---|---|---|---|---|---|"""  # noqa: E501


def _of(answers: Sequence[bool]) -> str:
    return f"{sum(answers)} of {len(answers)}" if answers else "-"


def read_run(run: Path) -> list[Episode]:
    """The finished training episodes of a run without pictures, in order of time.

    Raises:
        DataError: there is none.
    """
    folder = run / EPISODES if (run / EPISODES).is_dir() else run
    episodes = [read_episode(path, strict=False, images=False) for path in find_episodes(folder)]
    whole = [e for e in episodes if e.complete]
    if not whole:
        raise DataError(f"there is no finished episode in {folder}")
    return sorted(whole, key=lambda e: e.records[0].t_wall_s)


def main(argv: Sequence[str], hz: float = 10.0) -> int:
    """Print the table for runs."""
    if not argv:
        print(__doc__)
        return 2
    print(HEAD)
    for name in argv:
        try:
            print(row(name, tally(read_run(Path(name)), hz)), flush=True)
        except RobotRlError as e:
            print(e, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
