"""Which curves a report shows of a run, and against what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from robot_rl.core.types import Array
from robot_rl.evaluation.charts import Chart, Series
from robot_rl.evaluation.run_record import WINDOW_EPISODES, RunRecord
from robot_rl.evaluation.stats import rolling_mean

STEPS = "environment steps"
MINUTES = "robot time (min)"
UPDATES = "steps of the optimiser"
TRAINING, OPERATOR, EVALUATION, UNAIDED = 1, 2, 3, 6


def learning_charts(run: RunRecord) -> list[Chart]:
    """Curves of what the robot achieved: success over both axes, operator share, return, length, a person's time."""
    steps = run.episodes.numbers("env_step")
    last = f"last {WINDOW_EPISODES} episodes"
    share = (Series("operator", steps, run.rolling_intervention_share(), color=OPERATOR),)
    human = (Series("demonstrations and corrections", steps, run.human_min(), color=OPERATOR),)
    returns = _rolling(steps, run.episodes.numbers("return"), color=1)
    lengths = _rolling(steps, run.episodes.numbers("length"), color=1)
    falls = "Falls to zero when the policy no longer needs help."
    counted = "Robot time under a person's control: demonstrations and operator steps."
    return [
        _success(run, steps, STEPS, "env_step", 1.0),
        _success(run, run.robot_min, MINUTES, "robot_s", 1.0 / 60.0),
        Chart(f"Operator's share of steps, {last}", STEPS, "share of steps", share, percent=True, note=falls),
        Chart("A person's time", STEPS, "minutes, cumulative", human, zero=True, note=counted),
        Chart(f"Return, mean of the {last}", STEPS, "sum of rewards", returns, zero=True),
        Chart(f"Length, mean of the {last}", STEPS, "steps per episode", lengths, zero=True),
    ]


def learner_charts(run: RunRecord) -> list[Chart]:
    """Curves of the optimisation: losses, values, temperature, errors; those that were not logged are left out."""
    table = run.learner
    steps = table.numbers("env_step")

    def line(*names: str, labels: tuple[str, ...] = (), color: int = 1) -> tuple[Series, ...]:
        found = [n for n in names if n in table]
        text = dict(zip(names, labels, strict=False))
        return tuple(
            Series(text.get(n, n), steps, table.numbers(n), color=(color + k - 1) % 6 + 1) for k, n in enumerate(found)
        )

    values = ("q_mean", "q_min", "q_max", "target_mean")
    charts = [
        Chart("Critic loss", STEPS, "squared error", line("critic_loss"), log=True),
        Chart("Actor loss", STEPS, "entropy cost minus value", line("actor_loss", color=4)),
        Chart(
            "Values", STEPS, "discounted return", line(*values, labels=("mean", "minimum", "maximum", "target mean"))
        ),
        Chart("Temperature", STEPS, "weight of entropy", line("temperature", color=5), log=True),
        Chart("Policy entropy", STEPS, "nats", line("entropy", color=6)),
        Chart("Temporal-difference error", STEPS, "absolute error", line("td_error", color=2)),
        Chart("Values outside the reachable range", STEPS, "share", line("q_outside", color=5), percent=True),
        Chart("Gripper critic", STEPS, "squared error", line("gripper_loss", color=2), log=True),
    ]
    return [c for c in charts if c.series]


def cloning_charts(run: RunRecord) -> list[Chart]:
    """Curves of a base policy that was cloned: losses, and success where it was rolled out."""
    updates, held = run.learner.numbers("update"), run.learner.numbers("held_out_loss")
    losses = (
        Series("learnt from", updates, run.learner.numbers("loss")),
        Series("held out, averaged weights", updates, held, color=EVALUATION),
    )
    rows = tuple({**row, "update": _update(row)} for row in run.evaluations)
    note = "Rolled out alone from fixed initial states; noise follows from these (bars: 95 % Wilson)."
    success = (evaluation_series(rows, "update", 1.0),)
    return [
        Chart(
            "Loss", UPDATES, "mean squared error", losses, log=True, note="A held-out loss says little about success."
        ),
        Chart("Success", UPDATES, "success rate", success, percent=True, note=note),
    ]


def _update(row: Mapping[str, Any]) -> int | None:
    name = str(row.get("checkpoint", ""))
    return int(name) if name.isdigit() else None


def _success(run: RunRecord, x: Array, label: str, key: str, scale: float) -> Chart:
    series = [Series("training, last 20 episodes", x, run.rolling_success(), color=TRAINING)]
    if np.nan_to_num(run.episodes.numbers("intervention_steps")).any():
        series.append(Series("of these without help", x, run.rolling_success(unaided=True), color=UNAIDED))
    if run.evaluations:
        series.append(evaluation_series(run.evaluations, key, scale))
    note = "Training explores and may be helped; evaluations are deterministic and unaided (bars: 95 % Wilson)."
    return Chart(f"Success against {label}", label, "success rate", tuple(series), percent=True, note=note)


def evaluation_series(evaluations: tuple[Mapping[str, Any], ...], key: str, scale: float) -> Series:
    """Evaluations as marks with Wilson intervals, at ``row[key] * scale``."""

    def column(name: str) -> Array:
        cells = [row.get(name) for row in evaluations]
        return np.array([float(c) if isinstance(c, int | float) else np.nan for c in cells])

    x = column(key) * scale
    order = np.argsort(x, kind="stable")
    return Series(
        "evaluation, no help",
        x[order],
        column("success")[order],
        dots=True,
        low=column("wilson_low")[order],
        high=column("wilson_high")[order],
        color=EVALUATION,
    )


def _rolling(x: Array, y: Array, color: int) -> tuple[Series, ...]:
    finite = np.isfinite(y)
    return (Series("mean", x[finite], rolling_mean(y[finite], WINDOW_EPISODES), color=color),)
