"""A dataset card as a page of Markdown that also reads well in a terminal of 100 columns."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from robot_rl.core.errors import StorageError
from robot_rl.data.card import Card, Group, make_card
from robot_rl.data.catalog import human_bytes

JSON_FILE, MARKDOWN_FILE = "dataset_card.json", "dataset_card.md"
HEADINGS = ("of", "episodes", "success", "steps", "operator", "minutes", "length", "return", "disk")
WIDTH = 98
NOTES = (
    "TQ is the mean discounted return of the training episodes over that of the demonstrations: 1 is as good as they "
    "are. SACo is the number of different cells that the training episodes visit over that of the demonstrations; a "
    "cell is the tool pose in 1 cm and 5 degrees (the binned state where a state has no tool pose) and the octant of "
    "the executed translation. SACo grows with the number of steps (arXiv 2111.04714). Success counts finished "
    "episodes; the return is discounted from the first step."
)


def write_card(run: Path) -> tuple[Card, Path, Path]:
    """Make the card of a run and write it into the run folder.

    Returns:
        The card, its page in Markdown and its data as JSON.

    Raises:
        ConfigError: there is no run at this path.
        DataError: it holds no episode.
        StorageError: the folder cannot be written.
    """
    card = make_card(run)
    page, data = run / MARKDOWN_FILE, run / JSON_FILE
    try:
        page.write_text(markdown(card), encoding="utf-8")
        data.write_text(json.dumps(card.to_dict(), indent=1), encoding="utf-8")
    except OSError as e:
        raise StorageError(f"cannot write the dataset card into {run}: {e.strerror or e}") from e
    return card, page, data


def markdown(card: Card) -> str:
    """The page."""
    groups = {
        "demonstrations": card.demonstrations,
        "training": card.training,
        "- policy alone": card.unaided,
        "- corrected": card.helped,
    }
    pieces = [
        f"# Dataset of run {card.run_id}: {card.task}",
        _table(groups),
        _measures(card),
        textwrap.fill(NOTES, WIDTH),
        *([_table(card.actors)] if len(card.actors) > 1 else []),
        "\n".join(textwrap.fill(fact, WIDTH, subsequent_indent="  ", break_on_hyphens=False) for fact in _facts(card)),
    ]
    return "\n\n".join(pieces) + "\n"


def _table(groups: Mapping[str, Group]) -> str:
    return markdown_table(HEADINGS, [(name, *_cells(group)) for name, group in groups.items()])


def _cells(group: Group) -> tuple[str, ...]:
    rate = "-" if group.success_rate is None else f"{100 * group.success_rate:.0f} %"
    share = "-" if group.intervention_share is None else f"{100 * group.intervention_share:.1f} %"
    length = "-" if group.length_mean is None else f"{group.length_mean:.1f}"
    value = "-" if group.return_mean is None else f"{group.return_mean:.3f}"
    return (
        str(group.episodes), rate, f"{group.steps:,}", share, f"{group.robot_s / 60:.1f}", length, value,
        human_bytes(group.bytes),
    )  # fmt: skip


def _measures(card: Card) -> str:
    rows = [
        ("TQ", _number(card.tq), f"discount {card.gamma:g}"),
        ("SACo", _number(card.saco), f"{card.cells:,} cells, demonstrations {card.demo_cells:,}"),
        ("log SACo", _number(card.log_saco), ""),
    ]
    return markdown_table(("measure", "value", "from"), rows)


def _facts(card: Card) -> list[str]:
    total = sum(card.steps_by_source.values())
    shares = (f"{name} {n:,} ({100 * n / total:.1f} %)" for name, n in sorted(card.steps_by_source.items()))
    groups = (card.demonstrations, card.training)
    lines = [
        f"- Training steps by source: {', '.join(shares) or 'none'}.",
        f"- Recorded: {_time(card.began_s)} to {_time(card.ended_s)}.",
        f"- On disk: {human_bytes(sum(g.bytes for g in groups))}, demonstrations and training.",
    ]
    unfinished, unreadable = (sum(getattr(g, name) for g in groups) for name in ("unfinished", "unreadable"))
    if unfinished or unreadable:
        lines.append(f"- Left out of rates and means: {unfinished} unfinished and {unreadable} unreadable files.")
    if card.git_commit:
        lines.append(f"- Program: commit {card.git_commit}.")
    for versions, files in card.versions:
        lines.append(f"- {files} files by {', '.join(f'{name} {v}' for name, v in sorted(versions.items()))}.")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _time(unix_s: float | None) -> str:
    return "-" if unix_s is None else datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose source is aligned: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (headings, *rows)) for i in range(len(headings))]

    def line(cells: Sequence[str]) -> str:
        texts = (c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return f"| {' | '.join(texts)} |"

    rule = "|".join(f"-{'-' * w}:" if i else f"-{'-' * w}-" for i, w in enumerate(widths))
    return "\n".join([line(headings), f"|{rule}|", *(line(row) for row in rows)])
