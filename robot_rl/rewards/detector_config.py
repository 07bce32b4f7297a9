"""What a run is told about who decides on success."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from robot_rl.core.config import Range, check_ranges


@dataclass(frozen=True)
class DetectorConfig:
    """A success classifier in the place of the task's own rules.

    Evaluations in simulation are judged by the rules all the same, and training says beside each step what they said,
    where the cell knows its objects: the report shows how far the two part.

    Attributes:
        model: folder of the model, see ``robot-rl reward train``; None for the task's rules. On another machine it must
            lie at the same path.
        pair: folder of the model that judges the other task of ``--pair``, which needs one where this task has one.
        unevaluated: let it reward a real robot although nobody has evaluated it on episodes that it had not seen.
        veto_s: how long the arm holds after a success that it sees, where an operator attends, in case he marks
            ``failure``; seconds.
        keep_frames: log the pictures that it looked at, for ``robot-rl reward mine`` and to judge anew later.
    """

    model: Path | None = None
    pair: Path | None = None
    unevaluated: bool = False
    veto_s: Annotated[float, Range(0.0, 30.0)] = 1.0
    keep_frames: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
