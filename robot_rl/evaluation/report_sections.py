"""Pieces of the report page: each takes a run and gives HTML, or an empty string when there is nothing to say."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.crops import CROPS
from robot_rl.core.imperfections import IMPERFECTIONS, env_options
from robot_rl.core.randomisation import RANDOMISE
from robot_rl.evaluation.charts import format_number
from robot_rl.evaluation.report_text import DASH, last, minutes, number, seconds, share
from robot_rl.evaluation.run_record import WINDOW_EPISODES, RunRecord

GOAL = 0.9
MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".png": "image/png", ".jpg": "image/jpeg"}
VIDEO_LIMIT_BYTES = 30_000_000


def header(run: RunRecord) -> str:
    """Title block: task, options, seed, time."""
    options = run.config.get("task_options")
    details = [f"seed {run.seed}"]
    if isinstance(options, Mapping) and options:
        details.insert(0, ", ".join(f"{k} = {v}" for k, v in options.items()))
    if run.cell != IN_PROCESS:
        details.append(f"on the cell {run.cell}")
    changed = env_options(run.config)
    details += [
        text
        for name, text in (
            (IMPERFECTIONS, "imperfect devices"),
            (RANDOMISE, "randomised scene"),
            (CROPS, "cropped pictures"),
        )
        if name in changed
    ]
    details += _pictures(run) + _cloning(run)
    base = run.config.get("base")
    if isinstance(base, dict) and base.get("path"):
        details.append(f"on the base {base['path']}")
    corrections = run.config.get("corrections")
    if isinstance(corrections, str):
        details.append("no corrections" if corrections == "none" else f"{corrections} corrections")
    if run.meta.get("start"):
        details.append(f"started {run.meta['start']}")
    if run.meta.get("status") not in (None, "finished"):
        details.append(f"status: {run.meta['status']}")
    return (
        f'<header><div class="eyebrow">robot_rl training report</div><h1>{escape(run.task)}</h1>'
        f'<p class="sub">{escape(" · ".join(details))}<br>{escape(run.path.name)}</p></header>'
    )


def _cloning(run: RunRecord) -> list[str]:
    """What kind of policy was cloned, and what it looked at."""
    model = run.config.get("model")
    if not (run.cloned and isinstance(model, Mapping)):
        return []
    sight = model.get("sight")
    cameras = sight.get("cameras") if isinstance(sight, Mapping) else None
    kind = [f"base policy, {model.get('objective')}, {model.get('backbone')}"]
    return kind + ([f"looks at {', '.join(map(str, cameras))}"] if isinstance(cameras, list) and cameras else [])


def _pictures(run: RunRecord) -> list[str]:
    """What the policy looked at, and through which frozen encoder."""
    told, views = run.config.get("pictures"), run.meta.get("views")
    if not (isinstance(told, Mapping) and isinstance(told.get("cameras"), list) and told["cameras"]):
        return []
    checksum = views.get("encoder") if isinstance(views, Mapping) else ""
    through = f" through {told.get('encoder')} ({checksum})" if checksum else ""
    return [f"learnt from pictures of {', '.join(map(str, told['cameras']))}{through}"]


def verdict(run: RunRecord) -> str:
    """One sentence on what was reached, judged by one evaluation only."""
    if not run.evaluations:
        sentence = "No verdict: this run has no evaluation yet."
        success = run.rolling_success()
        note = "Training episodes explore and may be helped, so they do not count as one."
        if success.size:
            note = (
                f"Success over the last {min(success.size, WINDOW_EPISODES)} training episodes: {success[-1]:.0%}. "
                + note
            )
        return _verdict("idle", sentence, note)
    row = run.judged
    low, n = number(row, "wilson_low"), number(row, "n")
    rate, high = number(row, "success"), number(row, "wilson_high")
    sentence = f"{share(number(row, 'successes'), 0)} of {share(n, 0)} evaluation episodes succeeded."
    if low >= GOAL:
        tone, judgement = "good", f"Reached: the lower bound is at least {GOAL}."
    elif high < GOAL:
        tone, judgement = "poor", f"Not reached: even the upper bound is below {GOAL}."
    else:
        tone, judgement = "fair", f"Open: the interval contains {GOAL}; more episodes or more training would decide."
    note = (
        f"Success {share(rate)}, 95 % Wilson interval [{share(low)}, {share(high)}]. "
        f"Checkpoint {row.get('checkpoint', DASH)}{_where(row, run)}, deterministic policy, fixed initial states, "
        f"no help. {judgement}"
    )
    return _verdict(tone, sentence, note)


def _where(row: Mapping[str, Any], run: RunRecord) -> str:
    """Said where a run was trained on another cell than the simulation in a process."""
    cell = row.get("cell", IN_PROCESS)
    if run.cell == IN_PROCESS == cell:
        return ""
    return ", in simulation" if cell == IN_PROCESS else f", on the cell {cell}"


def _verdict(tone: str, sentence: str, note: str) -> str:
    return (
        f'<section class="verdict {tone}"><div><strong>{escape(sentence)}</strong><p>{escape(note)}</p></div></section>'
    )


def cards(run: RunRecord) -> str:
    """The figures asked for first."""
    row = run.judged
    rate, low, high = number(row, "success"), number(row, "wilson_low"), number(row, "wilson_high")
    bar = ""
    if math.isfinite(rate + low + high):
        bar = (
            f'<div class="range"><i style="left:{low:.1%};width:{max(high - low, 0):.1%}"></i>'
            f'<u style="left:{rate:.1%}"></u></div>'
        )
    steps, wall_s = last(run.episodes.numbers("env_step")), last(run.episodes.numbers("wall_s"))
    human = run.human_min()
    human_min = float(human[-1]) if human.size else run.demos.robot_s / 60
    helped, success = run.rolling_intervention_share(), run.rolling_success()
    interval = f"[{share(low)}, {share(high)}] with n = {share(number(row, 'n'), 0)}" if row else "not evaluated"
    shown = [
        ("Success", share(rate), bar, interval),
        ("Time to success", seconds(number(row, "mean_time_to_success_s")), "", "mean, failures counted as the limit"),
        ("Robot time", minutes(last(run.robot_min)), "", f"{format_number(steps)} environment steps"),
        ("A person's time", minutes(human_min), "", _help_text(run)),
        (
            "Operator's share",
            f"{helped[-1]:.0%}" if helped.size else DASH,
            "",
            f"of steps, last {WINDOW_EPISODES} episodes",
        ),
        (
            "Training success",
            f"{success[-1]:.0%}" if success.size else DASH,
            "",
            f"last {WINDOW_EPISODES} episodes, with help",
        ),
        ("Wall clock", minutes(wall_s / 60), "", f"{len(run.episodes)} training episodes"),
        ("Updates per step", format_number(last(run.learner.numbers("utd"))), "", _utd_text(run)),
    ]
    if run.cloned:
        shown = [*shown[:2], shown[3], *_cloning_cards(run)]
    body = "".join(
        f'<div class="card"><span class="name">{escape(name)}</span><b>{escape(value)}</b>'
        f"{extra}<span>{escape(note)}</span></div>"
        for name, value, extra, note in shown
    )
    return f'<section class="cards">{body}</section>'


def _cloning_cards(run: RunRecord) -> list[tuple[str, str, str, str]]:
    """Figures of a cloned base policy in the place of those of practice."""
    table = run.learner
    steps, wall_s = last(table.numbers("update")), last(table.numbers("wall_s"))
    held = f"held out {format_number(last(table.numbers('held_out_loss')))}"
    return [
        ("Training", minutes(wall_s / 60), "", f"{format_number(steps)} steps of the optimiser"),
        ("Loss", format_number(last(table.numbers("loss"))), "", held),
    ]


def _utd_text(run: RunRecord) -> str:
    target = last(run.learner.numbers("utd_target"))
    return "gradient steps, achieved (UTD)" + (f"; target {target:g}" if math.isfinite(target) else "")


def _help_text(run: RunRecord) -> str:
    stand_in = " by a script" if run.scripted_help or (run.demos.episodes and run.scripted_demos) else ""
    return f"{run.demos.episodes} demonstrations and corrections{stand_in}"


def media(videos: Sequence[Path], stills: Sequence[Path], *, simulated: bool = False) -> str:
    """Videos and pictures, written into the page.

    Args:
        videos: files.
        stills: files.
        simulated: say that they show the simulation, not the cell of the run.
    """
    parts, skipped = [], []
    for path in videos:
        if path.stat().st_size > VIDEO_LIMIT_BYTES:
            skipped.append(path.name)
            continue
        parts.append(f'<figure><video controls muted loop playsinline src="{data_url(path)}"></video></figure>')
    if stills:
        images = "".join(
            f'<figure><img src="{data_url(p)}" alt="{escape(p.stem, quote=True)}"></figure>' for p in stills
        )
        parts.append(f'<div class="stills">{images}</div>')
    if not parts and not skipped:
        return ""
    note = (
        f'<p class="note">Too large for this page, see the folder videos: {escape(", ".join(skipped))}.</p>'
        if skipped
        else ""
    )
    if simulated:
        note += '<p class="note">Filmed in simulation, not on the cell of the run.</p>'
    return f'<section><h2>Evaluation episodes</h2><div class="media">{"".join(parts)}</div>{note}</section>'


def data_url(path: Path) -> str:
    """A file as a ``data:`` address."""
    kind = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def charts(title: str, figures: Iterable[str]) -> str:
    """A titled grid of figures."""
    body = "".join(figures)
    return f'<section><h2>{escape(title)}</h2><div class="grid">{body}</div></section>' if body else ""
