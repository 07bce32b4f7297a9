"""Hyper-parameters of the algorithms that learn from stored data, beside those they share with `SacConfig`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from robot_rl.core.config import Range, check_ranges


@dataclass(frozen=True)
class IqlConfig:
    """Implicit Q-learning (Kostrikov, Nair and Levine 2021, arXiv 2110.06169).

    It never asks for the value of an action that the data does not hold. Networks, discount, learning rates, tau and
    batch size are those of ``agent``; the target is the least of all its ``critics``, of which the paper has two.

    Attributes:
        expectile: which expectile of the values of stored actions is a state's value: 0.5 their mean, towards 1 the
            best of them [section 5: 0.7 for locomotion, 0.9 where parts of episodes must be put together].
        temperature: how sharply the policy prefers actions above the state's value: weights are
            ``exp(temperature (Q - V))`` [section 5: 3 to 10 for returns of tens to hundreds]. Returns here lie in
            [0, 1], where advantages are small.
        highest_weight: where these weights are clipped [the released code: 100].
        log_std_min: least log standard deviation of the policy, which is the same in every state [the released code].
        log_std_max: greatest.
        actor_decay_steps: gradient steps over which the actor's learning rate falls to zero along a cosine [the
            released code: all of an offline run]; 0 keeps it.
    """

    expectile: Annotated[float, Range(0.01, 0.999)] = 0.8
    temperature: Annotated[float, Range(0.0, 10_000.0)] = 30.0
    highest_weight: Annotated[float, Range(1.0, 1e6)] = 100.0
    log_std_min: Annotated[float, Range(-20.0, 2.0)] = -5.0
    log_std_max: Annotated[float, Range(-20.0, 2.0)] = 2.0
    actor_decay_steps: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class CalqlConfig:
    """Calibrated conservative Q-learning; the rest is soft actor-critic as ``agent`` has it.

    Sources: [Cal-QL] Nakamoto et al. 2023, arXiv 2303.05479; [CQL] Kumar et al. 2020, arXiv 2006.04779; [WSRL] Zhou et
    al. 2024, arXiv 2412.07762.

    Attributes:
        alpha: weight of the penalty on values of actions that are not in the data [Cal-QL: 5, for rewards of -1 or 10
            a step]. Returns here lie in [0, 1], where a smaller one has the same effect.
        samples: actions drawn of each kind: uniformly, from the policy in the state, and from the policy in the next
            state [CQL appendix F: 10].
        temperature: of the soft maximum over them [CQL: 1].
        calibrate: leave values alone that are below the return of the data [Cal-QL equation 5]; False is CQL.
        return_floor: what a stored episode that was cut is assumed to earn after its end. 0 suits rewards that are
            never negative; else the infinite sum of the least reward, ``r / (1 - gamma)``.
        online: what goes on after warm-up: ``calql`` the same objective [Cal-QL], ``sac`` without the penalty [WSRL].
        keep_demos: False drops the demonstrations once the first step has been acted [WSRL]; steps of operators stay.
    """

    alpha: Annotated[float, Range(0.0, 1000.0)] = 1.0
    samples: Annotated[int, Range(1, 100)] = 10
    temperature: Annotated[float, Range(1e-3, 100.0)] = 1.0
    calibrate: bool = True
    return_floor: float = 0.0
    online: Literal["calql", "sac"] = "calql"
    keep_demos: bool = True

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
