"""Hyper-parameters of agents that propose and select on top of a frozen base policy. Loads no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError


@dataclass(frozen=True)
class EditConfig:
    """What is proposed in a state, and which of it is done: the same for acting and for the target of the critics.

    Networks, ensemble, discount, window, Polyak step, batch size and the critics' learning rate are those of ``agent``.
    Sources: [ResFiT] Ankile et al. 2025, arXiv 2509.19301; [RLT] 2026, arXiv 2604.23073; [EXPO] Dong et al. 2025, arXiv
    2507.07986; [IBRL] Hu et al. 2023, arXiv 2311.02198; [QC] Li et al. 2025, arXiv 2507.07969; [PD] Yuan et al. 2024,
    arXiv 2412.13630; [TD3] Fujimoto et al. 2018, arXiv 1802.09477.

    Attributes:
        chunk: steps decided at a time, h: critics value h actions together, and all of them are done before the next
            decision unless somebody takes over [QC: 5, RLT: 10 at 50 Hz]. `SacConfig.n_step` must be at least as long.
        actor: what the actor makes: ``edit`` changes each proposal of the base by at most `scale` [ResFiT, EXPO, RLT];
            ``free`` proposes an action of its own [IBRL]; ``none`` leaves it to choosing among the base's [QC].
        scale: greatest change of one action value, whose range is [-1, 1] [ResFiT: 0.1 to 0.2; PD: 0.03 to 0.5]. What
            an edit cannot reach it cannot mend: here actions are small motions, and 0.2 learns more slowly than 0.5.
        bases: whether the base's own proposals are candidates beside the actor's [EXPO, IBRL, QC].
        select: which candidate is done: the ``first``, the actor's change of the base's first proposal; the one with
            the greatest value, ``argmax``; or one drawn with chances that grow with it, ``softmax`` [IBRL section 4.2].
        softmax_temperature: of ``softmax``, in units of value.
        reference_dropout: share of rows in which the actor does not see the base's proposal while it is trained, so
            that it does not merely copy [RLT: 0.5]; the change is added to the proposal all the same.
        anchor: weight of the squared distance, mean over the values of a chunk, to the base's proposal, or to what was
            done where a person or a demonstration acted [RLT: 5 beside Q of weight 0.1].
        normalise_q: divide the values in the actor's loss by the mean of their magnitude, so that `anchor` means the
            same for any reward [TD3+BC, arXiv 2106.06860].
        sigma: None for an actor that learns how widely to explore, as soft actor-critic does [EXPO]; else the standard
            deviation of the exploration around its action [ResFiT: 0.025 to 0.05], which is added in the target too,
            there clipped at twice that [TD3].
        critic_sees_base: the critics see the base's first proposal, too: what a plan that is being followed will do
            next is part of the state.
        critic_only_steps: environment steps after `PaceConfig.learning_starts` in which the critics learn and the base
            acts, with changes drawn uniformly from all that an edit may make, as before [ResFiT: 10,000; WSRL's
            warm-up, arXiv 2412.07762, for the same reason].
        lr_actor: Adam step of the actor [ResFiT: 1e-6 to 5e-6 with images].
    """

    chunk: Annotated[int, Range(1, 64)] = 1
    actor: Literal["edit", "free", "none"] = "edit"
    scale: Annotated[float, Range(0.0, 2.0)] = 0.5
    bases: bool = False
    select: Literal["first", "argmax", "softmax"] = "first"
    softmax_temperature: Annotated[float, Range(1e-4, 10.0)] = 0.05
    reference_dropout: Annotated[float, Range(0.0, 1.0)] = 0.5
    anchor: Annotated[float, Range(0.0, 1000.0)] = 0.1
    normalise_q: bool = False
    sigma: Annotated[float | None, Range(0.0, 1.0)] = None
    critic_sees_base: bool = True
    critic_only_steps: Annotated[int, Range(0)] = 1000
    lr_actor: Annotated[float, Range(1e-8, 1.0)] = 3e-4

    def __post_init__(self) -> None:
        """Check the ranges, and that there is something to choose.

        Raises:
            ConfigError: a value is out of range, or nothing would be proposed.
        """
        check_ranges(self)
        if self.actor == "none" and not self.bases:
            raise ConfigError("edit.actor is none, so only the base's proposals are left: add --edit.bases")
        if self.actor == "none" and self.select == "first":
            raise ConfigError("edit.actor is none and edit.select is first, which is the base alone: select by argmax")


@dataclass(frozen=True)
class NoiseConfig:
    """Steering a base by the noise that it decodes (DSRL, Wagenmaker et al. 2025, arXiv 2506.15799).

    Soft actor-critic, as ``agent`` has it, whose action is the noise; the environment decodes it. One vector of noise
    is repeated over all steps of the base's plan, as in the paper's real-robot runs, and a plan is made at every step,
    where the paper follows one for 4 steps or more.

    Attributes:
        bound: greatest magnitude of a noise value; beyond 2.5 a base was never asked to decode it [paper: 1.5].
    """

    bound: Annotated[float, Range(0.1, 5.0)] = 1.5

    def __post_init__(self) -> None:
        """Check the range."""
        check_ranges(self)


EDIT_PRESETS: Mapping[str, EditConfig] = {
    "edit": EditConfig(),
    "resfit": EditConfig(
        scale=0.2, reference_dropout=0.0, anchor=0.0, sigma=0.05, critic_sees_base=False, lr_actor=1e-5
    ),
    "rlt": EditConfig(chunk=3, sigma=0.02, anchor=1.0, normalise_q=True),
    "expo": EditConfig(bases=True, select="argmax", anchor=0.0),
    "ibrl": EditConfig(actor="free", bases=True, select="argmax", reference_dropout=1.0, anchor=0.0, sigma=0.1),
    "qc": EditConfig(chunk=3, actor="none", bases=True, select="argmax"),
}
"""Published methods as settings of the one agent, at the control rate of 10 Hz; ``edit`` is the default."""
