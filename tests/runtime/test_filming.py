"""Filming frames: scripts that are judged by the truth, and a person who holds and taps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from robot_rl.core.types import TeleopState
from robot_rl.data.demos import episode_files
from robot_rl.data.episode_log import read_episode
from robot_rl.envs import make_env
from robot_rl.envs.behaviours import BEHAVIOURS, Behaviour
from robot_rl.envs.judging import NeverDone
from robot_rl.rewards.spans import NO, UNKNOWN, YES, read_spans
from robot_rl.runtime.filming import Filmed, LabelKeys, film_behaviours, film_by_hand


def test_every_behaviour_films_what_it_is_for(tmp_path: Path) -> None:
    env = make_env("PickCube", detector=NeverDone())
    filmed = film_behaviours(
        env, lambda kind, rng: Behaviour(env, kind, rng), BEHAVIOURS, success_frames=5, seed=3, folder=tmp_path
    )
    env.close()
    spans = read_spans(tmp_path)
    counts: Counter[tuple[str, int]] = Counter()
    for file, kind in zip(episode_files(tmp_path), BEHAVIOURS, strict=True):
        records = read_episode(file).records
        told = spans[records[0].episode_id]
        assert (told[0].first, told[-1].last) == (0, len(records)), "every frame has a statement"
        assert records[-1].truncated and not any(r.rewards["success"] for r in records)
        truth = [NO, *(int(r.rewards["truth"]) for r in records)]
        assert [s.success for s in told for _ in range(s.first, s.last + 1)] == truth
        counts.update((kind, s.success) for s in told for _ in range(s.first, s.last + 1))
        if kind not in ("success", "wander"):
            assert kind in {s.bucket for s in told}
    assert filmed.episodes == len(BEHAVIOURS)
    assert filmed.success == sum(n for (_, s), n in counts.items() if s == YES) >= 5
    assert counts["success", YES] >= 10
    assert counts["fly_over", YES] == 0


class Script:
    """A person's device, look by look."""

    def __init__(self, states: list[TeleopState]) -> None:
        self._states = states
        self._k = -1

    def read(self) -> TeleopState:
        self._k += 1
        return self._states[min(self._k, len(self._states) - 1)]

    def close(self) -> None:
        """Nothing to release."""


DRIVING = TeleopState(engaged=True, twist_tcp=np.array([0.2, 0, 0, 0, 0, 0]))


def pressing(*marks: str) -> TeleopState:
    return replace(DRIVING, buttons=frozenset(marks))


def test_marks_speak_of_frames() -> None:
    now = [0.0]
    keys = LabelKeys(Script([DRIVING] * 5 + [pressing("success")] * 3 + [pressing("failure"), DRIVING]), lambda: now[0])
    for k in range(10):
        now[0] = 0.3 * k
        state = keys.read()
        assert not {"success", "failure"} & state.buttons, "the episode goes on"
        keys.note_frame()
    said, buckets = keys.statements(11)
    assert said == [NO] * 5 + [NO] * 3 + [NO] * 3
    assert buckets[4:9] == ["approach", "near_miss", "near_miss", "near_miss", "approach"], "the last second"


def test_two_taps_take_it_back() -> None:
    now = [0.0]
    keys = LabelKeys(
        Script([DRIVING] * 4 + [pressing("failure"), DRIVING, pressing("failure"), DRIVING]), lambda: now[0]
    )
    for k in range(8):
        now[0] = 0.2 * k
        keys.read()
        keys.note_frame()
    said, _ = keys.statements(9)
    assert said == [NO] * 2 + [UNKNOWN] * 4 + [NO] * 3


def test_a_person_films(tmp_path: Path) -> None:
    env = make_env("Reach", detector=NeverDone())
    held = [DRIVING] * 6 + [pressing("success")] * 8 + [pressing("abort")]
    device = Script(held + [DRIVING] * 5 + [pressing("discard")] + [DRIVING] * 3 + [pressing("end")])
    filmed = film_by_hand(env, device, success_frames=1000, seed=0, folder=tmp_path)
    env.close()
    first, second = [read_episode(file).records for file in episode_files(tmp_path)]
    told = read_spans(tmp_path)
    marked = told[first[0].episode_id]
    assert [(s.success, s.bucket) for s in marked] == [(NO, "approach"), (YES, "success")]
    assert first[-1].stop_reason == "operator"
    assert [s.success for s in told[second[0].episode_id]] == [NO], "the one between them was thrown away"
    yes = marked[1].last - marked[1].first + 1
    assert filmed == Filmed(2, yes, len(first) + 1 - yes + len(second) + 1)
