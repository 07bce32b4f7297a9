"""A process reward that can be farmed, and what the reward contract makes of it: some runs, or the figure of all.

The model scores how near the tool is to the marker, so it is high while the tool hovers beside it, as similarities of
pictures to a goal are. Its sum pays most for never finishing: an episode ends with success.

    scripts/hacking.py run CONDITION FOLDER SEED...
    scripts/hacking.py figure FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from robot_rl.agents.config import SacConfig
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.data.episode_log import read_episode
from robot_rl.evaluation.figures import PALETTE, STYLE, save_figure
from robot_rl.evaluation.run_record import RunRecord, read_run
from robot_rl.evaluation.stats import rolling_mean
from robot_rl.evaluation.tables import Table, read_table
from robot_rl.rewards.monitor import MonitorConfig
from robot_rl.rewards.process_config import ProcessConfig
from robot_rl.runtime.config import DemoConfig, EvalConfig, PaceConfig, TrainConfig

TASK, DEMOS, STEPS, EPISODES = "Reach", 20, 2500, 50
WATCH = MonitorConfig(switch_off=False, window=20, check_every=2)
NAIVE = ProcessConfig(form="naive_sum", beta=0.2, allow_naive_sum=True, anneal_above=1.0, monitor=WATCH)
CONDITIONS: dict[str, tuple[str, ProcessConfig, tuple[float, float]]] = {
    "sparse": ("success alone", replace(NAIVE, form="potential", beta=0.0), (0.0, 1.0)),
    "naive": ("naive sum", NAIVE, (0.0, 7.67)),
    "naive-monitor": (
        "naive sum, monitor switches it off",
        replace(NAIVE, monitor=replace(WATCH, switch_off=True)),
        (0.0, 7.67),
    ),
    "potential": ("potential", replace(NAIVE, form="potential"), (-0.2, 1.0)),
    "min-form": ("min-form", replace(NAIVE, form="min_form"), (0.0, 1.2)),
}
WINDOW = 10


class Nearness:
    """Progress as a fooled model sees it: 1 at the marker, 0.9 beside it, whatever is done there."""

    names = ("progress",)
    cameras: tuple[str, ...] = ()

    def evaluate(
        self, arm: ArmState, gripper: GripperState, objects: Mapping[str, Array], frames: Mapping[str, Frame]
    ) -> dict[str, float]:
        """Falls by 0.4 every 10 cm away from the marker."""
        away_m = float(np.linalg.norm(arm.pose_base_tcp[:3] - objects["marker"][:3]))
        return {"progress": float(np.clip(1.0 - 4.0 * away_m, 0.0, 1.0))}


def configure(condition: str, seed: int, folder: Path) -> TrainConfig:
    """The run of a condition."""
    _, process, q_range = CONDITIONS[condition]
    return TrainConfig(
        task=TASK,
        seed=seed,
        env_steps=STEPS,
        lockstep=True,
        demos=DemoConfig(n=DEMOS),
        process=process,
        agent=SacConfig(hidden=(128, 128), utd=2, actor_average=0.95, lr_actor=1e-3, lr_critic=1e-3, q_range=q_range),
        pace=PaceConfig(learning_starts=100),
        evaluation=EvalConfig(every=0, final_episodes=EPISODES),
        out_dir=folder / condition,
        report=False,
    )


def train(config: TrainConfig) -> None:
    """Demonstrations and training with the fooled model, and an evaluation by the rules of the task."""
    from robot_rl.envs import make_env, make_expert
    from robot_rl.runtime.demos import record_demos
    from robot_rl.runtime.learner.lockstep import train_lockstep
    from robot_rl.runtime.learner.session import Session
    from robot_rl.runtime.monitor.progress import Progress
    from robot_rl.runtime.run_folder import create_run
    from robot_rl.runtime.stop import stop_on_signals
    from robot_rl.runtime.train import evaluate_at_the_end

    env = make_env(config.task, progress=Nearness(), **config.env_options)
    run = create_run(config, env.state_spec, env.action_spec, env.hz)
    progress = Progress(config.task)
    try:
        record_demos(env, partial(make_expert, env), n=config.demos.n, seed=config.seed, folder=run.demos)
        session = Session(run, config, env.state_spec, env.action_spec, env.hz, progress)
        session.begin()
        try:
            with stop_on_signals() as stop:
                finished = train_lockstep(session, env, stop)
        finally:
            session.close()
        if finished:
            evaluate_at_the_end(config, run, progress.note)
        session.finish("finished" if finished else "interrupted")
    finally:
        progress.close()
        env.close()


def runs_of(folder: Path) -> dict[str, list[tuple[RunRecord, Table]]]:
    """Finished runs with their process tables, by condition."""
    found = {}
    for condition in CONDITIONS:
        runs = [read_run(path) for path in sorted((folder / condition / TASK).glob("*_seed*"))]
        found[condition] = [(r, read_table(r.path / "process.csv")) for r in runs if r.meta.get("status") == "finished"]
    return found


def column(run: RunRecord, table: Table, name: str) -> Array:
    """A column of a run's process table ``[episodes]``; ``naive`` is what the naive sum pays, from the logged steps."""
    if name != "naive":
        return table.numbers(name)
    logged = [
        read_episode(path, images=False).records for path in sorted((run.path / "episodes" / "a0").glob("*.mcap"))
    ]
    return np.array([sum(r.rewards["progress"] for r in records) for records in logged[: len(table)]])


def curve(runs: list[tuple[RunRecord, Table]], name: str, grid: Array) -> Array:
    """A column of every run, averaged over the newest episodes, at the steps of `grid` ``[runs, grid]``."""
    window = 1 if name == "beta" else WINDOW
    lines = [rolling_mean(column(*run, name), window) for run in runs]
    return np.array([np.interp(grid, run[1].numbers("env_step"), y) for run, y in zip(runs, lines, strict=True)])


def draw(folder: Path, out: Path) -> None:
    """Success, process return and time at a high score over environment steps, all conditions."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    grid, found = np.linspace(200, STEPS, 120), runs_of(folder)
    panels = (
        ("success", f"success, last {WINDOW} episodes", 1.03),
        ("naive", "sum of scores over an episode", 45.0),
        ("beta", "weight of the process reward", 0.25),
    )
    with rc_context(STYLE):
        figure = Figure(figsize=(13.0, 4.4), layout="constrained")
        for k, (name, label, top) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), k + 1)
            for color, (condition, runs) in zip(PALETTE, found.items(), strict=False):
                if not runs:
                    continue
                lines = curve(runs, name, grid)
                axes.plot(grid, lines.T, color=color, lw=0.7, alpha=0.4)
                axes.plot(grid, lines.mean(axis=0), color=color, lw=2.2, label=CONDITIONS[condition][0])
            axes.set(xlabel="environment steps", ylabel=label, ylim=(-0.03 * top, top))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        figure.suptitle("A process reward that can be farmed: Reach", fontsize=13, fontweight="bold", x=0.02, ha="left")
    save_figure(figure, out)
    print("| condition | success at the end, by seed | sum of scores, last 20 episodes | first red alarm at step |")
    print("|---|---|---|---|")
    for condition, runs in found.items():
        success = ", ".join(f"{float(r.judged.get('success', np.nan)):.2f}" for r, _ in runs)
        high = ", ".join(f"{column(*run, 'naive')[-20:].mean():.0f}" for run in runs)
        print(f"| {CONDITIONS[condition][0]} | {success} | {high} | {', '.join(map(first_red, runs))} |")


def first_red(run: tuple[RunRecord, Table]) -> str:
    """Environment step of the first red alarm."""
    alarms, steps = run[1].numbers("alarm"), run[1].numbers("env_step")
    red = steps[alarms >= 2.0]
    return f"{red[0]:.0f}" if red.size else "none"


def main() -> None:
    """See the head of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train one condition with some seeds; a finished run is kept")
    run.add_argument("condition", choices=CONDITIONS)
    run.add_argument("folder", type=Path)
    run.add_argument("seeds", type=int, nargs="+")
    figure = commands.add_parser("figure", help="draw what was trained, and print the table")
    figure.add_argument("folder", type=Path)
    figure.add_argument("--out", type=Path, default=Path("docs/results/process_rewards.svg"))
    told = parser.parse_args()
    if told.command == "run":
        done = {run.seed for run, _ in runs_of(told.folder)[told.condition]}
        for seed in sorted(set(told.seeds) - done):
            train(configure(told.condition, seed, told.folder))
    else:
        draw(told.folder, told.out)


if __name__ == "__main__":
    main()
