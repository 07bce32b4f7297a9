"""What is typed and shown on the page's tabs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("viser")

from robot_rl.console.jobs import Jobs
from robot_rl.console.panel_sessions import common_flags, programs_text
from robot_rl.core.errors import ConfigError


def test_options_and_cameras_become_flags() -> None:
    assert common_flags("clearance_mm=0.2 reset_by=person", "side wrist") == [
        "--task-options", "clearance_mm=0.2", "reset_by=person", "--cameras", "side", "wrist",
    ]  # fmt: skip
    assert common_flags(" ", "") == []


@pytest.mark.parametrize(("options", "cameras"), [("--out-dir=/x", ""), ("clearance", ""), ("", "--keys"), ("=1", "")])
def test_nothing_else_can_be_slipped_in(options: str, cameras: str) -> None:
    with pytest.raises(ConfigError):
        common_flags(options, cameras)


def test_programs_in_words(tmp_path: Path) -> None:
    assert "Nothing" in programs_text([], [])
    job = Jobs(tmp_path).start(["tasks"])
    text = programs_text([job], [job])
    assert text.startswith("**tasks**")
    assert programs_text([], [job]).startswith("Ended last: tasks")
    while job.running:
        pass
