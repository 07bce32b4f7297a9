"""What only fits together in a run's configuration, as far as algorithm, judges and take-overs are concerned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from robot_rl.core.errors import ConfigError

if TYPE_CHECKING:
    from robot_rl.runtime.config import TrainConfig


def check_algorithm(config: TrainConfig) -> None:
    """Check that the algorithm has something to learn from, and what it needs.

    Raises:
        ConfigError: it has not; says what to do.
    """
    if config.env_steps == 0 and (config.algorithm == "rlpd" or not config.pace.warmup_updates):
        raise ConfigError(
            "env_steps is 0, so nothing would act: that is for --algorithm bc, iql or calql with "
            "--pace.warmup-updates above 0"
        )
    if config.algorithm in ("iql", "calql") and config.agent.gripper_critic:
        raise ConfigError(f"the actor of {config.algorithm} commands the gripper too: add --agent.no-gripper-critic")
    if config.demos.relabel_only and config.env_steps:
        raise ConfigError("demos.relabel_only is for learning from recorded episodes alone: add --env-steps 0")
    if config.algorithm == "bc" and config.interventions.corrections_in == "online":
        raise ConfigError("--algorithm bc clones what operators do: leave interventions.corrections_in at both")


def check_judges(config: TrainConfig) -> None:
    """Check that both tasks of a pair have a classifier or neither, and that no classifier is left over.

    Raises:
        ConfigError: one is missing, or has nothing to judge.
    """
    own, other = config.detector.model, config.detector.pair
    if other is not None and not config.pair:
        raise ConfigError("--detector.pair judges the other task of --pair, and there is none: leave it out")
    if config.pair and (own is None) != (other is None):
        missing, task = ("pair", config.pair) if other is None else ("model", config.task)
        raise ConfigError(
            f"--pair is judged by two classifiers or by none: give that of {task}, too, with --detector.{missing} MODEL"
        )


def check_takeover_range(config: TrainConfig) -> None:
    """Check that charges before take-overs are not clipped: at most the penalty comes at every step for ever.

    Raises:
        ConfigError: they would be; says how to widen the range.
    """
    how, agent = config.interventions, config.agent
    if config.algorithm == "bc" or how.before_s * how.before_reward == 0.0 or agent.q_range is None:
        return
    lowest = how.before_reward / (1.0 - agent.gamma) if agent.gamma < 1.0 else -math.inf
    if agent.q_range[0] > 0.99 * lowest:
        low, high = f"{lowest:.3g}", f"{agent.q_range[1]:g}"
        wider = "None" if agent.gamma == 1.0 else f"{low} {high}"
        raise ConfigError(
            f"targets are clipped at {agent.q_range[0]:g}, where charges before take-overs would be lost: add "
            f"--agent.q-range {wider}, which holds before_reward at every step for ever"
        )


def check_base(config: TrainConfig) -> None:
    """Check that there is a base policy exactly where one is built on, and that it can be.

    Raises:
        ConfigError: it is missing, left over, or the settings do not fit; says what to do.
    """
    builds = config.algorithm in ("edit", "noise")
    if not builds and config.base.path:
        raise ConfigError(
            f"--base is corrected by --algorithm edit or noise, not by {config.algorithm}: choose one, or leave it out"
        )
    if not builds:
        return
    if not config.base.path:
        raise ConfigError(f"--algorithm {config.algorithm} needs a base policy: give --base PATH, see robot-rl bc")
    if config.algorithm == "edit" and config.pace.random_steps:
        raise ConfigError("the base acts first, not chance: leave pace.random_steps at 0")
    if config.pair:
        raise ConfigError("--pair trains two policies, and a base is of one task: leave out one of them")
    if config.process.on:
        raise ConfigError(f"--algorithm {config.algorithm} has no use for a process reward: leave it at none")
    if config.algorithm == "noise":
        if config.base.proposals != 1:
            raise ConfigError("--algorithm noise has one proposal, that of the noise: leave base.proposals at 1")
        return
    edit = config.edit
    if edit.select == "first" and config.base.proposals > 1:
        raise ConfigError(
            f"base.proposals is {config.base.proposals}, but edit.select is first: select by argmax, or ask for one"
        )
    if edit.chunk > config.agent.n_step:
        raise ConfigError(
            f"agent.n_step is {config.agent.n_step}, but values are of chunks of {edit.chunk} actions: add "
            f"--agent.n-step {edit.chunk}"
        )
    if config.pictures.on:
        raise ConfigError("edits of a base are learnt from states and its proposals: leave out --pictures.cameras")
