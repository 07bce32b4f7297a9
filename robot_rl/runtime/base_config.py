"""Which frozen base policy a run corrects, and how it is followed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from robot_rl.core.config import Range, check_ranges


@dataclass(frozen=True)
class BaseConfig:
    """A base policy whose plans are corrected, chosen from or steered; the actor asks it, never the learner.

    Attributes:
        path: run folder or checkpoint of ``robot-rl bc``, or the address of somebody else's policy, see
            docs/adapters.md; as seen from where actors act. Empty for none. ``--base PATH`` is short for it.
        proposals: plans made at a time from different noise, all of which are stored; more than one only to select.
        replan_every: steps for which a plan is followed before the next one is asked for. A plan must reach
            ``edit.chunk - 1`` steps further.
    """

    path: str = ""
    proposals: Annotated[int, Range(1, 256)] = 1
    replan_every: Annotated[int, Range(1, 256)] = 8

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class BaseUse:
    """How a policy uses a base.

    Attributes:
        base: which one, and how it is followed.
        lookahead: steps of each plan that the policy sees.
        noise_bound: None if it corrects plans; else it commands their noise, in units of this.
    """

    base: BaseConfig
    lookahead: int = 1
    noise_bound: float | None = None


def base_use(base: BaseConfig, algorithm: str, chunk: int, noise_bound: float) -> BaseUse | None:
    """How the policy of a run uses its base; None without one.

    Args:
        base: of the run.
        algorithm: of the run.
        chunk: steps that it decides at a time.
        noise_bound: of noise steering.
    """
    if not base.path:
        return None
    if algorithm == "noise":
        return BaseUse(replace(base, proposals=1, replan_every=1), noise_bound=noise_bound)
    return BaseUse(base, chunk)
