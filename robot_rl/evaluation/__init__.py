"""Judging and showing what was learned: evaluations with intervals, reports, films, comparisons over seeds.

Importing this package is cheap: plotting, video and simulation libraries are imported where they are used.
"""

from robot_rl.evaluation.checkpoints import evaluate_checkpoint, load_saved_policy
from robot_rl.evaluation.compare import ComparisonSummary, compare
from robot_rl.evaluation.evaluate import EVALUATION_SEED, Evaluation, evaluate, evaluate_in
from robot_rl.evaluation.figures import plot_learning_curve, render_cell_picture
from robot_rl.evaluation.report import write_report
from robot_rl.evaluation.stats import Interval, wilson_interval
from robot_rl.evaluation.video import episode_video, record_run_video

__all__ = [
    "EVALUATION_SEED",
    "ComparisonSummary",
    "Evaluation",
    "Interval",
    "compare",
    "episode_video",
    "evaluate",
    "evaluate_checkpoint",
    "evaluate_in",
    "load_saved_policy",
    "plot_learning_curve",
    "record_run_video",
    "render_cell_picture",
    "wilson_interval",
    "write_report",
]
