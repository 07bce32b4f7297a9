"""``robot-rl compare LABEL=RUN...``: curves and a table of several runs, seeds of one label together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError


@dataclass(frozen=True)
class CompareArguments:
    """Compare groups of runs: success against environment steps and robot minutes, help, final evaluations.

    Attributes:
        runs: LABEL=RUN for each run; runs with the same label are seeds of the same thing. RUN may also be a folder of
            runs, such as runs/PickCube.
        out: folder for the figure, the data behind it and the table.
        title: of the figure and the page.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    out: Path
    title: str = "Comparison"


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    arguments: CompareArguments = parse(CompareArguments, argv, verb="compare")
    groups = grouped(arguments.runs)
    from robot_rl.evaluation.compare import compare

    for file in compare(groups, arguments.out, arguments.title).files:
        print(file)
    return 0


def grouped(pairs: Sequence[str]) -> dict[str, list[Path]]:
    """Run folders by label.

    Raises:
        ConfigError: an argument is not LABEL=RUN, or there is no run.
    """
    groups: dict[str, list[Path]] = {}
    for pair in pairs:
        label, sep, text = pair.partition("=")
        if not (label and sep and text):
            raise ConfigError(f"got {pair!r}, expected LABEL=RUN, for example corrections=runs/PegInsert")
        path = Path(text)
        found = [path] if (path / "run.json").is_file() else sorted(p.parent for p in path.glob("*/run.json"))
        if not found:
            raise ConfigError(f"there is no run at {path}")
        groups.setdefault(label, []).extend(found)
    return groups
