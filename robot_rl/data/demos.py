"""Demonstrations from disk, checked against what they are to be used for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from robot_rl.core.errors import DataError
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import StepRecord
from robot_rl.data.episode_log import PARTIAL, SUFFIX, Episode, read_episode
from robot_rl.data.relabels import apply_relabels, read_relabels
from robot_rl.data.rewards import infinite_horizon


def episode_files(path: str | Path) -> list[Path]:
    """The finished episodes at a path: the file itself, or every ``*.mcap`` in the folder, sorted by name.

    Raises:
        DataError: there is none.
    """
    where = Path(path)
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise DataError(f"no demonstrations at {where}: there is no such file or folder")
    files = sorted(where.glob(f"*{SUFFIX}"))
    if not files:
        unfinished = len(list(where.glob(f"*{SUFFIX}{PARTIAL}")))
        hint = f"; {unfinished} half-written ones can be repaired with episode_log.recover" if unfinished else ""
        raise DataError(f"no demonstrations in {where}: it holds no {SUFFIX} file{hint}")
    return files


def read_demos(path: str | Path, state_spec: StateSpec, task: str) -> list[Episode]:
    """Every finished episode at a path, with its header.

    Args:
        path: an episode file or a folder of them.
        state_spec: layout that the states must have.
        task: id that the episodes must have.

    Raises:
        DataError: nothing is there, a file is broken, or it is of another task or state layout.
    """
    episodes = []
    for file in episode_files(path):
        episode = read_episode(file)
        if episode.meta.task != task:
            raise DataError(f"{file} is a demonstration of task {episode.meta.task!r}, expected {task!r}")
        if episode.meta.state_spec.checksum != state_spec.checksum:
            raise DataError(f"{file}: {_difference(episode.meta.state_spec, state_spec)}")
        episodes.append(episode)
    return episodes


def load_demos(
    path: str | Path, state_spec: StateSpec, task: str, *, relabel: str = "", alone: float | None = None
) -> list[list[StepRecord]]:
    """The steps of every recorded episode at a path, failures included, ready for `ReplayBuffer.add_demos`.

    Args:
        path: an episode file or a folder of them.
        state_spec: layout that the states must have.
        task: id that the episodes must have.
        relabel: name of the relabels of that folder to apply, or empty.
        alone: with relabels, discount per step of a learner for whom they are the only reward, see `only_reward`; None
            replaces their component and leaves the others.

    Raises:
        DataError: nothing is there, a file is broken, it is of another task or state layout, or the relabels are not
            there or say nothing of an episode.
    """
    episodes = [list(episode.records) for episode in read_demos(path, state_spec, task)]
    if not relabel:
        return episodes
    relabels = read_relabels(Path(path), relabel)
    relabelled = [apply_relabels(records, relabels) for records in episodes]
    if alone is None:
        return relabelled
    return [only_reward(records, relabels.component, alone) for records in relabelled]


def only_reward(records: Sequence[StepRecord], component: str, gamma: float) -> list[StepRecord]:
    """Reward one component alone, so that a return is the discounted mean of its values over all steps to come.

    Each step pays ``(1 - gamma)`` times its value. An episode that terminated stays for ever as it ended: its last step
    pays its whole value. Otherwise an end, after which nothing is paid, would be the worst of all with values that are
    positive and the best with negative ones (absorbing states, Kostrikov et al. 2019, arXiv 1809.02925, section 4.1).

    Args:
        records: one episode; they stay as they are.
        component: which of its rewards.
        gamma: discount per step of the learner, in [0, 1).

    Raises:
        DataError: gamma is out of range.
    """
    share = 1.0 / infinite_horizon(1.0, gamma)
    return [
        replace(r, rewards={component: r.rewards.get(component, 0.0) * (1.0 if r.terminated else share)})
        for r in records
    ]


def _difference(got: StateSpec, expected: StateSpec) -> str:
    ours, theirs = {p.name: p for p in expected.parts}, {p.name: p for p in got.parts}
    missing, extra = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    changed = sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name])
    parts = [("missing", missing), ("unknown", extra), ("different", changed)]
    text = "; ".join(f"{label}: {', '.join(names)}" for label, names in parts if names) or "the parts' order"
    return f"state layout {got.checksum} does not match the expected {expected.checksum} ({text})"
