"""``robot-rl report RUN``: one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from robot_rl.cli.arguments import parse


@dataclass(frozen=True)
class ReportArguments:
    """Write report.html into a run folder: curves, evaluations, settings, video.

    Attributes:
        run: run folder, also one that is still training or was stopped.
    """

    run: Annotated[Path, tyro.conf.Positional]


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    arguments: ReportArguments = parse(ReportArguments, argv, verb="report")
    from robot_rl.evaluation.report import write_report

    print(write_report(arguments.run))
    return 0
