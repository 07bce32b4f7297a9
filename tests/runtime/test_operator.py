"""What an operator says about an episode is credited to the step that was seen, and nothing moves meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DeviceError
from robot_rl.core.marks import ABORT, DISCARD, END, FAILURE, MARKS, PAUSE, SUCCESS
from robot_rl.core.transition import Source, StepRecord
from robot_rl.core.types import TeleopState
from robot_rl.hardware.takeover import LOST
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.collector import Collector
from robot_rl.runtime.operator import action_of, keep_open
from tests.runtime.fakes import Constant, PointEnv

CONFIG = ActingConfig(seed=3, episode_prefix="run-a0")


class Presser:
    """A device whose buttons are down at given reads; it says nothing when the list has ended."""

    def __init__(self, *reads: set[str], engaged: bool = False) -> None:
        self.reads, self.engaged, self.closed = list(reads), engaged, 0

    def read(self) -> TeleopState:
        buttons = frozenset(self.reads.pop(0)) if self.reads else frozenset()
        return TeleopState(engaged=self.engaged, buttons=buttons)

    def close(self) -> None:
        self.closed += 1


class FarEnv(PointEnv):
    """Whose goal nobody reaches."""

    def reset(self, **kwargs):  # type: ignore[no-untyped-def]
        obs, info = super().reset(**kwargs)
        self.goal = 50.0
        return obs, info


def collector(device: Presser, *, limit: int = 9, config: ActingConfig = CONFIG) -> Collector:
    return Collector(FarEnv(limit=limit), Constant(0.1), config, make_teleop=keep_open(device))


def play(c: Collector, steps: int) -> list[StepRecord]:
    return [r for _ in range(steps) for r in c.step()]


@pytest.mark.parametrize(
    ("mark", "terminated", "success", "reason"),
    [(SUCCESS, True, 1.0, "success"), (FAILURE, True, 0.0, "failure"), (ABORT, False, 0.0, "operator"),
     (DISCARD, False, 0.0, "discarded")],
)  # fmt: skip
def test_a_mark_ends_the_episode_with_the_step_that_was_seen(
    mark: str, terminated: bool, success: float, reason: str
) -> None:
    c = collector(Presser(set(), set(), set(), {mark}))
    records = play(c, 4)
    assert [r.step_index for r in records] == [0, 1, 2]
    end = records[-1]
    assert (end.terminated, end.truncated, end.stop_reason) == (terminated, not terminated, reason)
    assert end.rewards["success"] == success
    assert end.final_obs is not None
    assert len(c.env.actions) == 3, "no action after the press"  # type: ignore[attr-defined]
    assert c.env.holds == 1  # type: ignore[attr-defined]
    assert play(c, 2)[0].episode_id.endswith("-000001")


def test_a_button_that_stays_down_counts_once() -> None:
    c = collector(Presser(set(), set(), *[{ABORT}] * 5))
    records = play(c, 8)
    assert [r.episode_id[-1] for r in records if r.last] == ["0"]


@pytest.mark.parametrize("mark", [SUCCESS, FAILURE, DISCARD])
def test_a_verdict_before_the_first_step_is_about_nothing(mark: str) -> None:
    c = collector(Presser({mark}, set(), set()))
    assert play(c, 3)[0].episode_id.endswith("-000000") and not any(r.last for r in play(c, 2))


def test_an_abort_before_the_first_step_begins_anew() -> None:
    c = collector(Presser({ABORT}))
    assert play(c, 3)[0].episode_id.endswith("-000001")


def test_a_pause_lasts_until_the_next_press() -> None:
    c = collector(Presser(set(), set(), {PAUSE}, set(), set(), {PAUSE}))
    assert len(play(c, 2)) == 1
    assert play(c, 1) == [] and c.paused
    assert play(c, 2) == [] and c.paused
    assert c.env.holds == 1  # type: ignore[attr-defined]
    assert play(c, 1) == [] and not c.paused
    assert [r.step_index for r in play(c, 2)] == [1, 2]


def test_an_episode_may_be_ended_in_a_pause_and_no_other_begins() -> None:
    c = collector(Presser(set(), set(), {PAUSE}, {FAILURE}))
    assert play(c, 4)[-1].stop_reason == "failure"
    assert play(c, 3) == [] and c.paused and c.between_episodes


def test_the_end_of_a_session_keeps_what_was_done() -> None:
    c = collector(Presser(set(), set(), {END}))
    records = play(c, 3)
    assert c.ended and [r.step_index for r in records] == [0, 1]
    assert records[-1].truncated and records[-1].stop_reason == "interrupted"
    assert play(c, 3) == [] and c.env_steps == 2


def test_a_late_verdict_is_credited_to_the_last_step() -> None:
    config = ActingConfig(seed=3, episode_prefix="r", verdict_s=5.0)
    c = collector(Presser(*[set()] * 5, {SUCCESS}), limit=4, config=config)
    records = play(c, 4)
    assert [r.step_index for r in records] == [0, 1, 2, 3]
    assert (records[-1].terminated, records[-1].stop_reason) == (True, "success")
    assert records[-1].rewards["success"] == 1.0


def test_without_a_verdict_in_time_the_episode_is_what_it_was() -> None:
    config = ActingConfig(seed=3, episode_prefix="r", verdict_s=0.05)
    records = play(collector(Presser(), limit=4, config=config), 4)
    assert (records[-1].truncated, records[-1].stop_reason) == (True, "time_out")


def test_nothing_is_done_or_recorded_while_the_operator_of_a_take_over_is_lost() -> None:
    device = Presser(set(), set(), {LOST}, {LOST}, {LOST}, set(), set(), engaged=True)
    c = collector(device)
    records = play(c, 5)
    assert c.env_steps == 2 and c.env.holds == 1 and [r.step_index for r in records] == [0]
    records += play(c, 2)
    assert c.env_steps == 4 and [r.step_index for r in records] == [0, 1, 2]
    assert len(play(collector(Presser(set(), set(), {LOST, ABORT}, engaged=True)), 3)) == 2, "it can still be ended"


def test_a_device_that_is_kept_serves_every_episode() -> None:
    device = Presser()
    c = collector(device, limit=2)
    play(c, 7)
    c.close()
    assert device.closed == 0


def test_a_demonstrator_does_not_intervene() -> None:
    config = ActingConfig(seed=3, episode_prefix="r", policy_source=Source.DEMO, teleop_source=Source.DEMO)
    records = play(collector(Presser(engaged=True), config=config), 3)
    assert {(r.source, r.intervention) for r in records} == {(Source.DEMO, False)}


def test_a_motion_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(DeviceError, match="not finite"):
        action_of(TeleopState(engaged=True, twist_tcp=np.full(6, np.nan)))


@given(st.lists(st.sets(st.sampled_from(MARKS)), max_size=30))
def test_whatever_is_pressed_records_are_gapless_and_valid(reads: list[set[str]]) -> None:
    c = collector(Presser(*reads), limit=5)
    records = play(c, len(reads) + 6)
    by_episode: dict[str, list[StepRecord]] = {}
    for record in records:
        record.validate()
        by_episode.setdefault(record.episode_id, []).append(record)
    for episode in by_episode.values():
        assert [r.step_index for r in episode] == list(range(len(episode)))
        assert not any(r.last for r in episode[:-1])
