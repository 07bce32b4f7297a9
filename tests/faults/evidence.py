"""What was lost, judged from three sources: the witness's logs, the actor's spool, the learner's archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from robot_rl.core.errors import DataError
from robot_rl.data.episode_log import PARTIAL, SUFFIX, read_episode

Place = tuple[int, int]


@dataclass(frozen=True)
class Event:
    """One line of the witness.

    Attributes:
        what: name of the event.
        t_s: monotonic time.
        t_wall_s: Unix time as the process saw it.
        details: the rest.
    """

    what: str
    t_s: float
    t_wall_s: float
    details: tuple[str, ...]


def read_events(folder: Path) -> dict[int, list[Event]]:
    """Everything the witness wrote, by process id, in order of time."""
    found = {}
    for path in folder.glob("*.log"):
        events = []
        for line in path.read_text().splitlines():
            what, t_s, t_wall_s, *details = line.split()
            events.append(Event(what, float(t_s), float(t_wall_s), tuple(details)))
        found[int(path.stem)] = events
    return dict(sorted(found.items(), key=lambda item: item[1][0].t_s if item[1] else 0.0))


def stored(folder: Path) -> Counter[Place]:
    """How often each place of an actor's stream is in a folder of episode files."""
    places: Counter[Place] = Counter()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        stem = path.name.removesuffix(PARTIAL).removesuffix(SUFFIX)
        if stem.isdigit():
            try:
                records = read_episode(path, strict=False).records
            except DataError:
                continue  # cut before its first step
            places.update((int(stem), r.step_index) for r in records)
    return places


@dataclass
class Audit:
    """The account of one actor's stream after a fault.

    Attributes:
        executed: steps the robot finished.
        written: steps that reached the actor's spool.
        archived: steps in the learner's archive.
        acked_lost: acknowledged steps that the archive does not have.
        written_lost: spooled steps that neither the archive nor the spool has.
        unlogged: steps that moved the robot and never reached the spool, those in the middle of which the process ended
            included; the most of any process.
        duplicates: places twice in the archive, or twice new in one replay.
        not_replayed: archived steps that are not in the last learner's replay.
        beyond: steps taken beyond what the learner allowed.
    """

    executed: int = 0
    written: int = 0
    archived: int = 0
    acked_lost: int = 0
    written_lost: int = 0
    unlogged: int = 0
    duplicates: int = 0
    not_replayed: int = 0
    beyond: int = 0

    @property
    def problems(self) -> list[str]:
        """Broken promises in words; empty is good."""
        names = ("acked_lost", "written_lost", "duplicates", "not_replayed", "beyond")
        wrong = [f"{name.replace('_', ' ')}: {getattr(self, name)}" for name in names if getattr(self, name)]
        return [*wrong, *([f"{self.unlogged} steps unlogged"] if self.unlogged > 1 else [])]


def audit(witness: Path, archive: Path, spool: Path, actor: str = "a0") -> Audit:
    """Judge one actor's stream when nothing runs any more.

    Args:
        witness: folder of the witness's logs.
        archive: folder of the actor in the learner's archive.
        spool: folder of the actor's spool.
        actor: its name.
    """
    processes = read_events(witness)
    kept, waiting = stored(archive), stored(spool)
    result = Audit(archived=len(kept), duplicates=sum(n - 1 for n in kept.values()))
    actors = [events for events in processes.values() if _is_actor(events)]
    acked = max([(-1, -1), *(place for events in actors for place in _acks(events))])
    spooled = _count_actors(result, actors, actor)
    newest_replay: set[Place] = set()
    for events in processes.values():
        replayed = Counter(_places(events, "replayed", actor))
        if replayed:
            newest_replay = set(replayed)
            result.duplicates += sum(n - 1 for n in replayed.values())
    result.written = len(spooled)
    result.acked_lost = sum(p <= acked and p not in kept for p in spooled)
    result.written_lost = sum(p not in kept and p not in waiting for p in spooled)
    result.not_replayed = len(set(kept) - newest_replay) if newest_replay else 0
    return result


def moves_between(witness: Path, start_s: float, end_s: float) -> int:
    """Steps begun by any robot in a span of monotonic time."""
    robots = [events for events in read_events(witness).values() if _is_actor(events)]
    return sum(e.what == "moving" and start_s <= e.t_s < end_s for events in robots for e in events)


def _is_actor(events: Iterable[Event]) -> bool:
    """Learners open environments and read welcomes too, if somebody sends one, but only they have a replay."""
    seen = {e.what for e in events}
    return "welcome" in seen and "replayed" not in seen


def _count_actors(result: Audit, actors: list[list[Event]], actor: str) -> set[Place]:
    """Count what every process of the actor did; returns all places that reached its spool."""
    spooled: set[Place] = set()
    missing = 0  # steps that the process before moved and did not log
    for events in actors:
        moves = [i for i, e in enumerate(events) if e.what == "moving"]
        first = moves[0] if moves else len(events)
        # What is logged before the first step was the predecessor's; files that are taken up are written anew.
        rescued = set(_places(events[:first], "wrote", actor)) - spooled
        result.unlogged = max(result.unlogged, missing - len(rescued))
        own = set(_places(events[first:], "wrote", actor)) - spooled - rescued
        missing = len(moves) - len(own)
        spooled |= rescued | own
        result.executed += sum(e.what == "moved" for e in events)
        result.beyond += _beyond(events)
    result.unlogged = max(result.unlogged, missing)
    return spooled


def _beyond(events: Iterable[Event]) -> int:
    """Steps begun although the learner had not allowed them, counted from the first welcome of the process."""
    taken, allowed, over = None, 0, 0
    for event in events:
        if event.what == "welcome" and taken is None:
            taken = int(event.details[1])
        elif event.what == "ack":
            allowed = max(allowed, int(event.details[1]))
        elif event.what == "moving" and taken is not None:
            taken += 1
            over += taken > allowed
    return over


def _acks(events: Iterable[Event]) -> list[Place]:
    found = []
    for event in events:
        if event.what in ("ack", "welcome") and event.details[0] != "none":
            episode, step = event.details[0].split(":")
            found.append((int(episode), int(step)))
    return found


def _places(events: Iterable[Event], what: str, actor: str) -> list[Place]:
    wanted = [e for e in events if e.what == what and _owner(e) == actor]
    return [(int(e.details[0].rpartition("-")[2]), int(e.details[1])) for e in wanted]


def _owner(event: Event) -> str:
    return event.details[0].split("-")[1]
