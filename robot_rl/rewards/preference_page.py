"""One HTML page about a folder of preferences: counts, costs, and the pairs on which no two answers agreed."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from robot_rl.core.errors import DataError
from robot_rl.data.append_file import storage_error
from robot_rl.rewards.labelers import data_uri
from robot_rl.rewards.preference_frames import Recordings
from robot_rl.rewards.preferences import (
    INCONSISTENT,
    NONSENSE,
    OUTCOMES,
    REFUSED,
    Labelled,
    PreferenceStore,
    gold_score,
)

SHOWN_AT_MOST = 40
_STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#1b2330}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #d5dae2;text-align:right}
td:first-child,th:first-child{text-align:left}
section{display:grid;grid-template-columns:1fr 1fr;gap:.6rem;margin:1rem 0;border-top:2px solid #d5dae2}
section{padding-top:.6rem}section p{grid-column:1/3;margin:0}img{width:100%;display:block}"""


def disagreements(labelled: Sequence[Labelled]) -> list[Labelled]:
    """What a person should look at: known orders that were missed, inconsistent answers, refusals and nonsense."""
    missed = [x for x in labelled if x.right is False]
    return missed + [x for kind in (INCONSISTENT, REFUSED, NONSENSE) for x in labelled if x.answer.outcome == kind]


def write_page(store: PreferenceStore, recordings: Recordings, path: Path, *, usd: float | None = None) -> Path:
    """Write the page, pictures included.

    Args:
        store: the preferences.
        recordings: that the clips were taken from.
        path: of the page.
        usd: what was spent; None leaves it out.

    Raises:
        StorageError: the disk refuses.
    """
    shown = disagreements(store.labelled)
    parts = [
        f"<!doctype html><meta charset='utf-8'><title>Preferences</title><style>{_STYLE}</style>",
        f"<h1>Preferences</h1><p>Goal: {html.escape(store.question.goal)}</p>",
        _table(store.labelled, usd),
        f"<h2>Disagreements</h2><p>{len(shown)} pairs, {min(len(shown), SHOWN_AT_MOST)} of them shown.</p>",
        *(_pair(x, store, recordings) for x in shown[:SHOWN_AT_MOST]),
    ]
    try:
        path.write_text("\n".join(parts), encoding="utf-8")
    except OSError as e:
        raise storage_error("write", path, e) from e
    return path


def facts(labelled: Sequence[Labelled], usd: float | None = None) -> list[tuple[str, str]]:
    """Counts and costs of a folder, named."""
    counts = Counter(x.answer.outcome for x in labelled)
    right, gold = gold_score(labelled)
    seconds = sorted(x.answer.seconds for x in labelled)
    rows = [(name, str(counts[name])) for name in OUTCOMES if counts[name]]
    rows += [
        ("known orders found", f"{right} of {gold}"),
        ("calls", str(sum(x.answer.calls for x in labelled))),
        ("tokens read, written", f"{sum(x.answer.tokens_in for x in labelled)}, "
         f"{sum(x.answer.tokens_out for x in labelled)}"),
        ("seconds for a pair, median", f"{seconds[len(seconds) // 2]:.2f}" if seconds else "-"),
    ]  # fmt: skip
    return rows if usd is None else [*rows, ("spent this time", f"{usd:.4f} USD")]


def _table(labelled: Sequence[Labelled], usd: float | None) -> str:
    rows = "".join(f"<tr><td>{html.escape(a)}<td>{html.escape(b)}" for a, b in facts(labelled, usd))
    return f"<table><tr><th>answer<th>pairs{rows}</table>"


def _pair(x: Labelled, store: PreferenceStore, recordings: Recordings) -> str:
    kind = f"known order missed: {x.answer.outcome}" if x.right is False else x.answer.outcome
    said = f"<p><b>{html.escape(kind)}</b> by {html.escape(x.by)}: {html.escape(x.answer.why)}</p>"
    try:
        shown = recordings.show(x.pair, store.question)
    except DataError as e:
        return f"<section>{said}<p>{html.escape(str(e))}</p></section>"
    sides = ["".join(f'<img alt="" src="{data_uri(image)}">' for image in clip) for clip in (shown.first, shown.second)]
    return f"<section>{said}<div>{sides[0]}</div><div>{sides[1]}</div></section>"
