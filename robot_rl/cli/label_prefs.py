"""``robot-rl label-prefs DATA --out PREFS --labeler ...``: which of two clips is nearer to the goal."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.meter import Meter
from robot_rl.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from robot_rl.rewards.labeler_session import Tally
    from robot_rl.rewards.labelers import Budget, Labeler
    from robot_rl.rewards.preference_frames import Recordings
    from robot_rl.rewards.preferences import Labelled, Pair, PreferenceStore, Question

EXIT_STOPPED = 1
LEAST_GOLD = 12


@dataclass(frozen=True)
class LabelPrefsArguments:
    """Have pairs of clips of recorded episodes compared; every answer is on the disk before the next question.

    The same command goes on where it stopped: with the pairs that are still missing, and those that got no answer. Of
    some pairs, the beginning and the end of a success, the order is known: whoever finds fewer than three quarters of
    them is stopped (exit code 1). A model is asked in both orders, and only what it says in both counts. Refusals,
    nonsense and time-outs are counted and never become preferences. PREFS/disagreements.html shows what to look at.

    Attributes:
        data: runs, folders of episodes, or files with pictures.
        out: folder of the preferences.
        labeler: openai asks any server that speaks chat completions, local a model of transformers in a folder, person
            whoever is in charge at the console of this machine, or opens the page whose address is printed, oracle
            compares a number that was recorded.
        goal: what is to be achieved, in words; needed once for each folder of preferences.
        pairs: how many are to be settled in the folder, known orders not counted.
        cameras: whose pictures make up a clip, side by side; by default all.
        crop: part of every picture that is shown: left, top, right, bottom, relative to it.
        frames: pictures in a clip, 1 to 8.
        stride: steps between them.
        per_episode: clips of an episode that pairs are chosen from.
        reward: a preference model: pairs that its ensemble disagrees on are asked first.
        gold: share of pairs with a known order that are asked in addition, at least 12 in all; 0 for none.
        seed: of the choice of pairs.
        base_url: openai: address up to and without /chat/completions.
        model: openai: name of the model; local: its folder.
        key_variable: openai: environment variable with the key, which is taken from nowhere else.
        send_pictures_to: openai: name of the host that pictures may leave this machine for.
        timeout_s: openai: for one whole answer.
        retries: openai: repetitions of a question after a failure that may pass.
        parallel: openai: questions at a time.
        max_calls: openai and local: stop after so many questions, retries included.
        max_usd: openai: stop when this much has been spent.
        usd_per_million_in: openai: price of tokens that are read.
        usd_per_million_out: openai: price of tokens that are written.
        port: person: of the page; 0 takes any that is free.
        by: person: who answers on the page; None for the name of the user. The console knows who answers there.
        score: oracle: return (discounted success to come), potential (recorded process reward so far), or a component.
        error_rate: oracle: share of its preferences that are turned round.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    out: Path
    labeler: Literal["openai", "local", "person", "oracle"]
    goal: str = ""
    pairs: int = 200
    cameras: tuple[str, ...] = ()
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    frames: int = 1
    stride: int = 5
    per_episode: int = 12
    reward: Path | None = None
    gold: float = 0.05
    seed: int = 0
    base_url: str = "http://localhost:8000/v1"
    model: str = ""
    key_variable: str = "OPENAI_API_KEY"
    send_pictures_to: str = ""
    timeout_s: float = 60.0
    retries: int = 4
    parallel: int = 4
    max_calls: int | None = None
    max_usd: float | None = None
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0
    port: int = 0
    by: str | None = None
    score: str = "return"
    error_rate: float = 0.0


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: LabelPrefsArguments = parse(LabelPrefsArguments, argv, verb="label-prefs")
    if not a.data:
        raise ConfigError("which recordings? Give a run folder, a folder of episodes or a file")
    import numpy as np

    from robot_rl.rewards.labeler_session import Rules, label_pairs
    from robot_rl.rewards.labelers import Budget, Shown
    from robot_rl.rewards.preference_frames import Recordings
    from robot_rl.rewards.preference_page import write_page

    budget = Budget(a.max_calls, a.max_usd, a.usd_per_million_in, a.usd_per_million_out)
    store, recordings = _open(a, Recordings)
    labeler = _labeler(a, budget, recordings)
    try:
        pairs = _pairs(a, store, recordings, np.random.default_rng([a.seed, len(store.labelled)]))
        meter = Meter("labelling")

        def report(labelled: Labelled, tally: Tally) -> None:
            meter(tally.done, len(pairs), f"{_unclear(tally)} without a preference, {budget.spent_usd:.2f} USD")

        # an oracle looks at no pictures, and is meant to err as often as it is told
        blind = a.labeler == "oracle"
        rules = Rules(gold_accuracy=0.0) if blind else Rules()
        tally = label_pairs(
            pairs,
            labeler,
            store,
            lambda pair: Shown(a.goal, (), (), pair) if blind else recordings.show(pair, store.question),
            rules=rules,
            report=report,
        )
    finally:
        labeler.close()
    _say(store, tally, budget.spent_usd)
    print(f"disagreements: {write_page(store, recordings, store.folder / 'disagreements.html', usd=budget.spent_usd)}")
    if tally.stopped:
        print(f"stopped: {tally.stopped}")
        return EXIT_STOPPED
    return 0


def _open(a: LabelPrefsArguments, kind: type[Recordings]) -> tuple[PreferenceStore, Recordings]:
    from robot_rl.rewards.preferences import QUESTION_FILE, PreferenceStore, Question

    if not a.goal and not (a.out / QUESTION_FILE).exists():
        raise ConfigError('what is the goal? Say it once in words, for example --goal "the cube is held in the air"')
    known: Question | None = None if a.goal else PreferenceStore(a.out).question
    recordings = kind(a.data, a.cameras or (known.cameras if known else ()), on_read=Meter("reading"))
    question = known or Question(a.goal, recordings.cameras, a.frames, a.stride, a.crop)
    return PreferenceStore(a.out, question), recordings


def _pairs(
    a: LabelPrefsArguments, store: PreferenceStore, recordings: Recordings, rng: np.random.Generator
) -> list[Pair]:
    """Those to be asked now: known orders spread over the new ones, and first what got no answer last time."""
    from robot_rl.rewards.preference_pairs import choose_pairs, gold_pair

    question, settled = store.question, store.settled()
    again = {x.pair.id: x.pair for x in store.labelled if x.pair.id not in settled}
    have = {x.pair.id for x in store.labelled if not x.pair.gold} & settled
    new = max(a.pairs - len(have) - sum(not pair.gold for pair in again.values()), 0)
    clips, features = recordings.clips(a.per_episode, question.frames, question.stride, rng)
    scores = None if a.reward is None else _scores(a.reward, recordings, clips)
    asked = frozenset(settled | set(again))
    chosen = choose_pairs(clips, features, new, rng, scores=scores, asked=asked) if new else []
    known = [
        pair
        for facts in recordings.episodes.values()
        if facts.success and (pair := gold_pair(facts.episode_id, facts.steps, frames=question.frames,
                                                stride=question.stride)) is not None
    ]  # fmt: skip
    wanted = max(LEAST_GOLD, round(a.gold * a.pairs)) if a.gold > 0 and chosen else 0
    done = sum(pair.id in asked for pair in known)
    gold = [pair for pair in known if pair.id not in asked][: max(wanted - done, 0)]
    if wanted and not known:
        print("no recorded success: there is no pair with a known order that would test whoever answers")
    return [*again.values(), *_mixed(chosen, gold)]


def _mixed(pairs: Sequence[Pair], gold: Sequence[Pair]) -> list[Pair]:
    """Known orders spread evenly over the first half, where they can still save the rest."""
    every = max(len(pairs) // (2 * len(gold)), 1) if gold else 0
    out, left = [], list(gold)
    for i, pair in enumerate(pairs):
        if left and i % every == 0:
            out.append(left.pop(0))
        out.append(pair)
    return out + left


def _scores(
    model: Path, recordings: Recordings, clips: Sequence[object]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Reward of each clip by each member of a preference model's ensemble."""
    import numpy as np

    from robot_rl.rewards.model_file import load_reward_model
    from robot_rl.rewards.preference_model import PreferenceReward

    scorer = load_reward_model(model)
    try:
        if not isinstance(scorer, PreferenceReward):
            raise ConfigError(f"{model} is of the kind {scorer.info.kind}: pairs are chosen by a preference model")
        rows = [scorer.rewards(recordings.pictures(clip)).mean(axis=1) for clip in clips]  # type: ignore[arg-type]
    finally:
        scorer.close()
    return np.stack(rows, axis=1).astype(np.float32)


def _labeler(a: LabelPrefsArguments, budget: Budget, recordings: Recordings) -> Labeler:
    from robot_rl.rewards.labeler_cache import AnswerCache

    if a.labeler == "oracle":
        from robot_rl.rewards.labeler_oracle import OracleLabeler

        return OracleLabeler(recordings.scorer(a.score), a.error_rate, seed=a.seed)
    if a.labeler == "person":
        from robot_rl.rewards.labeler_page import PageLabeler
        from robot_rl.runtime.attend.place import socket_of_questions

        page = PageLabeler(a.port, a.by or getpass.getuser(), socket_of_questions())
        print(f"answer in the console, tab Preferences, or open in a browser: {page.url}", flush=True)
        return page
    cache = AnswerCache(a.out / "cache.jsonl")
    if a.labeler == "local":
        from robot_rl.rewards.labeler_local import LocalLabeler

        return LocalLabeler(Path(a.model), cache, budget)
    from robot_rl.rewards.labeler_http import Endpoint, HttpLabeler

    endpoint = Endpoint(
        a.base_url,
        a.model,
        key_variable=a.key_variable,
        send_pictures_to=a.send_pictures_to,
        timeout_s=a.timeout_s,
        retries=a.retries,
        parallel=a.parallel,
    )
    return HttpLabeler(endpoint, cache, budget)


def _unclear(tally: Tally) -> int:
    return tally.done - tally.outcomes["first"] - tally.outcomes["second"]


def _say(store: PreferenceStore, tally: Tally, usd: float) -> None:
    from robot_rl.rewards.preference_page import facts

    rows = facts(store.labelled, usd)
    if tally.first_twice:
        rows.append(("of those inconsistent, the first twice", str(tally.first_twice)))
    width = max(len(name) for name, _ in rows)
    print(f"{len(store.usable())} preferences in {store.folder}, {tally.done} pairs asked this time")
    print("\n".join(f"  {name:<{width}}  {value}" for name, value in rows))
