"""Filming frames for a success classifier: scripted behaviours, or a person who says what is to be seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np

from robot_rl.core.marks import DISCARD, DISCARDED, FAILURE, SUCCESS
from robot_rl.core.protocols import Policy, Teleop
from robot_rl.core.transition import Source, StepRecord
from robot_rl.core.types import TeleopState
from robot_rl.data.episode_log import EpisodeMeta
from robot_rl.rewards.frames import APPROACH
from robot_rl.rewards.spans import NO, UNKNOWN, YES, spans_of, write_spans
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.demos import Still
from robot_rl.runtime.environment import Env
from robot_rl.runtime.episode_files import EpisodeSink, episode_files
from robot_rl.runtime.operator import keep_open
from robot_rl.runtime.repeat import repeat_facts
from robot_rl.runtime.seeds import Stream, stream_rng, stream_seed

NEAR_MISS = "near_miss"
FILMED = "filmed"
BACK_S = 1.0
DOUBLE_TAP_S = 0.5


class Scene(Policy, Protocol):
    """A scripted episode; `robot_rl.envs.behaviours.Behaviour` provides it."""

    buckets: list[str]

    @property
    def over(self) -> bool:
        """Whether it has shown what it is for."""
        ...


@dataclass(frozen=True)
class Filmed:
    """What was filmed.

    Attributes:
        episodes: how many.
        success: frames that show success.
        other: frames that do not.
    """

    episodes: int = 0
    success: int = 0
    other: int = 0

    def plus(self, statements: Sequence[int]) -> Filmed:
        """With one episode more."""
        yes, no = sum(s == YES for s in statements), sum(s == NO for s in statements)
        return Filmed(self.episodes + 1, self.success + yes, self.other + no)


def film_behaviours(
    env: Env,
    make_scene: Callable[[str, np.random.Generator], Scene],
    kinds: Sequence[str],
    *,
    success_frames: int,
    seed: int,
    folder: Path,
    task_options: Mapping[str, Any] | None = None,
    on_episode: Callable[[Filmed], None] = lambda filmed: None,
) -> Filmed:
    """Film scripted episodes, one kind after the other, until there are enough frames of success.

    Args:
        env: in which success does not end an episode and the truth is told in ``rewards["truth"]``.
        make_scene: from a kind and random numbers.
        kinds: in their order; the last round is filmed to its end.
        success_frames: wanted.
        seed: of initial states and behaviours.
        folder: of the episodes; numbering goes on after those that exist.
        task_options: written into the files, whose episodes can be repeated.
        on_episode: called after each.

    Raises:
        DeviceError: the cell cannot go on.
        StorageError: the files cannot be written.
    """
    acting = ActingConfig(seed, f"film-{uuid4().hex[:8]}", policy_source=Source.SCRIPTED, episode_stream=Stream.FILM)
    first = max(episode_files(folder), default=-1) + 1
    collector = Collector(env, Still(), acting, first_episode=first)
    filmed = Filmed()
    while filmed.success < success_frames or filmed.episodes % len(kinds):
        number = collector.next_episode
        scene = make_scene(kinds[filmed.episodes % len(kinds)], stream_rng(seed, Stream.FILM, number))
        collector.set_policy(scene)
        records: list[StepRecord] = []
        while not records or not collector.between_episodes:
            records += collector.interrupt(FILMED) if scene.over else collector.step()
        success = [NO, *(YES if r.rewards["truth"] > 0.5 else NO for r in records)]
        buckets = [*scene.buckets[: len(records)], scene.buckets[len(records) - 1]]
        facts = repeat_facts(stream_seed(seed, Stream.FILM, number), task_options or {}) if env.lockstep else {}
        _write(folder, env, acting, records, facts, success, buckets, by="script")
        filmed = filmed.plus(success)
        on_episode(filmed)
    return filmed


class LabelKeys:
    """A person's device while he films: it drives as always, and two of its marks speak of frames and not of episodes.

    ``success`` held down: these frames show success. ``failure`` tapped: the last second was a near miss; tapped twice
    within half a second: forget what was said about the last second.

    Args:
        device: closed by whoever opened it.
    """

    def __init__(self, device: Teleop, now_s: Callable[[], float] = time.monotonic) -> None:
        self._device, self._now_s = device, now_s
        self._down = False
        self._tapped_s = -np.inf
        self.begin()

    def begin(self) -> None:
        """A new episode: nothing was said yet."""
        self._held = False
        self._said: list[tuple[int, str]] = []
        self._times: list[float] = []

    def read(self) -> TeleopState:
        """What the device says, without the two marks."""
        state = self._device.read()
        self._held = SUCCESS in state.buttons
        tap = FAILURE in state.buttons and not self._down
        self._down = FAILURE in state.buttons
        if tap:
            now_s = self._now_s()
            again = now_s - self._tapped_s < DOUBLE_TAP_S
            self._say_back(now_s, (UNKNOWN, APPROACH) if again else (NO, NEAR_MISS))
            self._tapped_s = now_s
        return replace(state, buttons=state.buttons - {SUCCESS, FAILURE})

    def note_frame(self) -> None:
        """A step was taken on what the person saw."""
        self._said.append((YES, SUCCESS) if self._held else (NO, APPROACH))
        self._times.append(self._now_s())

    def statements(self, frames: int) -> tuple[list[int], list[str]]:
        """What was said of each frame of the episode; the last one, which nobody acted on, is like the one before."""
        said = (self._said + [(UNKNOWN, APPROACH)] * frames)[: frames - 1]
        said.append(said[-1])
        return [s for s, _ in said], [b for _, b in said]

    def close(self) -> None:
        """Leave the device open."""

    def _say_back(self, now_s: float, what: tuple[int, str]) -> None:
        for k, t_s in enumerate(self._times):
            if now_s - t_s <= BACK_S:
                self._said[k] = what


def film_by_hand(
    env: Env,
    device: Teleop,
    *,
    success_frames: int,
    seed: int,
    folder: Path,
    on_step: Callable[[Collector, Filmed], None] = lambda collector, filmed: None,
) -> Filmed:
    """Film what a person does and says, see `LabelKeys`, until there are enough frames of success or he ends it.

    An episode ends by the clock or with ``abort``; ``discard`` throws it away, ``end`` ends the session.

    Args:
        env: in which success does not end an episode.
        device: what the person holds; stays open.
        success_frames: wanted.
        seed: of initial states.
        folder: of the episodes; numbering goes on after those that exist.
        on_step: called before each control step, and some times a second while the arm waits.

    Raises:
        DeviceError: arm or device cannot go on.
        StorageError: the files cannot be written.
    """
    keys = LabelKeys(device)
    acting = ActingConfig(
        seed,
        f"film-{uuid4().hex[:8]}",
        teleop_source=Source.DEMO,
        wait_for_operator=True,
        episode_stream=Stream.FILM,
    )
    first = max(episode_files(folder), default=-1) + 1
    collector = Collector(env, Still(), acting, make_teleop=keep_open(keys), first_episode=first)
    filmed, records = Filmed(), list[StepRecord]()
    keys.begin()
    while filmed.success < success_frames and not collector.ended:
        on_step(collector, filmed)
        before = collector.env_steps
        records += collector.step()
        if collector.env_steps > before:
            keys.note_frame()
        if not (collector.between_episodes and records):
            continue
        if records[-1].stop_reason not in (DISCARD, DISCARDED):
            success, buckets = keys.statements(len(records) + 1)
            _write(folder, env, acting, records, {}, success, buckets, by="person")
            filmed = filmed.plus(success)
        records = []
        keys.begin()
    return filmed


def _write(
    folder: Path,
    env: Env,
    acting: ActingConfig,
    records: Sequence[StepRecord],
    facts: Mapping[str, str],
    success: Sequence[int],
    buckets: Sequence[str],
    *,
    by: str,
) -> None:
    meta = EpisodeMeta(env.task_id, env.state_spec, env.action_spec, run_id=acting.episode_prefix, seed=acting.seed)
    folder.mkdir(parents=True, exist_ok=True)
    sink = EpisodeSink(folder, replace(meta, extra=facts))
    for record in records:
        sink.append(record)
    sink.close()
    write_spans(folder, records[0].episode_id, spans_of(success, buckets), by)
