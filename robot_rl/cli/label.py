"""``robot-rl label PATH``: say after the fact whether episodes were successes."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.tables import text_table
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.data.catalog import Entry, describe, find_episodes
from robot_rl.data.episode_log import read_episode
from robot_rl.data.labels import OUTCOMES, write_label

FORCE = "tcp_force"
KEYS = {"s": "success", "f": "failure", "u": "unknown", "r": "recorded"}
HELP = "s success   f failure   u unknown   r as recorded   n next   p previous   q quit"


@dataclass(frozen=True)
class LabelArguments:
    """Say after the fact whether episodes were successes; without a label, go through them with single keys.

    Episodes are named by their number, by ACTOR/NUMBER where several actors have one of that number, or by their whole
    id. What is said is appended to labels.jsonl beside the files, which stay as they are; the newest label counts
    wherever episodes are read. A training that runs takes it up when it is resumed. Keys: s success, f failure,
    u unknown, r as recorded, n next, p previous, q quit.

    Attributes:
        path: a run, a folder of episodes, or an episode file.
        success: episodes in which the task was done at the end.
        failure: episodes in which it was not.
        unknown: episodes of which nobody can say.
        recorded: episodes that count as they were recorded, whatever was said before.
        by: who says so; None for the name of the user.
        only: which episodes to list or to go through.
        list: list them and say nothing.
    """

    path: Annotated[Path, tyro.conf.Positional]
    success: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    by: str | None = None
    only: Literal["all", "success", "other", "unlabelled"] = "all"
    list: bool = False


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: LabelArguments = parse(LabelArguments, argv, verb="label")
    entries = [describe(path) for path in find_episodes(a.path)]
    by = a.by or getpass.getuser()
    said = [(name, outcome) for outcome in OUTCOMES for name in getattr(a, outcome)]
    if said:
        chosen = [(choose(entries, name), outcome) for name, outcome in said]
        for entry, outcome in chosen:
            write_label(entry.path.parent, entry.episode_id, outcome, by)
        print(listing([describe(entry.path) for entry, _ in chosen]))
        return 0
    entries = [entry for entry in entries if wanted(entry, a.only)]
    if not entries:
        raise DataError(f"there is no episode at {a.path} that can be labelled and is asked for by --only {a.only}")
    if a.list or not sys.stdin.isatty():
        print(listing(entries))
        return 0
    return _interact(entries, by)


def wanted(entry: Entry, only: str) -> bool:
    """Whether an episode is among those to be labelled: it has an end, and is of that kind."""
    kinds = {"all": True, "success": entry.success, "other": not entry.success, "unlabelled": not entry.label}
    return entry.whole and kinds[only]


def choose(entries: Sequence[Entry], name: str) -> Entry:
    """The episode of a number, of ACTOR/NUMBER or of an id.

    Raises:
        ConfigError: there is none, there are several, or it has no end to be judged.
    """
    found = [e for e in entries if e.episode_id and name in (e.episode_id, *_names(e))]
    if not found:
        raise ConfigError(f"there is no episode {name!r}: robot-rl label PATH --list shows those there are")
    if len(found) > 1:
        others = ", ".join(e.episode_id for e in found[:5])
        raise ConfigError(f"{len(found)} episodes are called {name!r}: name one by its whole id, such as {others}")
    if not found[0].whole:
        raise ConfigError(f"episode {name!r} has no end that could be judged: {found[0].path} is {found[0].state}")
    return found[0]


def _names(entry: Entry) -> tuple[str, str]:
    number = entry.episode_id.rpartition("-")[2].lstrip("0") or "0"
    return number, f"{entry.actor or entry.path.parent.name}/{number}"


def listing(entries: Sequence[Entry]) -> str:
    """A table of episodes and their labels."""
    rows = [
        (_names(e)[1], e.task, str(e.steps), e.outcome, "yes" if e.success else "no", e.label or "-") for e in entries
    ]
    return text_table(("episode", "task", "steps", "ended by", "success", "label"), rows, left=(0, 1, 3, 4, 5))


def _interact(entries: Sequence[Entry], by: str) -> int:
    from robot_rl.hardware.keyboard.decode import Decoder
    from robot_rl.hardware.keyboard.terminal import RawTerminal

    with closing(RawTerminal()) as terminal:
        said = review(entries, by, _keys(terminal.fd, Decoder().feed), lambda text: print(text, flush=True))
    print(f"{said} labels written")
    return 0


def _keys(fd: int, decode: Callable[[bytes], list[str]]) -> Iterator[str]:
    while data := os.read(fd, 64):
        yield from decode(data)


def review(entries: Sequence[Entry], by: str, keys: Iterator[str], show: Callable[[str], None]) -> int:
    """Go through episodes by single keys; a label goes on to the next episode.

    Args:
        entries: at least one.
        by: who labels.
        keys: names of keys, as they are pressed; their end quits.
        show: prints a text.

    Returns:
        How many labels were written.
    """
    at, said = 0, 0
    show(page(entries, at))
    for key in keys:
        if key in ("q", "ctrl-d"):
            break
        if key in KEYS:
            entry = entries[at]
            write_label(entry.path.parent, entry.episode_id, KEYS[key], by)
            said += 1
            show(f"{_names(entry)[1]}: {KEYS[key]}")
        step = -1 if key == "p" else int(key == "n" or key in KEYS)
        if step:
            at = min(max(at + step, 0), len(entries) - 1)
            show(page(entries, at))
    return said


def page(entries: Sequence[Entry], at: int) -> str:
    """What a person needs to see of one episode, and what the keys do."""
    episode = read_episode(entries[at].path, strict=False, images=False)
    entry, spec, last = describe(entries[at].path), episode.meta.state_spec, episode.records[-1]
    peak_n = force_peak_n(episode.records, spec)
    facts = {
        "episode": f"{_names(entry)[1]} ({at + 1} of {len(entries)}), {entry.task}",
        "length": f"{entry.steps} steps, {entry.duration_s:.1f} s, {entry.interventions} steps by an operator",
        "ended by": f"{entry.outcome}, success {'yes' if entry.success else 'no'}, label {entry.label or 'none'}",
        "force": "not recorded" if peak_n is None else f"{peak_n:.1f} N at most",
        **({} if last.final_obs is None else {"at the end": _state(last.final_obs, spec)}),
    }
    return "\n".join(["", *(f"{name:<11}{value}" for name, value in facts.items()), HELP])


def force_peak_n(records: Sequence[StepRecord], spec: StateSpec) -> float | None:
    """Largest tool force that was observed; None where the state has none."""
    if FORCE not in spec.slices:
        return None
    seen = [r.obs for r in records] + [r.final_obs for r in records if r.final_obs is not None]
    return max(float(np.linalg.norm(obs.state[spec.slices[FORCE]])) for obs in seen)


def _state(obs: Observation, spec: StateSpec) -> str:
    return ", ".join(
        f"{part.name} {' '.join(f'{v:.3f}' for v in obs.state[spec.slices[part.name]])} {part.unit}".rstrip()
        for part in spec.parts
    )
