"""What ``robot-rl data`` prints about episodes, findings and repetitions, within 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

import numpy as np

from robot_rl.cli.tables import text_table
from robot_rl.core.specs import ACTION_NAMES, StateSpec
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.core.types import Float32
from robot_rl.data.cameras import camera_shapes
from robot_rl.data.catalog import Entry, human_bytes, totals
from robot_rl.data.episode_log import PARTIAL, SUFFIX, Episode
from robot_rl.data.repair import Repair
from robot_rl.data.thin import Choice
from robot_rl.data.validate import Finding, count
from robot_rl.runtime.repeat import Deviation, Repetition

WIDTH = 100


def listing(entries: Sequence[Entry]) -> str:
    """A table for each folder, and the totals."""
    headings = ("file", "task", "actor", "steps", "outcome", "source", "operator", "time", "size", "file is")
    blocks = []
    for folder, group in groupby(entries, key=lambda e: e.path.parent):
        rows = [_row(e) for e in group]
        blocks.append(f"{folder}\n{text_table(headings, rows, left=(0, 1, 2, 4, 5, 9))}")
    broken = [e.problem for e in entries if e.problem]
    return "\n\n".join([*blocks, *(wrapped(text) for text in broken), wrapped(totals(entries))])


def _row(e: Entry) -> tuple[str, ...]:
    return (
        e.path.name.removesuffix(PARTIAL).removesuffix(SUFFIX),
        e.task or "-",
        e.actor or "-",
        str(e.steps),
        e.outcome if e.steps else "-",
        "+".join(sorted(e.sources)) or "-",
        f"{100 * e.intervention_share:.0f} %" if e.steps else "-",
        f"{e.duration_s:.1f} s",
        human_bytes(e.bytes),
        e.state,
    )


def inspection(episode: Episode) -> str:
    """Header, layout, cameras and one line a step."""
    return "\n\n".join([_header(episode), _layout(episode.meta.state_spec), _cameras(episode.records), _steps(episode)])


def _header(episode: Episode) -> str:
    meta, records = episode.meta, episode.records
    action = meta.action_spec
    active = ", ".join(ACTION_NAMES[i] for i in action.active)
    began = datetime.fromtimestamp(records[0].t_wall_s).astimezone().isoformat(" ", "seconds") if records else "-"
    facts = {
        "file": str(episode.path),
        "state of file": "whole" if episode.complete else "partial",
        "task": meta.task,
        "run": meta.run_id or "-",
        "episode": records[0].episode_id if records else "-",
        "began": began,
        "ends with": _end(records),
        "action": f"{1e3 * action.position_m:g} mm and {action.rotation_rad:g} rad a step; active: {active}",
        "versions": ", ".join(f"{name} {v}" for name, v in meta.versions.items()),
        **{f"extra {name}": value for name, value in meta.extra.items()},
    }
    width = max(map(len, facts))
    return "\n".join(wrapped(value, f"{name:{width}}  ") for name, value in facts.items())


def _end(records: Sequence[StepRecord]) -> str:
    if not records or not records[-1].last:
        return "nothing: it is unfinished"
    return f"{records[-1].stop_reason or 'no reason'} ({'terminated' if records[-1].terminated else 'truncated'})"


def _layout(spec: StateSpec) -> str:
    rows = [(p.name, str(p.size), p.unit, p.frame or "-", f"{p.center:g}", f"{p.scale:g}") for p in spec.parts]
    return text_table(("state part", "values", "unit", "frame", "centre", "scale"), rows, left=(0, 2, 3))


def _cameras(records: Sequence[StepRecord]) -> str:
    shapes = camera_shapes(records)
    return "\n".join(f"camera {n}: {s[1]} x {s[0]} pixels" for n, s in shapes.items()) or "no cameras"


def _steps(episode: Episode) -> str:
    names = " ".join(f"{name.replace('gripper', 'grip'):>5}" for name in ACTION_NAMES)
    rows = [
        (
            str(r.step_index),
            f"{r.t_control_s:.2f}",
            r.source.name.lower() + ("*" if r.intervention else ""),
            str(r.policy_version),
            " ".join(f"{v:+.2f}" for v in r.action_executed),
            f"{r.rewards.get('success', 0.0):g}",
            f"{r.latency_ms:.1f}",
        )
        for r in episode.records
    ]
    table = text_table(("step", "t", "source", "policy", names, "success", "latency"), rows, left=(2,))
    return f"{table}\nt in s, executed actions, latency in ms; * an operator was in command"


def step_in_full(episode: Episode, record: StepRecord) -> str:
    """Everything stored about one step."""
    rewards = ", ".join(f"{name} {value:g}" for name, value in record.rewards.items())
    base = [] if record.action_base is None else [("base proposal", record.action_base)]
    lines = [
        f"step {record.step_index} of episode {record.episode_id}",
        f"source {record.source.name.lower()}, {'operator in command' if record.intervention else 'no operator'}, "
        f"policy version {record.policy_version}, reward version {record.reward_version}",
        f"t_control {record.t_control_s:.6f} s, t_wall {record.t_wall_s:.6f} s, latency {record.latency_ms:.3f} ms",
        f"rewards: {rewards or 'none'}",
        f"terminated {record.terminated}, truncated {record.truncated}, reason {record.stop_reason or '-'}",
        "",
        text_table(
            ("action", *ACTION_NAMES),
            [
                (name, *(f"{v:+.6f}" for v in values))
                for name, values in [("executed", record.action_executed), ("policy", record.action_policy), *base]
            ],
        ),
        "",
        _observation(episode.meta.state_spec, record.obs),
    ]
    if record.final_obs is not None:
        lines += ["", "after the last action:", _observation(episode.meta.state_spec, record.final_obs)]
    return "\n".join(lines)


def _observation(spec: StateSpec, obs: Observation) -> str:
    rows = [(p.name, _values(obs.state[spec.slices[p.name]]), p.unit, p.frame or "-") for p in spec.parts]
    table = text_table(("state part", "values", "unit", "frame"), rows, left=(0, 1, 2, 3))
    pictures = [f"camera {n}: {i.shape[1]} x {i.shape[0]}, mean {np.mean(i):.1f}" for n, i in obs.images.items()]
    return "\n".join([table, *pictures])


def _values(values: Float32) -> str:
    return " ".join(f"{v:+.6g}" for v in values)


def findings_table(findings: Sequence[Finding], files: int) -> str:
    """One paragraph a file with a line for each finding, and the counts."""
    lines: list[str] = []
    for path, group in groupby(findings, key=lambda f: f.path):
        lines.append(str(path))
        lines += [wrapped(f.text, f"  {f.severity:7}  {f.check:13}  ") for f in group]
    counts = count(findings)
    lines.append(f"{files} files: {counts.get('error', 0)} errors, {counts.get('warning', 0)} warnings")
    return "\n".join(lines)


def repair_table(repairs: Sequence[Repair]) -> str:
    """What was recovered from each file, and what was lost."""
    if not repairs:
        return "every file is whole, there is nothing to repair"
    lines = []
    for r in repairs:
        target = f"{r.kept} steps recovered in {r.target}" if r.target is not None else "nothing recovered"
        lines += [f"{r.source}: {target}", wrapped(r.text, "  ")]
    return "\n".join(lines)


def choice_text(choice: Choice, out: Path) -> str:
    """What was copied and what was dropped, by reason."""
    reasons: dict[str, int] = {}
    for _, reason in choice.dropped:
        reasons[reason] = reasons.get(reason, 0) + 1
    lost = sum(e.steps for e, _ in choice.dropped)
    why = ", ".join(f"{n} {reason}" for reason, n in reasons.items())
    return "\n".join(
        [
            wrapped(f"copied to {out}: {totals(choice.kept)}"),
            wrapped(f"left behind: {len(choice.dropped)} files, {lost:,} steps" + (f" ({why})" if why else "")),
        ]
    )


def deviations_table(deviations: Iterable[Deviation]) -> str:
    """The observations that differ, one line each."""
    rows = [(str(d.step), d.part, f"{d.difference:.3g}", f"{d.size:.3g}") for d in deviations if not d.same]
    return text_table(("observation", "part", "difference", "in scales"), rows, left=(1,)) if rows else ""


def repetition_text(result: Repetition, expected: int) -> str:
    """Whether an episode repeats, and if not where it parts and by how much."""
    lines = []
    if result.first is None:
        lines.append(f"bit-identical: all {result.observations} observations are as recorded")
    else:
        first, largest = result.first, result.largest or result.first
        lines.append(
            f"parts at observation {first.step} of {expected}: {first.part} by {first.difference:.3g} "
            f"({first.size:.3g} of its scale)"
        )
        lines.append(
            f"largest deviation at observation {largest.step}: {largest.part} by {largest.difference:.3g} "
            f"({largest.size:.3g} of its scale)"
        )
    if result.after_operator:
        lines.append("the action before was an operator's: where a limit changed it, only float32 of it is recorded")
    if result.observations < expected:
        lines.append(f"the repetition ended after {result.observations} of {expected} observations")
    if result.other_versions:
        lines.append(f"recorded with other versions: {'; '.join(result.other_versions)}")
    return "\n".join(wrapped(line) for line in lines)


def wrapped(text: str, prefix: str = "") -> str:
    """A paragraph within the width, its further lines indented below the first."""
    return textwrap.fill(
        text, WIDTH, initial_indent=prefix, subsequent_indent=" " * max(len(prefix), 2), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
