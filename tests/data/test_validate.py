"""Every check finds the fault it is for, says it in one sentence, and leaves sound episodes alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.transition import Observation, StepRecord
from robot_rl.data.episode_log import Episode
from robot_rl.data.validate import CHECKS, Finding, validate, validate_file
from tests.data.episodes import META, episode
from tests.data.test_catalog import write

Change = Callable[[list[StepRecord]], list[StepRecord]]


def check(records: list[StepRecord], *, complete: bool = True, name: str = "000001.mcap") -> list[tuple[str, str, str]]:
    """Run the checks on an episode that never saw a disk, which would refuse most faults."""
    held = Episode(Path(name), META, tuple(records), complete)
    return [(fault.severity, fault.check, fault.text) for c in CHECKS for fault in c(held)]


def at(step: int, **changes: object) -> Change:
    return lambda records: [replace(r, **changes) if i == step else r for i, r in enumerate(records)]


def later(step: int, name: str, by_s: float) -> Change:
    """Shift a time from one step on."""
    return lambda records: [
        replace(r, **{name: getattr(r, name) + by_s}) if i >= step else r for i, r in enumerate(records)
    ]


def far_away(records: list[StepRecord]) -> list[StepRecord]:
    state = records[2].obs.state.copy()
    state[0] = 1e4
    return at(2, obs=Observation(state, records[2].obs.images))(records)


@settings(max_examples=20)
@given(st.integers(1, 8), st.booleans(), st.booleans())
def test_a_sound_episode_has_no_findings(steps: int, terminated: bool, images: bool) -> None:
    assert check(episode(5, steps, terminated=terminated, interventions=[1], images=images)) == []


@pytest.mark.parametrize(
    ("change", "severity", "name", "text"),
    [
        (lambda r: r[:2] + r[3:], "error", "step order", "step 3 stands where step 2 belongs"),
        (lambda r: [*r, replace(r[-1], step_index=8)], "error", "step order", "ends with step 7 but goes on"),
        (at(7, terminated=True), "error", "schema", "both terminated and truncated"),
        (at(7, final_obs=None), "error", "schema", "final_obs must be present"),
        (at(3, action_executed=np.full(7, 1.5, np.float32)), "error", "schema", "leaves"),
        (at(3, action_policy=np.full(7, np.nan, np.float32)), "error", "schema", "leaves"),
        (at(3, obs=Observation(np.full(3, np.inf, np.float32))), "error", "schema", "finite"),
        (at(3, obs=Observation(np.zeros(2, np.float32))), "error", "schema", "shape"),
        (at(3, rewards={"success": np.nan}), "error", "schema", "not finite"),
        (at(3, rewards={"success": 0.5}), "error", "reward", "expected 0 or 1"),
        (at(3, rewards={"force_penalty": 0.5}), "error", "reward", "expected 0 or less"),
        (at(3, rewards={"bonus": 0.5}), "error", "reward", "unknown reward component 'bonus'"),
        (at(3, latency_ms=-1.0), "error", "time", "latency"),
        (far_away, "warning", "range", "position of step 2"),
        (later(4, "t_control_s", -0.5), "error", "time", "must grow"),
        (later(4, "t_control_s", 0.05), "warning", "period jitter", "1 of 7 .* 100.0 ms .* worst is 150.0 ms"),
        (at(4, latency_ms=130.0), "warning", "latency", "1 of 8 .* after 130.0 ms"),
        (later(4, "t_wall_s", -3600.0), "warning", "clock jump", "set back by 3599.900 s before step 4"),
        (later(4, "t_wall_s", 60.0), "warning", "clock jump", "before step 4 .* 60.0 s ahead"),
    ],
)  # fmt: skip
def test_each_fault_is_found(change: Change, severity: str, name: str, text: str) -> None:
    found = check(change(episode(1, 8)))

    assert any((s, n) == (severity, name) and re.search(text, t) for s, n, t in found), found
    assert all("\n" not in t for _, _, t in found)


def frozen(first: int, length: int, *, still: bool = False) -> Change:
    def change(records: list[StepRecord]) -> list[StepRecord]:
        held = records[first].obs
        out = list(records)
        for i in range(first, first + length):
            state = held.state if still else records[i].obs.state
            images = {**records[i].obs.images, "side": held.images["side"]}
            out[i] = replace(records[i], obs=Observation(state, images))
        return out

    return change


def test_a_frozen_camera_is_found() -> None:
    records = episode(1, 10, images=True)
    assert check(frozen(2, 3)(records)) == []
    assert check(frozen(2, 6, still=True)(records)) == [], "a cell at rest looks the same"
    ((severity, name, text),) = check(frozen(2, 5)(records))
    assert (severity, name) == ("warning", "frozen camera")
    assert "'side' shows the same frame 5 times from step 2 on" in text


def test_a_camera_that_is_missing_or_changes_size_is_found() -> None:
    records = episode(1, 5, images=True)
    images = dict(records[2].obs.images)
    del images["wrist"]
    assert [f[1:] for f in check(at(2, obs=Observation(records[2].obs.state, images))(records))] == [
        ("camera", "1 of 6 frames of camera 'wrist' are missing")
    ]
    images["wrist"] = np.zeros((9, 9, 3), np.uint8)
    ((_, name, text),) = check(at(2, obs=Observation(records[2].obs.state, images))(records))
    assert name == "camera" and "changes its size from (2, 2, 3): [(9, 9, 3)]" in text


def test_only_a_file_that_claims_to_be_whole_is_an_error() -> None:
    records = episode(1, 3, ended=False)
    assert [f[:2] for f in check(records, complete=False)] == [("error", "file")]
    assert [f[:2] for f in check(records, complete=False, name="1.mcap.partial")] == [("warning", "unfinished")]


def test_files_are_read_and_named(tmp_path: Path) -> None:
    good = write(tmp_path / "000001.mcap", episode(1, 4, images=True))
    assert validate_file(good)[1] == []
    cut = tmp_path / "000002.mcap"
    cut.write_bytes(good.read_bytes()[:-40])
    assert [(f.path, f.severity, f.check) for f in validate_file(cut)[1]] == [(cut, "error", "file")]
    (tmp_path / "x.mcap").write_bytes(b"nothing")
    entry, (finding,) = validate_file(tmp_path / "x.mcap")
    assert entry.problem == finding.text and finding.severity == "error"


def test_an_episode_in_two_files_is_found(tmp_path: Path) -> None:
    paths = [write(tmp_path / name / "000001.mcap", episode(1, 4)) for name in ("a", "b")]
    findings: list[Finding] = [f for _, found in validate(paths) for f in found]
    assert [(f.path, f.severity, f.check) for f in findings] == [(paths[1], "warning", "duplicate")]
    assert str(paths[0]) in findings[0].text
