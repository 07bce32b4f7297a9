"""Checking episode files: what must hold (errors), and what a person should look at (warnings)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Array
from robot_rl.data.cameras import frame_faults
from robot_rl.data.catalog import Entry, describe_episode, size_of
from robot_rl.data.episode_log import PARTIAL, Episode, read_episode
from robot_rl.data.rewards import COMPONENTS

Severity = Literal["error", "warning"]
FAR_SCALES = 100.0
"""A state value this many of its part's scales from the centre is no plausible reading."""
JITTER_SHARE = 0.2
"""A control period that differs from the median by more than this share of it counts as jitter."""
CLOCK_JUMP_S = 5.0
"""The wall clock running this much ahead of the control clock within one step counts as a jump."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        path: of the file.
        severity: ``error``: the data must not be learnt from as it is; ``warning``: somebody should look.
        check: name of the check, for example ``frozen camera``.
        text: one sentence with numbers.
    """

    path: Path
    severity: Severity
    check: str
    text: str


class _Fault(NamedTuple):
    severity: Severity
    check: str
    text: str


def validate(paths: Iterable[Path]) -> Iterator[tuple[Entry, list[Finding]]]:
    """Check files one after another; each is read once, pictures included, and then forgotten.

    An episode that occurs in two files is found in the second one.

    Yields:
        What each file holds, and what is wrong with it.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        entry, findings = validate_file(path)
        if entry.episode_id in seen:
            text = f"episode {entry.episode_id!r} is also in {seen[entry.episode_id]}: it would count twice"
            findings.append(Finding(path, "warning", "duplicate", text))
        elif entry.episode_id:
            seen[entry.episode_id] = path
        yield entry, findings


def validate_file(path: Path) -> tuple[Entry, list[Finding]]:
    """Check one file.

    Returns:
        What it holds, and the findings in the order of `CHECKS`.
    """
    try:
        episode = read_episode(path, strict=False, labels=False)
    except DataError as e:
        return Entry(path, size_of(path), problem=str(e)), [Finding(path, "error", "file", str(e))]
    faults = [fault for check in CHECKS for fault in check(episode)]
    return describe_episode(episode), [Finding(path, *fault) for fault in faults]


def _whole(episode: Episode) -> Iterator[_Fault]:
    if episode.complete:
        return
    why = episode.problem or "its episode never ended"
    held = f"{len(episode.records)} complete steps can be read"
    if episode.path.name.endswith(PARTIAL):
        text = f"the episode has no end: it is being recorded or its recorder was killed; {held}"
        yield _Fault("warning", "unfinished", text)
    else:
        text = f"the file has the name of a whole one, but {why}; {held}, see robot-rl data repair"
        yield _Fault("error", "file", text)


def _schema(episode: Episode) -> Iterator[_Fault]:
    expected = (episode.meta.state_spec.size,)
    for i, record in enumerate(episode.records):
        if record.step_index != i:
            yield _Fault("error", "step order", f"step {record.step_index} stands where step {i} belongs")
        if record.last and i + 1 < len(episode.records):
            yield _Fault("error", "step order", f"the episode ends with step {i} but goes on")
        if record.terminated and record.truncated:
            yield _Fault("error", "schema", f"step {i} is both terminated and truncated")
        shapes = {o.state.shape for o in (record.obs, record.final_obs) if o is not None}
        if shapes != {expected}:
            yield _Fault("error", "schema", f"the state of step {i} has shape {sorted(shapes)}, expected {expected}")
        try:
            record.validate()
        except DataError as e:
            yield _Fault("error", "schema", str(e))


def _ranges(episode: Episode) -> Iterator[_Fault]:
    spec = episode.meta.state_spec
    for i, record in enumerate(episode.records):
        if record.obs.state.shape == (spec.size,):
            far = np.abs((record.obs.state - spec.center) / spec.scale) > FAR_SCALES
            for part in (name for name, where in spec.slices.items() if far[where].any()):
                values = record.obs.state[spec.slices[part]].tolist()
                text = f"{part} of step {i} is {values}, over {FAR_SCALES:g} of its scales from its centre"
                yield _Fault("warning", "range", text)
        for name, value in record.rewards.items():
            if name not in COMPONENTS:
                yield _Fault("error", "reward", f"step {i} has the unknown reward component {name!r}")
            elif name == "success" and value not in (0.0, 1.0):
                yield _Fault("error", "reward", f"success of step {i} is {value:g}, expected 0 or 1")
            elif name.endswith("penalty") and value > 0.0:
                yield _Fault("error", "reward", f"{name} of step {i} is {value:g}, expected 0 or less")
        if record.latency_ms < 0.0:
            yield _Fault("error", "time", f"the latency of step {i} is {record.latency_ms:.3f} ms, expected 0 or more")


def _control_time(episode: Episode) -> Iterator[_Fault]:
    t_s = _times(episode.records, "t_control_s")
    if len(t_s) < 2:
        return
    periods = np.diff(t_s)
    for i in np.flatnonzero(periods <= 0.0):
        text = f"the control time goes from {t_s[i]:.3f} s to {t_s[i + 1]:.3f} s with step {i + 1}, it must grow"
        yield _Fault("error", "time", text)
    period = float(np.median(periods))
    uneven = np.abs(periods - period) > JITTER_SHARE * abs(period)
    if uneven.any():
        worst = float(periods[np.abs(periods - period).argmax()])
        text = (
            f"{uneven.sum()} of {len(periods)} control periods differ from the median of {1e3 * period:.1f} ms by "
            f"more than {100 * JITTER_SHARE:.0f} %, the worst is {1e3 * worst:.1f} ms"
        )
        yield _Fault("warning", "period jitter", text)
    latency_ms = _times(episode.records, "latency_ms")
    late = latency_ms > 1e3 * period
    if period > 0 and late.any():
        text = (
            f"{late.sum()} of {len(late)} actions were sent later than one period of {1e3 * period:.1f} ms after their "
            f"observation, the worst after {latency_ms.max():.1f} ms"
        )
        yield _Fault("warning", "latency", text)


def _wall_time(episode: Episode) -> Iterator[_Fault]:
    wall_s, control_s = (_times(episode.records, name) for name in ("t_wall_s", "t_control_s"))
    ahead_s = np.diff(wall_s) - np.diff(control_s)
    for i in np.flatnonzero(np.diff(wall_s) < 0.0):
        text = f"the wall clock was set back by {wall_s[i] - wall_s[i + 1]:.3f} s before step {i + 1}"
        yield _Fault("warning", "clock jump", text)
    for i in np.flatnonzero(ahead_s > CLOCK_JUMP_S):
        text = (
            f"before step {i + 1} the wall clock ran {ahead_s[i]:.1f} s ahead of the control clock: it was set, or "
            "the actor stood still"
        )
        yield _Fault("warning", "clock jump", text)


def _cameras(episode: Episode) -> Iterator[_Fault]:
    for severity, check, text in frame_faults(episode.records):
        yield _Fault(severity, check, text)


CHECKS: tuple[Callable[[Episode], Iterator[_Fault]], ...] = (
    _whole,
    _schema,
    _ranges,
    _control_time,
    _wall_time,
    _cameras,
)
"""In the order in which they are reported."""


def count(findings: Iterable[Finding]) -> dict[Severity, int]:
    """Findings by severity."""
    counts: dict[Severity, int] = defaultdict(int)
    for finding in findings:
        counts[finding.severity] += 1
    return dict(counts)


def _times(records: Sequence[StepRecord], name: str) -> Array:
    values: npt.NDArray[np.float64] = np.array([getattr(r, name) for r in records], np.float64)
    return values
