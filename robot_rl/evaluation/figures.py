"""Figures for papers and web pages, drawn without any global plotting state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.evaluation.aggregate import Axis, Curve, Metric, aggregate, series_of
from robot_rl.evaluation.run_record import WINDOW_EPISODES, RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#2463c9", "#d97706", "#0f8a5f", "#8b46c9", "#c93a4b", "#0e8ba0", "#6b7280")
X_LABEL: Mapping[Axis, str] = {"env_step": "environment steps", "robot_min": "robot time (min)"}
Y_LABEL: Mapping[Metric, str] = {
    "success": f"success, last {WINDOW_EPISODES} training episodes",
    "unaided_success": f"success without help, last {WINDOW_EPISODES}",
    "intervention_share": "operator's share of steps",
    "human_min": "a person's time (min)",
    "evaluation_success": "success in evaluation",
}
# SVG ids come from a random salt unless one is set; with it the same data gives the same file.
STYLE: Any = {
    "svg.hashsalt": "robot_rl",
    "svg.fonttype": "path",
    "font.size": 10.5,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5c6777",
    "axes.labelcolor": "#1b2330",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ebf0",
    "xtick.color": "#5c6777",
    "ytick.color": "#5c6777",
    "legend.frameon": False,
}


def comparison_figure(
    groups: Mapping[str, Sequence[RunRecord]], title: str, panels: Sequence[tuple[Metric, Axis]]
) -> Figure:
    """Aggregates of every group with bands, and every run as a thin line, one panel for each (metric, axis)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        columns = 2 if len(panels) > 1 else 1
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(5.4 * columns, 3.5 * rows + 0.7), layout="constrained")
        for k, (metric, axis) in enumerate(panels):
            axes = figure.add_subplot(rows, columns, k + 1)
            for color, (label, runs) in zip(_colors(len(groups)), groups.items(), strict=True):
                _draw_group(axes, runs, metric, axis, label, color)
            _finish(axes, metric, axis)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4) or 1)
        figure.suptitle(title, fontsize=13, fontweight="bold", x=0.02, ha="left")
    return figure


def save_figure(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write a figure; the suffix chooses the format.

    Raises:
        DataError: the file cannot be written.
    """
    from matplotlib import rc_context

    metadata = {"Date": None} if path.suffix == ".svg" else {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rc_context(STYLE):
            figure.savefig(path, dpi=dpi, facecolor="white", metadata=metadata)
    except OSError as e:
        raise DataError(f"cannot write the figure {path}: {e.strerror or e}") from e
    return path


def plot_learning_curve(run_dir: Path, png_path: Path) -> Path:
    """Draw success, evaluations and operator share of one run over robot minutes, for a README.

    Returns:
        `png_path`.

    Raises:
        DataError: the folder holds no run with finished episodes, or the picture cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from robot_rl.evaluation.run_record import read_run

    run = read_run(run_dir)
    x, success = series_of(run, "success", "robot_min")
    if not x.size:
        raise DataError(f"{run_dir} has no finished training episode with a robot time, so there is no curve to draw")
    with rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.7), layout="constrained")
        axes = figure.add_subplot()
        axes.margins(x=0.02)
        axes.plot(x, success, color=PALETTE[0], lw=2, label=f"training success, last {WINDOW_EPISODES} episodes")
        at, share = series_of(run, "intervention_share", "robot_min")
        if share.any():
            axes.fill_between(at, share, color=PALETTE[1], alpha=0.25, lw=0, label="operator's share of steps")
        _evaluation_marks(axes, run)
        _percent(axes)
        axes.set_xlabel(X_LABEL["robot_min"])
        axes.set_xlim(left=0)
        axes.set_title(f"{run.task}, seed {run.seed}", loc="left", fontweight="bold")
        figure.legend(loc="outside lower center", ncols=3, fontsize=9.5)
    return save_figure(figure, png_path)


def render_cell_picture(
    task: str,
    png_path: Path,
    width: int = 960,
    height: int = 720,
    *,
    seed: int = 0,
    task_options: Mapping[str, Any] | None = None,
) -> Path:
    """Write a picture of a task's cell at the start of an episode.

    Raises:
        ConfigError: the size is not positive or the task is unknown.
        DeviceError: the machine cannot render; the message says what to install.
        DataError: the picture cannot be written.
    """
    from PIL import Image

    from robot_rl.envs import make_env

    if width < 1 or height < 1:
        raise ConfigError(f"got a picture of {width} x {height} pixels, expected positive numbers")
    env = make_env(task, render_mode="rgb_array", render_size=(height, width), **dict(task_options or {}))
    try:
        env.reset(seed=seed)
        picture = env.render()
    finally:
        env.close()
    try:
        png_path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(picture)).save(png_path)
    except OSError as e:
        raise DataError(f"cannot write the picture {png_path}: {e.strerror or e}") from e
    return png_path


def _colors(n: int) -> list[str]:
    return [PALETTE[k % len(PALETTE)] for k in range(n)]


def _draw_group(axes: Axes, runs: Sequence[RunRecord], metric: Metric, axis: Axis, label: str, color: str) -> None:
    dots = metric == "evaluation_success"
    for run in runs:
        axes.plot(*series_of(run, metric, axis), color=color, lw=0.7, alpha=0.3)
    curve: Curve = aggregate(runs, metric, axis)
    name = f"{label} ({len(runs)} seed{'s' if len(runs) != 1 else ''})"
    axes.plot(curve.x, curve.mean, color=color, lw=2.2, marker="o" if dots else "", ms=4.5, label=name)
    if len(runs) > 1 and curve.x.size:
        axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.16, lw=0)


def _finish(axes: Axes, metric: Metric, axis: Axis) -> None:
    axes.set_xlabel(X_LABEL[axis])
    axes.set_ylabel(Y_LABEL[metric])
    axes.set_xlim(left=0)
    if metric == "human_min":
        axes.set_ylim(bottom=0)
    else:
        _percent(axes)


def _percent(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _evaluation_marks(axes: Axes, run: RunRecord) -> None:
    from robot_rl.evaluation.report_charts import evaluation_series

    if not run.evaluations:
        return
    marks = evaluation_series(run.evaluations, "robot_s", 1.0 / 60.0)
    if marks.low is None or marks.high is None:
        return
    ok = np.isfinite(marks.x) & np.isfinite(marks.y) & np.isfinite(marks.low) & np.isfinite(marks.high)
    y, low, high = marks.y[ok], marks.low[ok], marks.high[ok]
    bars = np.maximum([y - low, high - y], 0)
    label = "evaluation, no help"
    axes.errorbar(marks.x[ok], y, bars, fmt="o", color=PALETTE[2], ms=5, lw=1.4, capsize=2, clip_on=False, label=label)
