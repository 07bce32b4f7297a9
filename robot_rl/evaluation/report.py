"""The report of a run: one HTML page with everything in it, readable without a network and ten years from now."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.errors import DataError
from robot_rl.evaluation import report_sections as sections
from robot_rl.evaluation import report_tables as tables
from robot_rl.evaluation.charts import draw
from robot_rl.evaluation.report_charts import cloning_charts, learner_charts, learning_charts
from robot_rl.evaluation.report_detector import detector_section
from robot_rl.evaluation.report_process import process_section
from robot_rl.evaluation.report_runtime import runtime_section
from robot_rl.evaluation.run_record import RunRecord, read_run
from robot_rl.evaluation.video import NO_VIDEO_FILE, record_run_video


def write_report(run_dir: Path, *, video: bool = True) -> Path:
    """Write ``report.html`` into a run folder.

    Works on a finished run, on one still being written and on one that was killed; what is missing is said on the page.

    Args:
        run_dir: the run's folder.
        video: first film the checkpoint it is judged by, if that has not been done; otherwise only films already there
            are shown.

    Returns:
        Path of the page.

    Raises:
        DataError: the folder holds no run, or the page cannot be written.
    """
    page = run_dir / "report.html"
    run = read_run(run_dir)
    if video:
        ensure_video(run)
    html = render_report(run)
    partial = page.with_suffix(".html.partial")
    try:
        partial.write_text(html, encoding="utf-8")
        partial.replace(page)
    except OSError as e:
        raise DataError(f"cannot write the report {page}: {e.strerror or e}") from e
    return page


def ensure_video(run: RunRecord) -> None:
    """Film the checkpoint a run is judged by, or its newest, unless there is a film of it.

    A run without checkpoints is left alone, and so is one on a machine that cannot film: the reason is then noted.
    """
    root = run.path / "checkpoints"
    newest = max((p.name for p in root.glob("[0-9]*") if p.is_dir()), default="")
    judged = str(run.judged.get("checkpoint", ""))
    chosen = judged if judged.isdigit() and (root / judged).is_dir() else newest
    if chosen and not any((run.path / "videos").glob(f"evaluation_{chosen}.*")):
        record_run_video(run.path, checkpoint=root / chosen)


def render_report(run: RunRecord) -> str:
    """The page as text."""
    videos = sorted((*(run.path / "videos").glob("*.mp4"), *(run.path / "videos").glob("*.webm")))
    stills = sorted((run.path / "videos").glob("*.jpg"))[:4]
    notes = list(run.notes)
    if not videos:
        reason = run.path / "videos" / NO_VIDEO_FILE
        text = reason.read_text(encoding="utf-8", errors="replace").strip() if reason.is_file() else ""
        notes.append(f"There is no video. {text}".strip())
    body = "".join(
        (
            sections.header(run),
            sections.verdict(run),
            sections.cards(run),
            sections.media(videos[-2:], stills, simulated=run.cell != IN_PROCESS),
            sections.charts("Learning", map(draw, cloning_charts(run) if run.cloned else learning_charts(run))),
            tables.evaluation_table(run),
            tables.effort(run),
            detector_section(run),
            process_section(run),
            runtime_section(run),
            sections.charts("Optimisation", map(draw, learner_charts(run))),
            tables.provenance(run),
            tables.missing(notes),
            tables.footer(),
        )
    )
    title = escape(f"{run.task}, seed {run.seed}: training report")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_part('report.css')}</style></head>"
        f"<body><main>{body}</main><script>{_part('report.js')}</script></body></html>\n"
    )


def _part(name: str) -> str:
    return files("robot_rl.evaluation").joinpath(name).read_text(encoding="utf-8")
