"""Which steps are charged when an operator takes over, and that a replay draws them so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.data.replay import ReplayBuffer, RewardWeights
from robot_rl.data.rewards import INTERVENTION_COMPONENT
from robot_rl.data.takeovers import TakeOvers, takeover_penalties
from tests.data.episodes import SPEC, episode
from tests.data.reference import gather, identity

PLAIN = RewardWeights(success=0.0, process=0.0, force_penalty=0.0, grasp_penalty=0.0)


@pytest.mark.parametrize(
    ("who", "steps", "charged"),
    [
        ("....oo..", 2, "..xx...."),
        ("....oo..", 9, "xxxx...."),
        ("..o.o...", 3, "xx.x...."),
        ("oo......", 3, "........"),
        ("........", 3, "........"),
        ("..oo..oo", 0, "........"),
        (".......o", 1, "......x."),
    ],
)
def test_the_policys_own_last_steps_before_each_take_over_are_charged(who: str, steps: int, charged: str) -> None:
    got = takeover_penalties([w == "o" for w in who], steps, -0.5)
    assert "".join("x" if v else "." for v in got) == charged
    assert got.dtype == np.float32 and set(got.tolist()) <= {0.0, -0.5}


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 8))
def test_nobody_is_charged_for_an_operators_step_nor_for_what_no_take_over_follows(who: list[bool], steps: int) -> None:
    charged = takeover_penalties(who, steps, -1.0) < 0
    for i in range(len(who)):
        follows = next((k for k in range(i, len(who)) if who[k]), None)
        assert charged[i] == (follows is not None and not who[i] and follows - i <= steps)


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(1, 6))
def test_following_an_episode_comes_to_what_hindsight_says(who: list[bool], steps: int) -> None:
    followed, last = TakeOvers(steps, -1.0), None
    for record in episode(0, len(who), interventions=[i for i, w in enumerate(who) if w]):
        charges = followed.add(record)
        if charges is not None:
            assert len(charges) == record.step_index + 1
            last = np.pad(charges, (0, len(who) - len(charges)))
    expected = takeover_penalties(who, steps, -1.0)
    np.testing.assert_array_equal(np.zeros(len(who)) if last is None else last, expected)
    assert not followed._open


def test_an_abandoned_episode_is_forgotten() -> None:
    followed = TakeOvers(3, -1.0)
    followed.add(episode(0, 5)[0])
    followed.abandon("episode-0")
    followed.abandon("episode-0")
    assert not followed._open


@pytest.mark.parametrize("arguments", [(-1, -0.1), (1, 0.1)])
def test_rewards_for_being_helped_are_refused(arguments: tuple[int, float]) -> None:
    with pytest.raises(DataError, match="expected >= 0 at <= 0"):
        TakeOvers(*arguments)


def charged_replay(records: list[StepRecord], steps: int, **options: int) -> ReplayBuffer:
    buffer = ReplayBuffer(SPEC, 200, pinned=0, gamma=0.5, weights=PLAIN, **options)
    followed = TakeOvers(steps, -1.0)
    for record in records:
        buffer.add(record)
        charges = followed.add(record)
        if charges is not None:
            buffer.relabel(record.episode_id, INTERVENTION_COMPONENT, charges)
    return buffer


def drawn_rewards(buffer: ReplayBuffer) -> dict[tuple[int, int], float]:
    out, _ = gather(buffer, buffer.online.members)
    return {identity(s): float(r) for s, r in zip(out.state, out.reward, strict=True)}


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_charges_reach_the_windows_of_interleaved_actors(a: list[bool], b: list[bool], data: st.DataObject) -> None:
    whose = (a, b)
    queues = [episode(n, len(w), interventions=[i for i, x in enumerate(w) if x]) for n, w in enumerate(whose)]
    arrived: list[StepRecord] = []
    while any(queues):
        arrived.append(data.draw(st.sampled_from([q for q in queues if q])).pop(0))
    steps, staged = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 6))
    drawn = drawn_rewards(charged_replay(arrived, steps, max_staged=staged))
    for number, who in enumerate(whose):
        expected = takeover_penalties(who, steps, -1.0)
        assert [drawn[number, i] for i in range(len(who))] == expected.tolist()


def test_a_charge_is_discounted_within_a_window_and_weighted_like_any_reward() -> None:
    buffer = charged_replay(episode(0, 6, interventions=[3, 4]), 2, n_step=3)
    assert drawn_rewards(buffer)[0, 0] == -0.5 - 0.25
    buffer.weights = replace(PLAIN, intervention_penalty=0.0)
    assert set(drawn_rewards(buffer).values()) == {0.0}


def test_a_record_cannot_bring_a_charge_along() -> None:
    record = episode(0, 1)[0]
    with pytest.raises(DataError, match="unknown reward component 'intervention_penalty'"):
        ReplayBuffer(SPEC, 10).add(replace(record, rewards={INTERVENTION_COMPONENT: -1.0}))
