"""Asking about many pairs: both orders, several at a time, tested by pairs whose order is known, resumable.

What is answered is on the disk at once. Labelling stops by itself when whoever answers gets too many known orders wrong
or cannot be reached: a bad judge is worse than none.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import chain

from robot_rl.core.errors import DeviceError
from robot_rl.rewards.labelers import Back, Enough, Labeler, Shown, soft_answer
from robot_rl.rewards.preferences import (
    EQUAL,
    FAILURES,
    FIRST,
    INCONSISTENT,
    PREFERENCES,
    RETRIED,
    WITHDRAWN,
    Answer,
    Labelled,
    Pair,
    PreferenceStore,
    gold_score,
)


@dataclass(frozen=True)
class Rules:
    """When to stop.

    Attributes:
        gold_accuracy: least share of known orders that must be found.
        least_gold: known orders that must have been answered before that counts.
        give_up: stop after so many pairs in a row to which no answer came at all.
    """

    gold_accuracy: float = 0.75
    least_gold: int = 12
    give_up: int = 5


@dataclass
class Tally:
    """What has come of it so far.

    Attributes:
        outcomes: pairs of this session by outcome, gold pairs included.
        calls: how often was asked, without what was known from before.
        tokens_in: read by a language model.
        tokens_out: written by a language model.
        gold: known orders that were found, and that were answered, in all sessions of the folder.
        first_twice: pairs of which the first was preferred in both orders, as far as such pairs were inconsistent.
        seconds: of each pair that was asked.
        stopped: why it ended early; empty if every pair was asked.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    gold: tuple[int, int] = (0, 0)
    first_twice: int = 0
    seconds: list[float] = field(default_factory=list)
    stopped: str = ""

    def add(self, answer: Answer) -> None:
        """Count a pair."""
        self.outcomes[answer.outcome] += 1
        self.calls += answer.calls
        self.tokens_in += answer.tokens_in
        self.tokens_out += answer.tokens_out
        self.first_twice += answer.outcome == INCONSISTENT and answer.why.startswith(FIRST_TWICE)
        self.seconds.append(answer.seconds)

    def take_back(self, answer: Answer) -> None:
        """Forget the answer that was counted last; what it has cost stays."""
        self.outcomes[answer.outcome] -= 1
        self.seconds.pop()

    @property
    def done(self) -> int:
        """Pairs that were asked."""
        return sum(self.outcomes.values())


FIRST_TWICE = "the first in both orders"
SECOND_TWICE = "the second in both orders"


def label_pairs(
    pairs: Sequence[Pair],
    labeler: Labeler,
    store: PreferenceStore,
    show: Callable[[Pair], Shown],
    *,
    rules: Rules | None = None,
    report: Callable[[Labelled, Tally], None] = lambda labelled, tally: None,
) -> Tally:
    """Ask about pairs and keep every answer at once; pairs that are settled already are passed over.

    An answer that is taken back counts no more from then on, and its pair is asked again at once.

    Args:
        pairs: to ask about.
        labeler: who is asked; stays open unless labelling is broken off, so that nobody waits for an answer.
        store: keeps the answers.
        show: what the labeler gets to see of a pair; called in the calling thread.
        rules: when to stop.
        report: told of every answer.

    Returns:
        What came of it, with the reason if it ended early.

    Raises:
        DeviceError: the labeler does not let us in; what was answered is kept.
        StorageError: the disk refuses an answer.
    """
    limits = rules or Rules()
    settled = store.settled()
    new = [pair for pair in pairs if pair.id not in settled]
    todo, answered = iter(new), list[Labelled]()
    tally, silent = Tally(gold=gold_score(store.labelled)), 0

    def show_next(pair: Pair) -> Shown:
        return replace(show(pair), answered=tally.done, of=len(new))

    with ThreadPoolExecutor(max_workers=labeler.parallel) as pool:
        running: dict[Future[Answer], Pair] = {}
        try:
            while _fill(running, todo, labeler, show_next, pool, stop=bool(tally.stopped)):
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    pair = running.pop(future)
                    try:
                        answer = future.result()
                    except Enough as e:
                        tally.stopped = tally.stopped or str(e)
                        continue
                    except Back:
                        todo = chain([*_withdraw(answered, store, tally, labeler.name), pair], todo)
                        continue
                    labelled = Labelled(pair, answer, labeler.name, time.time())
                    store.append(labelled)
                    answered.append(labelled)
                    tally.add(answer)
                    silent = silent + 1 if answer.outcome in RETRIED else 0
                    tally.gold = gold_score(store.labelled) if pair.gold else tally.gold
                    tally.stopped = tally.stopped or _verdict(tally, silent, answer, limits)
                    report(labelled, tally)
        except (DeviceError, KeyboardInterrupt):
            for future in running:
                future.cancel()
            labeler.close()
            raise
    return tally


def _withdraw(answered: list[Labelled], store: PreferenceStore, tally: Tally, by: str) -> list[Pair]:
    """Take back the last answer of this session, if there is one; the pair that is to be asked again."""
    if not answered:
        return []
    last = answered.pop()
    store.append(Labelled(last.pair, Answer(WITHDRAWN), by, time.time()))
    tally.take_back(last.answer)
    return [last.pair]


def _fill(
    running: dict[Future[Answer], Pair],
    todo: Iterator[Pair],
    labeler: Labeler,
    show: Callable[[Pair], Shown],
    pool: ThreadPoolExecutor,
    *,
    stop: bool,
) -> bool:
    """Keep the labeler busy; False when nothing is left to wait for."""
    while not stop and len(running) < labeler.parallel and (pair := next(todo, None)) is not None:
        running[pool.submit(judge, labeler, show(pair))] = pair
    return bool(running)


def _verdict(tally: Tally, silent: int, answer: Answer, rules: Rules) -> str:
    right, answered = tally.gold
    if answered >= rules.least_gold and right < rules.gold_accuracy * answered:
        return (
            f"only {right} of {answered} pairs with a known order were ordered rightly, at least "
            f"{rules.gold_accuracy:.0%} are expected: look at the disagreements, then choose another model, a nearer "
            "camera or clearer words for the goal"
        )
    if silent >= rules.give_up:
        return f"{silent} pairs in a row got no answer, the last because of: {answer.why}; run again to go on"
    return ""


def judge(labeler: Labeler, shown: Shown) -> Answer:
    """One answer about one pair, asked in both orders where the labeler may prefer a place.

    Raises:
        Enough: the labeler stops.
        DeviceError: it does not let us in.
    """
    one = labeler.ask(shown)
    if not labeler.both_orders or one.outcome in FAILURES:
        return one
    return combine(one, labeler.ask(shown.swapped()))


def combine(one: Answer, other: Answer) -> Answer:
    """The answer that two questions in opposite order agree on.

    Args:
        one: in the order of the pair.
        other: in the other order.

    Returns:
        Their common preference with the mean of the probabilities, `EQUAL` if both say so, otherwise why there is none.
    """
    turned = None if other.p_second is None else 1.0 - other.p_second
    if one.p_second is None or turned is None:
        failed = one if one.p_second is None else other
        answer = Answer(failed.outcome, None, failed.why)
    elif one.outcome == EQUAL == other.outcome:
        answer = Answer(EQUAL, 0.5, one.why)
    elif one.outcome in PREFERENCES and other.outcome in PREFERENCES and one.outcome != other.outcome:
        answer = soft_answer((one.p_second + turned) / 2.0, one.why)
    elif one.outcome == other.outcome:
        place = FIRST_TWICE if one.outcome == FIRST else SECOND_TWICE
        answer = Answer(INCONSISTENT, None, f"{place}: {one.why} | {other.why}"[:500])
    else:
        answer = Answer(INCONSISTENT, None, f"{one.outcome}, then in the other order {other.outcome}: {one.why}"[:500])
    return replace(
        answer,
        calls=one.calls + other.calls,
        tokens_in=one.tokens_in + other.tokens_in,
        tokens_out=one.tokens_out + other.tokens_out,
        seconds=one.seconds + other.seconds,
    )
