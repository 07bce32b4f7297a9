"""What was answered is kept, whatever happens; pairs are chosen where they tell most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.rewards.labeler_cache import AnswerCache
from robot_rl.rewards.labeler_http import Endpoint, HttpLabeler
from robot_rl.rewards.labeler_oracle import OracleLabeler
from robot_rl.rewards.labeler_session import Rules, combine, label_pairs
from robot_rl.rewards.labelers import Budget, soft_answer
from robot_rl.rewards.preference_pairs import choose_pairs, disagreement, gold_pair, k_center, sample_clips
from robot_rl.rewards.preferences import (
    ANSWERS_FILE,
    FAILURES,
    Answer,
    Clip,
    Labelled,
    Pair,
    PreferenceStore,
    Question,
)
from tests.rewards.chat_server import Reply, brighter, chat_server, completion, grey_clip, show

QUESTION = Question("make it bright", ("side",))
PAIRS = [Pair(grey_clip(i), grey_clip(250 - i)) for i in range(20)]
GOLD = [Pair(grey_clip(i), grey_clip(255 - i), gold=True) for i in range(8)]


def steps(clip: Clip) -> float:
    return float(clip.steps[-1])


def answers() -> st.SearchStrategy[Answer]:
    return st.one_of(
        st.floats(0, 1).map(lambda p: soft_answer(p, "why")),
        st.sampled_from(FAILURES).map(lambda o: Answer(o, None, "x")),
    )


@given(answers(), answers())
def test_combining_two_orders(one: Answer, other: Answer) -> None:
    both = combine(one, other)
    if both.outcome in ("first", "second"):
        assert one.outcome in ("first", "second")
        assert {one.outcome, other.outcome} == {"first", "second"}
        assert both.outcome == one.outcome
    if one.outcome in FAILURES or other.outcome in FAILURES:
        assert both.outcome in FAILURES
    assert combine(other, one).outcome == {"first": "second", "second": "first"}.get(both.outcome, both.outcome) or (
        one.outcome in FAILURES and other.outcome in FAILURES
    )


@pytest.mark.parametrize(
    ("outcome", "p"), [("first", 0.5), ("second", 0.2), ("refused", 0.0), ("equal", None), ("?", 0.1)]
)
def test_answers_cannot_contradict_themselves(outcome: str, p: float | None) -> None:
    with pytest.raises(DataError, match="outcome"):
        Answer(outcome, p)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(100, 199), st.booleans(), answers()), max_size=8))
def test_answers_come_back_as_they_were_given(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, bool, Answer]]
) -> None:
    folder = tmp_path_factory.mktemp("prefs") / "new"
    store = PreferenceStore(folder, QUESTION)
    for a, b, gold, answer in rows:
        store.append(Labelled(Pair(grey_clip(a), grey_clip(b), gold), answer, "me", 1.5))
    again = PreferenceStore(folder)
    assert again.question == QUESTION
    assert again.labelled == store.labelled
    usable = again.usable(equal=True)
    assert not any(x.pair.gold or x.answer.p_second is None for x in usable)
    assert len({x.pair.id for x in usable}) == len(usable)


def test_a_cut_line_is_forgotten_and_a_wrong_one_named(tmp_path: Path) -> None:
    store = PreferenceStore(tmp_path, QUESTION)
    store.append(Labelled(PAIRS[0], Answer("first", 0.0), "me", 1.0))
    path = tmp_path / ANSWERS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    store = PreferenceStore(tmp_path)
    assert len(store.labelled) == 1
    store.append(Labelled(PAIRS[1], Answer("second", 1.0), "me", 1.0))
    assert [x.pair for x in PreferenceStore(tmp_path).labelled] == PAIRS[:2]
    path.write_bytes(whole + b'{"format": 1, "pair": {}}\n')
    with pytest.raises(DataError, match="line 2 of .* is no answer"):
        PreferenceStore(tmp_path)


def test_another_question_needs_another_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no preferences"):
        PreferenceStore(tmp_path / "none")
    PreferenceStore(tmp_path, QUESTION)
    with pytest.raises(DataError, match="another question"):
        PreferenceStore(tmp_path, Question("make it dark", ("side",)))


def test_labelling_goes_on_where_it_stopped(tmp_path: Path) -> None:
    oracle = OracleLabeler(steps)
    store = PreferenceStore(tmp_path, QUESTION)
    assert label_pairs(PAIRS[:7], oracle, store, show).done == 7
    tally = label_pairs(PAIRS, oracle, PreferenceStore(tmp_path), show)
    assert (tally.done, tally.stopped) == (13, "")
    assert len(PreferenceStore(tmp_path).usable()) == 20
    assert all(x.answer.outcome == "second" for x in PreferenceStore(tmp_path).usable())


def test_an_oracle_errs_as_often_as_it_is_told_and_alike_in_both_orders(tmp_path: Path) -> None:
    oracle = OracleLabeler(steps, 0.2, seed=3)
    pairs = [Pair(grey_clip(i), grey_clip(i + 1 + j)) for i in range(40) for j in range(40)]
    said = [oracle.ask(show(pair)).outcome for pair in pairs]
    assert said.count("first") / len(said) == pytest.approx(0.2, abs=0.04)
    turned = [oracle.ask(show(pair).swapped()).outcome for pair in pairs]
    assert all({a, b} == {"first", "second"} for a, b in zip(said, turned, strict=True))
    assert OracleLabeler(steps, margin=5).ask(show(Pair(grey_clip(1), grey_clip(6)))).outcome == "equal"
    with pytest.raises(ConfigError, match="error rate"):
        OracleLabeler(steps, 0.5)


def test_a_judge_who_fails_known_orders_is_stopped(tmp_path: Path) -> None:
    def wrong(request: dict[str, Any]) -> Reply:
        better = '"better": 1' in brighter(request)[1]["choices"][0]["message"]["content"]
        return completion(f'{{"better": {int(not better)}}}')

    with chat_server(wrong) as server:
        labeler = HttpLabeler(Endpoint(server.url, "m", parallel=1), AnswerCache(tmp_path / "cache"), Budget())
        store = PreferenceStore(tmp_path / "prefs", QUESTION)
        tally = label_pairs([*GOLD, *PAIRS], labeler, store, show, rules=Rules(least_gold=4))
    assert "only 0 of 4 pairs with a known order" in tally.stopped
    assert len(PreferenceStore(tmp_path / "prefs").labelled) == tally.done == 4
    assert not store.usable()


def test_an_inconsistent_judge_gets_no_gold(tmp_path: Path) -> None:
    with chat_server(lambda request: completion('{"better": 0}')) as server:
        labeler = HttpLabeler(Endpoint(server.url, "m"), AnswerCache(tmp_path / "cache"), Budget())
        tally = label_pairs(GOLD, labeler, PreferenceStore(tmp_path / "prefs", QUESTION), show)
    assert (tally.outcomes["inconsistent"], tally.first_twice, tally.gold) == (8, 8, (0, 0))


def test_silence_is_not_waited_for_for_ever_and_asked_again_later(tmp_path: Path) -> None:
    with chat_server(lambda request: (500, "broken")) as server:
        endpoint = Endpoint(server.url, "m", retries=0, parallel=2)
        labeler = HttpLabeler(endpoint, AnswerCache(tmp_path / "cache"), Budget())
        store = PreferenceStore(tmp_path / "prefs", QUESTION)
        tally = label_pairs(PAIRS, labeler, store, show, rules=Rules(give_up=3))
    assert "3 pairs in a row got no answer" in tally.stopped
    assert 3 <= tally.outcomes["error"] <= 5
    assert not store.usable()
    tally = label_pairs(PAIRS, OracleLabeler(steps), store, show)
    assert tally.done == len(PAIRS) == len(store.usable())


def test_what_was_answered_before_the_door_closed_is_kept(tmp_path: Path) -> None:
    left = iter(range(6))

    def answer(request: dict[str, Any]) -> Reply:
        return brighter(request) if next(left, None) is not None else (401, "key expired")

    with chat_server(answer) as server:
        labeler = HttpLabeler(Endpoint(server.url, "m", parallel=1), AnswerCache(tmp_path / "cache"), Budget())
        with pytest.raises(DeviceError, match="key expired"):
            label_pairs(PAIRS, labeler, PreferenceStore(tmp_path / "prefs", QUESTION), show)
    assert len(PreferenceStore(tmp_path / "prefs").usable()) == 3


def test_a_spent_budget_ends_labelling_with_what_is_whole(tmp_path: Path) -> None:
    with chat_server(brighter) as server:
        labeler = HttpLabeler(Endpoint(server.url, "m"), AnswerCache(tmp_path / "cache"), Budget(calls=9))
        store = PreferenceStore(tmp_path / "prefs", QUESTION)
        tally = label_pairs(PAIRS, labeler, store, show)
        assert "budget of 9 calls" in tally.stopped
        assert len(server.requests) == 9
    assert tally.done == len(store.usable()) <= 4


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 5), st.integers(1, 12))
def test_clips_lie_in_their_episode(length: int, frames: int, stride: int, count: int) -> None:
    clips = sample_clips("e", length, frames=frames, stride=stride, count=count, rng=np.random.default_rng(0))
    assert len(clips) <= count
    assert bool(clips) == (length >= (frames - 1) * stride)
    for clip in clips:
        assert len(clip.steps) == frames
        assert clip.steps[0] >= 0 and clip.steps[-1] <= length
        assert set(np.diff(clip.steps)) <= {stride}
    gold = gold_pair("e", length, frames=frames, stride=stride)
    if gold is not None:
        assert gold.first.steps[-1] < gold.second.steps[0]
        assert gold.second.steps[-1] == length


@settings(max_examples=15)
@given(st.integers(2, 20), st.integers(1, 30), st.integers(0, 5))
def test_pairs_are_new_and_of_different_clips(n: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = [grey_clip(i) for i in range(n)]
    features = rng.normal(size=(n, 3)).astype(np.float32)
    once = choose_pairs(clips, features, count, rng)
    asked = frozenset(pair.id for pair in once)
    more = choose_pairs(clips, features, count, rng, scores=rng.normal(size=(3, n)).astype(np.float32), asked=asked)
    ids = [pair.id for pair in (*once, *more)]
    assert len(ids) == len(set(ids))
    assert len(once) == min(count, len(once))
    assert all(pair.first != pair.second for pair in (*once, *more))


def test_disputed_pairs_come_first() -> None:
    clips = [grey_clip(i) for i in range(40)]
    scores = np.zeros((3, 40), np.float32)
    scores[:, 7] = (-5, 0, 5)  # nobody knows what the seventh is worth
    rng = np.random.default_rng(0)
    pairs = choose_pairs(clips, np.zeros((40, 1), np.float32), 5, rng, scores=scores)
    assert all(grey_clip(7) in (pair.first, pair.second) for pair in pairs)
    assert disagreement(scores[:, [1]], scores[:, [2]])[0] == 0.0


@given(st.lists(st.lists(st.integers(-5, 5), min_size=2, max_size=2), min_size=1, max_size=12), st.integers(1, 12))
def test_centres_cover(points: Sequence[Sequence[int]], count: int) -> None:
    array = np.array(points, np.float32)
    chosen = k_center(array, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(array))
    gaps = np.linalg.norm(array[:, None] - array[chosen][None], axis=2).min(1)
    between = [np.linalg.norm(array[a] - array[b]) for i, a in enumerate(chosen) for b in chosen[:i]]
    assert gaps.max() <= min(between, default=np.inf) + 1e-5  # what is left is nearer than the centres to each other


def test_a_single_clip_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="at least 2"):
        choose_pairs([grey_clip(1)], np.zeros((1, 1), np.float32), 3, np.random.default_rng(0))
