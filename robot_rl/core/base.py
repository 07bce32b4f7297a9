"""A base policy: trained beforehand, frozen, asked for chunks of actions that something else corrects or selects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from robot_rl.core.errors import ConfigError
from robot_rl.core.specs import ACTION_SIZE, Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32


@dataclass(frozen=True)
class BaseInfo:
    """What has to be known of a base policy to ask it.

    Attributes:
        name: for people.
        checksum: of weights, normaliser and sampler; two bases that would ever answer differently have different ones.
        horizon: actions in a proposal, one a control step.
        observations: how many of the newest observations it looks at, at least 1.
        noise_shape: of the noise that one proposal is decoded from, (steps, dimensions); (0, 0) if it has none.
        hz: control rate it was trained for.
        state_checksum: of the state layout it expects; empty if any will do.
        cameras: ``(h, w, 3)`` of the pictures that it looks at, by camera.
    """

    name: str
    checksum: str
    horizon: int
    observations: int = 1
    noise_shape: tuple[int, int] = (0, 0)
    hz: float = 10.0
    state_checksum: str = ""
    cameras: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)


@runtime_checkable
class BasePolicy(Protocol):
    """Observations in, chunks of actions out. A decoder: all its randomness is the noise that it is given."""

    @property
    def info(self) -> BaseInfo:
        """What it is."""
        ...

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        """Proposals for the steps from now on; equal arguments give equal answers, to the bit.

        Args:
            seen: the newest `BaseInfo.observations`, oldest first; at the start of an episode the first is repeated.
            noise: standard normal where the base is to act as it was trained ``float32[n, *noise_shape]``.

        Returns:
            ``float32[n, horizon, 7]`` in [-1, 1].

        Raises:
            DataError: an observation or the noise does not have the shape that `info` asks for.
            DeviceError: a base that runs elsewhere does not answer.
        """
        ...

    def close(self) -> None:
        """Release what it holds. May be called twice."""
        ...


BASE_PLAN = "base_plan"
"""Name of the part of a state that holds what a base policy proposes, see `plan_part`."""


def plan_part(info: BaseInfo, proposals: int, lookahead: int) -> Part:
    """The part that the plans of a base add to a state: `proposals` x `lookahead` x 7 numbers in [-1, 1].

    It names the base, so that states that were planned for by different ones have different layouts, and so have those
    of one proposal of two steps and of two proposals of one.
    """
    frame = f"base {info.checksum}, {proposals} x {lookahead}"
    return Part(BASE_PLAN, proposals * lookahead * ACTION_SIZE, "1", frame=frame)


def split_plan(spec: StateSpec, lookahead: int) -> tuple[int, int]:
    """How many values of a state row come before the plans, and how many proposals there are.

    Raises:
        ConfigError: the layout holds no plans, or they are no multiple of so many steps.
    """
    where = spec.slices.get(BASE_PLAN)
    if where is None or where.stop != spec.size or (where.stop - where.start) % (lookahead * ACTION_SIZE):
        raise ConfigError(
            f"the state layout ends with {', '.join(spec.slices)}, expected {BASE_PLAN} of a multiple of "
            f"{lookahead} x {ACTION_SIZE} values at its end: the run needs a base policy, --base PATH"
        )
    return where.start, (where.stop - where.start) // (lookahead * ACTION_SIZE)
