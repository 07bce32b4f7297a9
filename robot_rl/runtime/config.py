"""Everything a training run is told, as one frozen dataclass that is written beside its results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EditConfig, NoiseConfig
from robot_rl.agents.offline_config import CalqlConfig, IqlConfig
from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.config import Range, check_ranges, to_dict
from robot_rl.core.crops import CROPS, Crop, check_crops
from robot_rl.core.errors import ConfigError
from robot_rl.core.imperfections import IMPERFECTIONS, Imperfections, env_options
from robot_rl.core.randomisation import RANDOMISE, Randomisation
from robot_rl.rewards.detector_config import DetectorConfig
from robot_rl.rewards.process import reachable
from robot_rl.rewards.process_config import ProcessConfig
from robot_rl.runtime.advisor import AdvisorConfig
from robot_rl.runtime.base_config import BaseConfig, BaseUse, base_use
from robot_rl.runtime.config_checks import check_algorithm, check_base, check_judges, check_takeover_range
from robot_rl.runtime.pictures import PictureConfig

Option = bool | int | float | str
AlgorithmOptions = IqlConfig | CalqlConfig | EditConfig


@dataclass(frozen=True)
class DemoConfig:
    """Demonstrations the learner starts from.

    Attributes:
        n: successful demonstrations recorded from the scripted expert, in simulation, before training; 0 for none.
        dir: folder of recorded episodes to use instead; then `n` does not matter.
        share: part of every minibatch drawn from demonstrations and operator steps, 0.5 in RLPD
            (Ball et al. 2023, arXiv:2302.02948, section 4.1).
        relabel: name of what ``robot-rl reward relabel`` wrote beside the episodes of `dir`, to be learnt from in place
            of that component of what was recorded; empty for none.
        relabel_only: nothing else is rewarded, not even success: a return is the discounted mean of what the relabels
            say of the steps to come, where an episode that terminated stays as it ended.
        capacity: frames of room for demonstrations.
    """

    n: Annotated[int, Range(0, 10_000)] = 20
    dir: Path | None = None
    share: Annotated[float, Range(0.0, 1.0)] = 0.5
    relabel: str = ""
    relabel_only: bool = False
    capacity: Annotated[int, Range(0)] = 20_000

    def __post_init__(self) -> None:
        """Check the ranges, and that there is something to relabel.

        Raises:
            ConfigError: relabels are asked for without the episodes that they are of, or the other way round.
        """
        check_ranges(self)
        if self.relabel and self.dir is None:
            raise ConfigError(f"demos.relabel is {self.relabel}: give the folder that was relabelled with --demos DIR")
        if self.relabel_only and not self.relabel:
            raise ConfigError("demos.relabel_only rewards what relabels say alone: name them with --demos.relabel")


@dataclass(frozen=True)
class EvalConfig:
    """Evaluation: deterministic policy, fixed initial states, no help.

    Attributes:
        every: environment steps between evaluations during training, which are made in simulation wherever the run
            acts; 0 for none.
        episodes: episodes of each evaluation during training.
        validation_seed: base of the initial states of these; none of them occurs in the evaluation at the end, which
            would otherwise flatter a checkpoint chosen by them.
        final_episodes: episodes of the evaluation at the end, on the cell of the run; 0 for none.
        seed: base of the initial states, the same for every run so that runs compare.
        checkpoint: which checkpoint the evaluation at the end uses: the last, or the one that did best in
            evaluations during training (the last, if there were none).
    """

    every: Annotated[int, Range(0)] = 1000
    episodes: Annotated[int, Range(1)] = 40
    validation_seed: Annotated[int, Range(0)] = 1_000_000
    final_episodes: Annotated[int, Range(0)] = 100
    seed: Annotated[int, Range(0)] = 10_000
    checkpoint: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class PaceConfig:
    """How acting and learning keep step. UTD is the number of critic gradient steps per environment step.

    Attributes:
        env_steps_per_update: environment steps for each update call of ``agent.utd`` gradient steps, so
            the target UTD is ``agent.utd / env_steps_per_update``.
        utd_floor: the least UTD, as a multiple of the target: an actor waits when less has been learned, an arm that
            moves in real time holding where it is. 1 keeps the target; 0.5 lets a real robot, which should not stand
            still, go on at half of it; 0 never waits.
        utd_cap: the most UTD, as a multiple of the target: with two processes a learner with nothing else to do goes
            on up to it, for example while the robot resets. 1 never exceeds the target.
        learning_starts: environment steps before the first update.
        random_steps: first environment steps with uniformly random actions instead of the policy's.
        slack: environment steps the floor may be undercut by before actors wait, at least 4.
        publish_every: update calls between two releases of parameters to the actor.
        warmup_updates: update calls on demonstrations before the first environment step: of the critics alone, or of
            the policy where it is cloned.
        max_policy_age_s: an actor whose parameters are older reports it, seconds.
        pause_when_stale: it then also finishes its episode and holds until fresh parameters arrive.
    """

    env_steps_per_update: Annotated[int, Range(1, 1000)] = 1
    utd_floor: Annotated[float, Range(0.0, 1.0)] = 1.0
    utd_cap: Annotated[float, Range(1.0, 100.0)] = 1.0
    learning_starts: Annotated[int, Range(1)] = 300
    random_steps: Annotated[int, Range(0)] = 0
    slack: Annotated[int, Range(4)] = 50
    publish_every: Annotated[int, Range(1)] = 10
    warmup_updates: Annotated[int, Range(0)] = 0
    max_policy_age_s: Annotated[float, Range(0.1)] = 60.0
    pause_when_stale: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class InterventionConfig:
    """What is made of steps in which an operator was in command, and of the policy's steps before them.

    Sources: [HIL] Luo et al. 2024, arXiv 2410.21845, and its released code; [SERL] Luo et al. 2024, arXiv 2401.16013.

    Attributes:
        corrections_in: ``both`` draws operator steps in the demonstration share as well as with the rest of their
            episode [HIL]; ``online`` only with the rest [SERL].
        before_s: the policy's own steps in this time before each take-over are charged `before_reward` each, as soon as
            the take-over is seen, seconds; 0 charges nothing. Work of 2026 that does so uses 1 to 2 s: a person takes
            over because of what the policy did before, which a sparse reward does not say.
        before_reward: charge of one such step, a reward component of its own that is not logged. Small beside the 1 of
            success: 15 steps of -0.05 take about 0.6 off a return discounted by 0.97.
        recency_half_life_steps: age in environment steps at which a step is drawn half as often in the online share as
            the newest; None draws uniformly [HIL, SERL]. Demonstrations and the share that they are in do not age.
    """

    corrections_in: Literal["both", "online"] = "both"
    before_s: Annotated[float, Range(0.0, 10.0)] = 0.0
    before_reward: Annotated[float, Range(-1.0, 0.0)] = -0.05
    recency_half_life_steps: Annotated[float | None, Range(1.0)] = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        task: id of the task; ``robot-rl tasks`` lists them.
        task_options: options of the task, for example ``clearance_mm=0.5``.
        cell: where actors act and the policy is evaluated at the end: ``sim`` simulates in the actor's own process,
            ``ros`` as ROS 2 nodes in real time; otherwise another bundled cell, or the path of a cell's YAML on the
            machine of the actor. A simulated cell that does not run is started.
        imperfections: latency, loss and noise of the simulated devices, off by default; ``--imperfections franka`` is a
            preset. Those of another cell than ``sim`` are in its YAML.
        randomise: how far the simulated scene looks different from episode to episode, off by default;
            ``--randomise lab`` is a preset. Only for the cell ``sim``.
        crops: left, top, width, height by camera: the part of its picture, taken as 640 x 480 pixels, that its
            pictures show; ``robot-rl crop`` finds them. Those of another cell than ``sim`` are in its YAML.
        advisor: when the operator is told to take over or to hand back, and how many minutes were agreed.
        pictures: those that the policy is learnt from, none by default.
        cameras: names of those whose pictures are shown to whoever watches the actor; they are not learnt from.
        seed: of everything random; two lock-step runs with the same seed are bit-identical.
        pair: id of a task that undoes this one, to train both on one robot that nobody resets; each has a learner and
            a run folder, one actor acts for both, and ``env_steps`` is their mean. Empty for none.
        env_steps: environment steps to train for (10 per second of robot time by default); 0 leaves it at what
            ``pace.warmup_updates`` make of the demonstrations.
        corrections: ``scripted`` lets the scripted stand-in for a person take over when progress stalls.
        lockstep: one deterministic process instead of an actor and a learner process.
        algorithm: ``rlpd`` reinforces; ``bc`` clones demonstrations and operator steps alone, which with corrections is
            HG-DAgger (Kelly et al. 2019, arXiv 1810.02890). It acts without exploring, and has no use for the rewards.
            ``iql`` and ``calql`` learn from recorded episodes of any quality, failures included, in
            ``pace.warmup_updates``, and go on from there if there are environment steps. ``edit`` corrects or chooses
            among what the base proposes; ``noise`` reinforces the noise that the base decodes (DSRL).
        demos: demonstrations to start from.
        interventions: what is made of corrections.
        process: a dense reward for progress beside success, off by default.
        detector: a success classifier that decides in place of the task's rules, none by default.
        agent: networks and hyper-parameters of the algorithm.
        iql: what implicit Q-learning has beside it.
        calql: what calibrated conservative Q-learning has beside it.
        base: frozen policy that ``edit`` and ``noise`` build on.
        edit: what is proposed and selected on top of it.
        noise: how the base is steered.
        pace: how acting and learning keep step.
        evaluation: what is evaluated, and when.
        capacity: frames the replay buffer holds besides the demonstrations.
        checkpoint_every: environment steps between checkpoints.
        keep_checkpoints: newest checkpoints kept, besides the best.
        out_dir: where run folders are made.
        actors: actors to start on this machine; 0 if all of them run elsewhere. Lock-step has one, and so has a cell
            that is not simulated in the actor's own process.
        listen: address such as ``tcp://0.0.0.0:5555`` where actors on other machines may join; empty for none.
        keys: folder of keys, made by ``robot-rl keys``; needed to listen on anything but 127.0.0.1.
        report: write ``report.html`` at the end.
    """

    task: str = "PickCube"
    task_options: dict[str, Option] = field(default_factory=dict)
    cell: str = IN_PROCESS
    pictures: PictureConfig = field(default_factory=PictureConfig)
    cameras: tuple[str, ...] = ()
    advisor: AdvisorConfig = field(default_factory=AdvisorConfig)
    imperfections: Imperfections = field(default_factory=Imperfections)
    randomise: Randomisation = field(default_factory=Randomisation)
    crops: dict[str, Crop] = field(default_factory=dict)
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0
    pair: str = ""
    env_steps: Annotated[int, Range(0)] = 10_000
    corrections: Literal["none", "scripted"] = "none"
    lockstep: bool = False
    algorithm: Literal["rlpd", "bc", "iql", "calql", "edit", "noise"] = "rlpd"
    demos: DemoConfig = field(default_factory=DemoConfig)
    interventions: InterventionConfig = field(default_factory=InterventionConfig)
    process: ProcessConfig = field(default_factory=ProcessConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    agent: SacConfig = field(default_factory=SacConfig)
    iql: IqlConfig = field(default_factory=IqlConfig)
    calql: CalqlConfig = field(default_factory=CalqlConfig)
    base: BaseConfig = field(default_factory=BaseConfig)
    edit: EditConfig = field(default_factory=EditConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    pace: PaceConfig = field(default_factory=PaceConfig)
    evaluation: EvalConfig = field(default_factory=EvalConfig)
    capacity: Annotated[int, Range(100)] = 200_000
    checkpoint_every: Annotated[int, Range(1)] = 5_000
    keep_checkpoints: Annotated[int, Range(1)] = 3
    out_dir: Path = Path("runs")
    actors: Annotated[int, Range(0, 64)] = 1
    listen: str = ""
    keys: Path | None = None
    report: bool = True

    def __post_init__(self) -> None:
        """Check the ranges, and what only fits together.

        Raises:
            ConfigError: a value is out of range, targets would be clipped to less than the rewards come to, or the
                algorithm would have nothing to learn from.
        """
        check_ranges(self)
        check_algorithm(self)
        check_base(self)
        check_judges(self)
        check_takeover_range(self)
        self._check_process()
        if self.task_options.get("dense_reward") and self.agent.q_range is not None:
            raise ConfigError(
                "dense_reward pays before success too: add --agent.q-range None, which stops clipping to [0, 1]"
            )
        for name, example in ((IMPERFECTIONS, " franka"), (RANDOMISE, " lab"), (CROPS, " CAMERA LEFT TOP W H")):
            if name in self.task_options:
                raise ConfigError(f"{name} is no option of the task: use --{name}{example}")
        check_crops(self.crops)

    def _check_process(self) -> None:
        """Values shift by the process reward, and must not be clipped to what success alone can pay."""
        process, agent = self.process, self.agent
        if not process.on:
            return
        other = self.algorithm != "rlpd"
        if other or self.pair or self.task_options.get("dense_reward"):
            what = f"--algorithm {self.algorithm}" if other else "--pair" if self.pair else "dense_reward"
            raise ConfigError(f"{what} has no use for a process reward: leave process.form at none, or take it away")
        if agent.q_range is None:
            return
        how = self.interventions
        charge = how.before_reward / (1.0 - agent.gamma) if how.before_s > 0.0 and agent.gamma < 1.0 else 0.0
        low, high = (process.beta * bound for bound in reachable(process.shaping(agent.gamma)))
        low, high = low + charge, high + 1.0
        if agent.q_range[0] > 0.99 * low or agent.q_range[1] < 0.99 * high:
            raise ConfigError(
                f"targets are clipped to [{agent.q_range[0]:g}, {agent.q_range[1]:g}], where the process reward "
                f"{process.form} of weight {process.beta:g} would be lost: add --agent.q-range {low:.4g} {high:.4g}"
            )

    @property
    def env_options(self) -> dict[str, Any]:
        """What `robot_rl.envs.make_env` is told beside the task, as plain data."""
        names = ("imperfections", "randomise", "crops", "pictures")
        sections = {name: getattr(self, name) for name in names}
        return env_options({"task_options": self.task_options, **to_dict(sections)})

    @property
    def algorithm_options(self) -> AlgorithmOptions | None:
        """What the algorithm has beside `agent`."""
        own: dict[str, AlgorithmOptions] = {"iql": self.iql, "calql": self.calql, "edit": self.edit}
        return own.get(self.algorithm)

    @property
    def base_use(self) -> BaseUse | None:
        """How the policy uses its base, if it has one."""
        return base_use(self.base, self.algorithm, self.edit.chunk, self.noise.bound)

    @property
    def target_utd(self) -> float:
        """Critic gradient steps per environment step after `PaceConfig.learning_starts`."""
        return self.agent.utd / self.pace.env_steps_per_update
