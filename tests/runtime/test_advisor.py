"""When the advisor speaks, and when it must not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.runtime.advisor import Advice, Advisor, AdvisorConfig

SPEC = StateSpec((Part("tcp_position", 3, "m", "home"), Part("gripper_width", 1, "m")))
HZ = 10.0
STILL = np.zeros(3)


def step(
    episode: int,
    index: int,
    position_m: np.ndarray,
    *,
    width_m: float = 0.08,
    command: float = 0.5,
    helped: bool = False,
    end: str = "",
    source: Source = Source.POLICY,
) -> StepRecord:
    action = np.full(7, command, np.float32)
    obs = Observation(np.append(position_m, width_m).astype(np.float32))
    return StepRecord(
        f"run-a0-{episode:06d}", index, obs, action, action, {"success": float(end == "success")}, end == "success",
        bool(end) and end != "success", end, helped, source, 0, "T", float(index), index / HZ,
        final_obs=obs if end else None,
    )  # fmt: skip


def play(advisor: Advisor, records: list[StepRecord]) -> list[str]:
    said = []
    for record in records:
        advisor.see(record)
        said.append(advisor.advice.kind)
    return said


def resting(n: int, **facts: object) -> list[StepRecord]:
    return [step(0, i, STILL, **facts) for i in range(n)]  # type: ignore[arg-type]


def moving(n: int, **facts: object) -> list[StepRecord]:
    return [step(0, i, np.array([0.01 * i, 0.0, 0.0]), **facts) for i in range(n)]  # type: ignore[arg-type]


def test_it_stalls_after_exactly_the_time_that_was_set() -> None:
    said = play(Advisor(SPEC, HZ, AdvisorConfig(stall_s=1.5)), resting(16))
    assert said == ["none"] * 14 + ["stalled"] * 2


def test_hovering_about_one_place_is_a_stall_and_progress_is_not() -> None:
    around = [step(0, i, np.array([0.003 * math.cos(i), 0.003 * math.sin(i), 0.0])) for i in range(25)]
    assert play(Advisor(SPEC, HZ), around)[-1] == "stalled"
    assert set(play(Advisor(SPEC, HZ), moving(40))) == {"none"}


def test_what_moves_no_tool_but_the_gripper_is_no_stall() -> None:
    closing = [step(0, i, STILL, width_m=0.08 - 0.002 * i) for i in range(30)]
    assert set(play(Advisor(SPEC, HZ), closing)) == {"none"}


def test_an_arm_that_is_told_nothing_does_not_stall() -> None:
    assert set(play(Advisor(SPEC, HZ), resting(40, command=0.0))) == {"none"}


def test_a_new_episode_and_a_take_over_begin_anew() -> None:
    advisor = Advisor(SPEC, HZ)
    play(advisor, resting(19))
    assert play(advisor, [step(1, 0, STILL)]) == ["none"]
    play(advisor, [step(1, i, STILL) for i in range(1, 20)])
    assert advisor.advice.kind == "stalled"
    advisor.see(step(1, 20, STILL, helped=True))
    assert advisor.advice.kind == "none"
    advisor.see(step(1, 21, STILL))
    assert advisor.advice.kind == "none"


def attempts(ends: list[tuple[str, float]], *, helped: tuple[int, ...] = ()) -> list[StepRecord]:
    """Episodes of one step that end so and there."""
    return [step(i, 0, np.array([x, 0.0, 0.0]), end=end, helped=i in helped) for i, (end, x) in enumerate(ends)]


@pytest.mark.parametrize(
    ("ends", "kind"),
    [
        ([("time_out", 0.0), ("time_out", 0.01), ("time_out", 0.005)], "repeats"),
        ([("time_out", 0.0), ("time_out", 0.1), ("time_out", 0.005)], "none"),
        ([("force_limit", 0.0), ("force_limit", 0.3), ("force_limit", 0.6)], "repeats"),
        ([("force_limit", 0.0), ("time_out", 0.0), ("force_limit", 0.0)], "none"),
        ([("time_out", 0.0), ("success", 0.0), ("time_out", 0.0), ("time_out", 0.0)], "none"),
    ],
)
def test_the_same_failure_again_and_again(ends: list[tuple[str, float]], kind: str) -> None:
    advisor = Advisor(SPEC, HZ, AdvisorConfig(repeats=3))
    play(advisor, attempts(ends))
    assert advisor.advice.kind == kind


def test_help_ends_a_row_of_failures() -> None:
    advisor = Advisor(SPEC, HZ)
    play(advisor, attempts([("time_out", 0.0)] * 4, helped=(1,)))
    assert advisor.advice.kind == "none"


def test_an_operator_hears_when_he_may_let_go() -> None:
    assert play(Advisor(SPEC, HZ), moving(20, helped=True)) == ["none"] * 14 + ["hand_back"] * 6
    there_and_back = [step(0, i, np.array([0.01 * (i % 3), 0.0, 0.0]), helped=True) for i in range(70)]
    said = play(Advisor(SPEC, HZ, AdvisorConfig(hold_s=6.0)), there_and_back)
    assert said == ["none"] * 59 + ["hand_back"] * 11


def test_the_budget_counts_demonstrations_too_and_then_nothing_else_is_said() -> None:
    advisor = Advisor(SPEC, HZ, AdvisorConfig(human_minutes=0.1), human_s=2.0)
    play(advisor, resting(20, source=Source.DEMO))
    assert advisor.human_s == pytest.approx(4.0)
    assert advisor.budget_left_s == pytest.approx(2.0)
    play(advisor, resting(20, helped=True))
    assert advisor.advice.kind == "budget" and "0.1 minutes" in advisor.advice.text
    assert Advisor(SPEC, HZ).budget_left_s == math.inf


def test_nothing_to_say_has_no_words() -> None:
    advisor = Advisor(SPEC, HZ)
    assert advisor.advice == Advice("none", "") and advisor.share == 0.0 and advisor.shares == []


def test_a_state_without_a_place_still_counts_minutes_and_faults() -> None:
    spec = StateSpec((Part("x", 4, "m"),))
    advisor = Advisor(spec, HZ)
    play(advisor, resting(30))
    assert advisor.advice.kind == "none"
    play(advisor, attempts([("force_limit", 0.0)] * 3))
    assert advisor.advice.kind == "repeats"


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=6), max_size=12), st.integers(1, 4))
def test_the_share_is_that_of_the_last_episodes(helped: list[list[bool]], window: int) -> None:
    advisor = Advisor(SPEC, HZ, AdvisorConfig(episodes=window))
    for number, episode in enumerate(helped):
        for i, h in enumerate(episode):
            end = "time_out" if i == len(episode) - 1 else ""
            advisor.see(step(number, i, STILL, helped=h, end=end))
    assert len(advisor.shares) == len(helped)
    for k, share in enumerate(advisor.shares):
        last = [h for episode in helped[max(0, k + 1 - window) : k + 1] for h in episode]
        assert share == pytest.approx(sum(last) / len(last))
    assert advisor.human_s == pytest.approx(sum(map(sum, helped)) / HZ)


@given(st.lists(st.tuples(st.floats(-0.25, 0.25, width=32), st.booleans(), st.booleans()), max_size=60))
def test_any_course_of_events_gives_one_sentence(steps: list[tuple[float, bool, bool]]) -> None:
    advisor, episode, index = Advisor(SPEC, HZ, AdvisorConfig(human_minutes=0.05)), 0, 0
    for x, helped, ends in steps:
        advisor.see(step(episode, index, np.array([x, 0.0, 0.0]), helped=helped, end="time_out" if ends else ""))
        advice = advisor.advice
        assert (advice.kind == "none") == (advice.text == "") and len(advice.text) < 120
        episode, index = (episode + 1, 0) if ends else (episode, index + 1)
    assert 0.0 <= advisor.share <= 1.0


def test_a_threshold_out_of_range_is_named() -> None:
    with pytest.raises(ConfigError, match="repeats"):
        replace(AdvisorConfig(), repeats=1)
