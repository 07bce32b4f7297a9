"""Every hyper-parameter of the agent in one frozen dataclass, and the presets built from it. Loads no JAX."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from typing import Literal

from robot_rl.agents.vision_config import VisionConfig
from robot_rl.core.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class SacConfig:
    """Soft actor-critic with prior data (RLPD). The defaults are the preset ``laptop``.

    Sources: [SAC] Haarnoja et al. 2018, arXiv 1812.05905; [RLPD] Ball et al. 2023, arXiv 2302.02948; [REDQ] Chen et
    al. 2021, arXiv 2101.05982; [HIL] Luo et al. 2024, arXiv 2410.21845; [SERL] Luo et al. 2024, arXiv 2401.16013.

    Attributes:
        hidden: width of each hidden layer of every network [SAC table 1; RLPD uses three for sparse manipulation].
        activation: after each hidden layer [SAC table 1: relu; SERL: tanh].
        critic_layer_norm: normalise each hidden layer of the critics; keeps Q bounded with demonstrations in the batch
            [RLPD section 4.2].
        actor_layer_norm: the same in the actor [SERL: on; RLPD: off].
        critics: ensemble size E [RLPD: 10; SAC: 2].
        subset: members M drawn without replacement whose minimum is the target [REDQ algorithm 1; RLPD: 2 or 1].
        backup_entropy: put the entropy bonus in the target. Off: with a sparse reward the bonus outweighs it [RLPD
            section 4.3 for sparse tasks; HIL].
        gamma: discount per environment step [HIL: 0.97 at 10 Hz].
        n_step: length of the return windows the sampler builds; `robot_rl.core.transition.Batch` carries the result.
            Three carry a sparse reward back faster than one [DrQ-v2, arXiv 2107.09645, section 3.1: 3; RLPD, HIL: 1].
        tau: Polyak step of the target critics after each critic step [SAC table 1].
        actor_average: share that the acting policy keeps of itself at each actor step; the policy that explores and is
            evaluated is this running average, steadier than the newest iterate from which it would otherwise be
            sampled at random [Polyak and Juditsky 1992; SAC, RLPD, HIL: 0, no average].
        lr_actor: Adam step of the actor [SAC table 1].
        lr_critic: Adam step of the critics [SAC table 1].
        lr_temperature: Adam step of the temperature [SAC table 1].
        lr_gripper: Adam step of the gripper critic [HIL].
        initial_temperature: entropy weight at the start; small, because a sparse return never exceeds 1 [HIL: 0.01].
        temperature_form: how the positive temperature is parametrised [SAC: exp; SERL: softplus].
        temperature_from_next_state: measure the entropy at the next states instead of the states [SERL].
        target_entropy: None means minus half the number of dimensions the continuous actor owns [RLPD; HIL].
        utd: critic steps per update call; one call per environment step makes this the update-to-data ratio
            [RLPD: 20; 2 to 5 suit small machines].
        actor_steps: actor and temperature steps per update call, on the last minibatches [RLPD algorithm 1: 1].
        batch_size: rows per minibatch, half of them demonstrations. Half of RLPD's 256 learns the tasks here as well
            [RLPD table 1; HIL: 256].
        log_std_min: lower bound of the log standard deviation before squashing [SAC: -20; SERL: log 1e-5].
        log_std_max: upper bound [SAC: 2; SERL: log 5].
        q_range: reachable returns; targets are clipped into it and Q values outside it are counted. (0, 1) is right
            for rewards that are 1 once at success and 0 otherwise; a penalty then costs at most all there is to win.
            Use None for dense rewards.
        gripper_critic: choose the gripper command by a discrete critic instead of the continuous actor [HIL].
        gripper_epsilon: chance of a random gripper command while exploring [HIL: 0, which leaves the gripper
            unexplored; Mnih et al. 2015 for the rule].
        vision: the networks on pictures or cached features, where an agent sees any.
    """

    hidden: tuple[int, ...] = (256, 256)
    activation: Literal["relu", "tanh"] = "relu"
    critic_layer_norm: bool = True
    actor_layer_norm: bool = False
    critics: int = 2
    subset: int = 2
    backup_entropy: bool = False
    gamma: float = 0.97
    n_step: int = 3
    tau: float = 0.005
    actor_average: float = 0.995
    lr_actor: float = 3e-4
    lr_critic: float = 3e-4
    lr_temperature: float = 3e-4
    lr_gripper: float = 3e-4
    initial_temperature: float = 0.01
    temperature_form: Literal["exp", "softplus"] = "exp"
    temperature_from_next_state: bool = False
    target_entropy: float | None = None
    utd: int = 4
    actor_steps: int = 1
    batch_size: int = 128
    log_std_min: float = -20.0
    log_std_max: float = 2.0
    q_range: tuple[float, float] | None = (0.0, 1.0)
    gripper_critic: bool = False
    gripper_epsilon: float = 0.05
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming the field, its value and what is allowed.
        """
        _check("hidden", self.hidden, bool(self.hidden) and min(self.hidden, default=0) >= 1, "widths of at least 1")
        for name, allowed in (("activation", ("relu", "tanh")), ("temperature_form", ("exp", "softplus"))):
            if getattr(self, name) not in allowed:
                raise ConfigError(unknown_name(f"SacConfig.{name}", str(getattr(self, name)), allowed))
        for name in ("critics", "subset", "n_step", "utd", "actor_steps", "batch_size"):
            _check(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _check("subset", self.subset, self.subset <= self.critics, f"at most critics={self.critics}")
        _check("actor_steps", self.actor_steps, self.actor_steps <= self.utd, f"at most utd={self.utd}")
        for name in ("lr_actor", "lr_critic", "lr_temperature", "lr_gripper", "initial_temperature"):
            _check(name, getattr(self, name), 0.0 < getattr(self, name) < math.inf, "positive and finite")
        _check("gamma", self.gamma, 0.0 <= self.gamma <= 1.0, "in [0, 1]")
        _check("actor_average", self.actor_average, 0.0 <= self.actor_average < 1.0, "in [0, 1)")
        _check("tau", self.tau, 0.0 < self.tau <= 1.0, "in (0, 1]")
        _check("gripper_epsilon", self.gripper_epsilon, 0.0 <= self.gripper_epsilon <= 1.0, "in [0, 1]")
        _check("log_std_min", self.log_std_min, self.log_std_min < self.log_std_max, f"below {self.log_std_max}")
        if self.q_range is not None:
            _check("q_range", self.q_range, self.q_range[0] < self.q_range[1], "(low, high) with low < high")


def _check(name: str, value: object, ok: bool, expected: str) -> None:
    if not ok:
        raise ConfigError(f"SacConfig.{name} is {value!r}, expected {expected}")


RLPD = SacConfig(
    critics=10,
    subset=2,
    utd=20,
    n_step=1,
    batch_size=256,
    gamma=0.99,
    actor_average=0.0,
    initial_temperature=1.0,
    backup_entropy=False,
)
"""RLPD for sparse manipulation from states (arXiv 2302.02948, table 2), clipped to the reachable returns. Dense
locomotion there also has ``backup_entropy=True`` and needs ``q_range=None``."""

SERL_COMPAT = SacConfig(
    activation="tanh",
    actor_layer_norm=True,
    critics=10,
    subset=2,
    gamma=0.96,
    n_step=1,
    batch_size=256,
    actor_average=0.0,
    initial_temperature=0.01,
    temperature_form="softplus",
    temperature_from_next_state=True,
    utd=4,
    log_std_min=math.log(1e-5),
    log_std_max=math.log(5.0),
    q_range=None,
    gripper_critic=False,
    gripper_epsilon=0.0,
    vision=VisionConfig(bottleneck=256),
)
"""SERL's published settings (arXiv 2401.16013 and its released code): tanh networks with LayerNorm, ten critics with
the minimum over two, four critic steps to one actor step, batch 256, gamma 0.96, softplus temperature from 0.01.

On purpose not reproduced: inputs are normalised here; the subset is drawn without replacement; every member has its own
last layer; networks that are not updated do not move (there, Adam's momentum went on, which enlarges the actor's
effective step about sqrt(5) times: sweep ``lr_actor`` in {3e-4, 4.5e-4, 6.6e-4} before claiming parity); time-outs
bootstrap; the state joins the cameras as it is, without a layer of its own; no dropout."""

HIL_SERL_COMPAT = replace(
    SERL_COMPAT, critics=2, subset=2, gamma=0.97, utd=2, gripper_critic=True, gripper_epsilon=0.0, target_entropy=-3.5
)
"""HIL-SERL's published settings (arXiv 2410.21845 and its released code): as `SERL_COMPAT` with two critics, two critic
steps to one actor step, gamma 0.97 and the greedy gripper critic. Its target entropy counts the gripper too (-3.5
for six motion dimensions). The same exceptions hold."""

PRESETS: dict[str, SacConfig] = {
    "laptop": SacConfig(),
    "rlpd": RLPD,
    "serl_compat": SERL_COMPAT,
    "hil_serl_compat": HIL_SERL_COMPAT,
}
"""Named configurations; ``laptop`` is the default."""


def preset(name: str) -> SacConfig:
    """A configuration by name; ``auto`` means `preset_for_machine`.

    Raises:
        ConfigError: no preset of that name; the message lists the names.
    """
    if name == "auto":
        return preset_for_machine()
    if name not in PRESETS:
        raise ConfigError(unknown_name("preset", name, [*PRESETS, "auto"]))
    return PRESETS[name]


def preset_for_machine(cores: int | None = None, gpu: bool | None = None) -> SacConfig:
    """Ensemble size and update-to-data ratio that the machine can keep up with at 10 Hz or faster.

    Args:
        cores: CPU cores to use; None counts those this process may run on.
        gpu: whether JAX has an accelerator; None asks JAX, which loads it.

    Returns:
        ``laptop`` with a ratio of 2 to 8 that grows with the cores, or with the ensemble of ``rlpd`` and its ratio of
        20 on an accelerator. Nothing else differs between the two.
    """
    if cores is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if gpu is None:
        import jax

        gpu = jax.default_backend() != "cpu"
    if gpu:
        return replace(PRESETS["laptop"], critics=RLPD.critics, subset=RLPD.subset, utd=RLPD.utd)
    return replace(PRESETS["laptop"], utd=min(8, max(2, 2 * cores)))


def describe(config: SacConfig, algorithm: str = "rlpd") -> str:
    """What costs time and decides most, in words: ``2 critics of 256-256, minibatches of 128, 3-step returns``."""
    widths = "-".join(map(str, config.hidden))
    if algorithm == "bc":
        gripper = " and a gripper of its own" if config.gripper_critic else ""
        return f"cloned actor of {widths}{gripper}, minibatches of {config.batch_size}"
    gripper = ", a gripper critic" if config.gripper_critic else ""
    critics = f"{config.critics} critics of {widths}{gripper}"
    return f"{critics}, minibatches of {config.batch_size}, {config.n_step}-step returns"
