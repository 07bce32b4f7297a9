"""The dataset card of a run: what was recorded, by whom, how good it is and how much of the task it shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.config import read_yaml
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.data import coverage
from robot_rl.data.catalog import RUN_FILE, Entry, describe_episode, find_episodes, size_of
from robot_rl.data.episode_log import read_episode
from robot_rl.data.rewards import RewardWeights, episode_returns

CARD_FORMAT = "1"
DEMOS, EPISODES = "demos", "episodes"


@dataclass(frozen=True)
class Item:
    """One file, reduced to what the card needs.

    Attributes:
        entry: what it holds.
        discounted_return: of the whole episode from its first step.
        cells: see `coverage.coverage_cells`.
        versions: of the libraries that recorded it, as JSON.
    """

    entry: Entry
    discounted_return: float = 0.0
    cells: coverage.Cells = field(default_factory=lambda: np.empty((0, 0), np.int32))
    versions: str = ""


@dataclass(frozen=True)
class Group:
    """Episodes of one kind. Rates and means are None without a finished episode.

    Attributes:
        episodes: finished ones.
        unfinished: files whose episode has no end, left out of rates and means.
        unreadable: files of which nothing can be read.
        steps: in all files.
        successes: finished episodes that ended in success.
        success_rate: their share.
        intervention_steps: under an operator's command.
        intervention_share: their share of the steps.
        robot_s: robot time of all files.
        return_mean: discounted return from the first step, mean over episodes.
        return_min: lowest.
        return_max: highest.
        length_mean: steps of an episode.
        length_min: shortest.
        length_max: longest.
        bytes: on disk.
    """

    episodes: int
    unfinished: int
    unreadable: int
    steps: int
    successes: int
    success_rate: float | None
    intervention_steps: int
    intervention_share: float | None
    robot_s: float
    return_mean: float | None
    return_min: float | None
    return_max: float | None
    length_mean: float | None
    length_min: int | None
    length_max: int | None
    bytes: int


@dataclass(frozen=True)
class Card:
    """Everything the card says; see `robot_rl.data.card_page` for the page.

    Attributes:
        run_id: of the run.
        task: id of the task.
        gamma: discount of the returns.
        demonstrations: the run's demonstrations.
        training: all training episodes.
        unaided: training episodes without an operator's step.
        helped: training episodes with some.
        steps_by_source: of the training episodes.
        actors: training episodes by actor.
        began_s: Unix time of the first recorded training action, None without any.
        ended_s: of the last one.
        tq: see `coverage.trajectory_quality`.
        saco: see `coverage.coverage`.
        log_saco: see `coverage.log_coverage`.
        cells: different state-action cells of the training episodes.
        demo_cells: of the demonstrations.
        versions: each set of library versions that recorded something, with the number of files.
        git_commit: of the program that made the run, empty if unknown.
    """

    run_id: str
    task: str
    gamma: float
    demonstrations: Group
    training: Group
    unaided: Group
    helped: Group
    steps_by_source: Mapping[str, int]
    actors: Mapping[str, Group]
    began_s: float | None
    ended_s: float | None
    tq: float | None
    saco: float | None
    log_saco: float | None
    cells: int
    demo_cells: int
    versions: Sequence[tuple[Mapping[str, str], int]]
    git_commit: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with the format's number."""
        return {"format": CARD_FORMAT, **asdict(self)}


def make_card(run: Path) -> Card:
    """Read a run's demonstrations and training episodes and count.

    Args:
        run: a run folder, also one that is still training.

    Raises:
        ConfigError: there is no run at this path.
        DataError: it holds no episode.
    """
    facts, gamma = _facts(run), _gamma(run)
    demos, episodes = (_items(run / name, gamma) for name in (DEMOS, EPISODES))
    if not demos and not episodes:
        raise DataError(f"the run {run} holds no episode yet, so there is nothing to put on a card")
    helped = [i for i in episodes if i.entry.interventions]
    actors = sorted({i.entry.actor for i in episodes if i.entry.actor})
    began = [i.entry.began_s for i in episodes if i.entry.steps]
    ended = [i.entry.ended_s for i in episodes if i.entry.steps]
    cells, demo_cells = (coverage.unique_cells([i.cells for i in group]) for group in (episodes, demos))
    return Card(
        run_id=str(facts["run_id"]),
        task=str(facts.get("task", "")),
        gamma=gamma,
        demonstrations=_group(demos),
        training=_group(episodes),
        unaided=_group([i for i in episodes if i.entry.steps and not i.entry.interventions]),
        helped=_group(helped),
        steps_by_source=dict(sum((Counter(i.entry.sources) for i in episodes), Counter[str]())),
        actors={name: _group([i for i in episodes if i.entry.actor == name]) for name in actors},
        began_s=min(began, default=None),
        ended_s=max(ended, default=None),
        tq=coverage.trajectory_quality(_returns(episodes), _returns(demos)),
        saco=coverage.coverage(cells, demo_cells),
        log_saco=coverage.log_coverage(cells, demo_cells),
        cells=cells,
        demo_cells=demo_cells,
        versions=[(json.loads(v), n) for v, n in Counter(i.versions for i in (*demos, *episodes)).items() if v],
        git_commit=str(facts.get("git_commit", "")),
    )


def _items(folder: Path, gamma: float) -> list[Item]:
    try:
        files = find_episodes(folder)
    except DataError:
        return []
    return [_item(path, gamma) for path in files]


def _item(path: Path, gamma: float) -> Item:
    try:
        episode = read_episode(path, strict=False, images=False)
    except DataError as e:
        return Item(Entry(path, size_of(path), problem=str(e)))
    returns = episode_returns(episode.records, RewardWeights(), gamma)
    return Item(
        entry=describe_episode(episode),
        discounted_return=float(returns[0]) if len(returns) else 0.0,
        cells=coverage.coverage_cells(episode.records, episode.meta.state_spec),
        versions=json.dumps(dict(episode.meta.versions), sort_keys=True),
    )


def _returns(items: Iterable[Item]) -> list[float]:
    return [i.discounted_return for i in items if i.entry.whole]


def _group(items: Sequence[Item]) -> Group:
    whole = [i.entry for i in items if i.entry.whole]
    returns, lengths = _returns(items), [e.steps for e in whole]
    successes, steps = sum(e.success for e in whole), sum(i.entry.steps for i in items)
    helped = sum(i.entry.interventions for i in items)
    return Group(
        episodes=len(whole),
        unfinished=sum(i.entry.state == "partial" for i in items),
        unreadable=sum(i.entry.state == "broken" for i in items),
        steps=steps,
        successes=successes,
        success_rate=successes / len(whole) if whole else None,
        intervention_steps=helped,
        intervention_share=helped / steps if steps else None,
        robot_s=sum(i.entry.duration_s for i in items),
        return_mean=float(np.mean(returns)) if returns else None,
        return_min=min(returns, default=None),
        return_max=max(returns, default=None),
        length_mean=float(np.mean(lengths)) if lengths else None,
        length_min=min(lengths, default=None),
        length_max=max(lengths, default=None),
        bytes=sum(i.entry.bytes for i in items),
    )


def _facts(run: Path) -> dict[str, Any]:
    file = run / RUN_FILE
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ConfigError(f"{run} is not a run folder: {file.name} cannot be read ({e})") from e
    if not isinstance(facts, dict) or "run_id" not in facts:
        raise ConfigError(f"{file} does not describe a run: it has no run_id")
    return facts


def _gamma(run: Path) -> float:
    agent = read_yaml(run / "config.yaml").get("agent")
    gamma = agent.get("gamma") if isinstance(agent, dict) else None
    if not isinstance(gamma, int | float) or not 0.0 <= gamma <= 1.0:
        raise ConfigError(f"{run / 'config.yaml'} has no discount agent.gamma between 0 and 1, got {gamma!r}")
    return float(gamma)
