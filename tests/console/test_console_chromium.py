"""An operator's day in a real browser: demonstrations, a training, take-overs, marks, and a lost connection."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright")
pytest.importorskip("viser")

from robot_rl.console.stage import CAMERA_FOV_RAD, CAMERA_M, LOOK_AT_M
from robot_rl.controllers.se3 import quat_rotate
from robot_rl.core.types import Array
from robot_rl.data.episode_log import read_episode
from robot_rl.runtime.attend.link import WatchLink
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import meetings
from robot_rl.runtime.attend.view import View
from tests.console.chromium import require
from tests.console.pictures import open_page

pytestmark = pytest.mark.slow
SIZE = (960, 640)
PATIENCE_S = 120.0


class Watcher:
    """Sees what the actor says, past the console."""

    def __init__(self, path: Path) -> None:
        self.link = WatchLink(path, "test")
        self.status, self.view = ActorStatus(), None

    def until(self, wanted: Callable[[ActorStatus, View], bool], what: str) -> View:
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            status, view = self.link.receive(0.1)
            self.status, self.view = status or self.status, view or self.view
            if self.view is not None and wanted(self.status, self.view):
                return self.view
        raise AssertionError(f"{what} did not happen: {self.status}")

    def now(self) -> View:
        """What there is to see after everything that was under way has arrived."""
        end_s = time.monotonic() + 1.5
        return self.until(lambda status, view: time.monotonic() > end_s, "a view")

    def close(self) -> None:
        self.link.close()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    require()
    with tempfile.TemporaryDirectory(prefix="rrl") as short:  # the names of sockets are
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield tmp_path / "runs"


@pytest.fixture
def url(runs: Path) -> Iterator[str]:
    argv = [sys.executable, "-m", "robot_rl.cli", "console", "--folder", str(runs), "--port", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = (re.search(r"console: (http://\S+)", line) for line in process.stdout)
        yield next(m.group(1) for m in found if m)
        process.send_signal(signal.SIGTERM)


def until(wanted: Callable[[], Any], what: str) -> Any:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        value = wanted()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen")


def tab(page: Any, name: str) -> None:
    page.get_by_role("tab", name=name).click(timeout=60_000)


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click(timeout=60_000)
    page.get_by_role("option", name=option, exact=True).click(timeout=60_000)


def fill(page: Any, label: str, text: str) -> None:
    field = page.locator("label", has_text=label).locator("xpath=following::input[1]").first
    field.fill(text)
    field.press("Enter")


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name).first.click(timeout=60_000)


def bar(page: Any, text: str) -> None:
    page.wait_for_selector(f"#rrl:has-text({text!r})", timeout=1e3 * PATIENCE_S)


def pixel(point_base_m: Array, box: dict[str, float]) -> tuple[float, float]:
    """Where a point is drawn by the camera that every page begins with."""
    forward = np.subtract(LOOK_AT_M, CAMERA_M)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    offset = point_base_m - np.array(CAMERA_M)
    scale = box["height"] / 2 / np.tan(CAMERA_FOV_RAD / 2) / (offset @ forward)
    x = box["x"] + box["width"] / 2 + scale * (offset @ right)
    return float(x), float(box["y"] + box["height"] / 2 - scale * (offset @ np.cross(right, forward)))


def kill_the_browser() -> None:
    """That of this test, as a crash or a pulled plug does: nobody says goodbye."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        with suppress(OSError):
            if above == os.getpid() and b"--headless" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


def stop_programs(runs: Path) -> None:
    from robot_rl.console.jobs import Jobs

    for job in Jobs(runs).running():
        job.stop()
    until(lambda: not Jobs(runs).running(), "the end of the programs")


def test_a_day_of_an_operator(url: str, runs: Path) -> None:
    try:
        with open_page(url, SIZE) as page:
            press(page, "Take charge")
            bar(page, "you are in charge")
            record_two(page, runs)
            start_training(page)
            (meeting,) = until(lambda: [m for m in meetings() if m.actor == "a0"], "the start of the actor")
            with closing(Watcher(meeting.path)) as watcher:
                take_over_by_key(page, watcher)
                take_over_by_handle(page, watcher)
                mark_and_pause(page, watcher)
                lose_the_connection(page, watcher)
        with closing(Watcher(meeting.path)) as watcher, open_page(url, SIZE) as page:
            press(page, "Take charge")
            watcher.until(lambda s, v: not s.lost and not s.engaged, "handing back by whoever came after")
    finally:
        stop_programs(runs)


def record_two(page: Any, runs: Path) -> None:
    tab(page, "Sessions")
    choose(page, "Task", "Reach")
    # Without a graphics card the page is slow, and the clock must not end an episode before a mark does.
    fill(page, "Options", "episode_steps=2000")
    fill(page, "How many", "2")
    press(page, "Record")
    tab(page, "Live")
    for k in range(2):
        bar(page, "Take over to begin")
        page.mouse.move(200, 300)
        page.keyboard.down("w")
        bar(page, "the arm follows you")
        page.wait_for_timeout(500)
        page.keyboard.up("w")
        press(page, "Success")
        until(lambda k=k: (runs / "demos" / "Reach" / f"{k:06d}.mcap").is_file(), "a demonstration on the disk")
    episode = read_episode(runs / "demos" / "Reach" / "000000.mcap")
    assert episode.success and episode.records[-1].terminated
    assert max(r.action_executed[0] for r in episode.records) > 0.1


def start_training(page: Any) -> None:
    tab(page, "Sessions")
    page.get_by_role("combobox", name="Demonstrations of").click()
    page.get_by_role("option", name="Reach", exact=True).click(timeout=60_000)
    press(page, "Train")
    tab(page, "Live")


def take_over_by_key(page: Any, watcher: Watcher) -> None:
    watcher.until(lambda s, v: bool(s.operator), "the console's coming to the actor")
    page.mouse.move(200, 300)
    page.keyboard.down("r")
    watcher.until(lambda s, v: s.engaged and v.intervention, "the take-over")
    bar(page, "the arm follows you")
    # The tool points down: its own z axis is the operator's down.
    watcher.until(lambda s, v: v.intervention and v.action[2] < -0.1, "the motion of the key")
    page.keyboard.up("r")
    watcher.until(lambda s, v: not s.engaged and not v.intervention, "handing back")
    bar(page, "the arm follows the policy")


def take_over_by_handle(page: Any, watcher: Watcher) -> None:
    """The handle moves with the tool, so the actor is paused until it is grabbed."""
    press(page, "Pause")
    watcher.until(lambda s, v: s.paused, "the pause")
    view = watcher.now()
    box = page.locator("canvas").first.bounding_box()
    x_tcp = quat_rotate(view.pose_base_tcp[3:], np.array([1.0, 0.0, 0.0]))
    page.mouse.move(*pixel(view.pose_base_tcp[:3] + 0.1 * x_tcp, box))
    page.wait_for_timeout(500)
    page.mouse.down()
    press_key(page, "Tab")
    page.mouse.move(*pixel(view.pose_base_tcp[:3] + 0.2 * x_tcp, box), steps=5)
    watcher.until(lambda s, v: s.engaged and v.intervention and v.action[0] > 0.1, "the pull of the handle")
    page.mouse.up()
    watcher.until(lambda s, v: not s.engaged, "handing back")


def press_key(page: Any, key: str) -> None:
    page.keyboard.down(key)
    page.wait_for_timeout(150)
    page.keyboard.up(key)


def mark_and_pause(page: Any, watcher: Watcher) -> None:
    episode = watcher.until(lambda s, v: v.step_index > 1, "a step").episode_id
    press(page, "Success")
    watcher.until(lambda s, v: v.episode_id != episode and s.last_end == "success", "the end of the episode")
    press(page, "Pause")
    watcher.until(lambda s, v: s.paused, "the pause")
    bar(page, "paused")
    view, later = watcher.now(), watcher.now()
    assert (later.episode_id, later.step_index) == (view.episode_id, view.step_index)
    press(page, "Pause")
    watcher.until(lambda s, v: not s.paused and v.step_index != view.step_index, "going on")


def lose_the_connection(page: Any, watcher: Watcher) -> None:
    page.mouse.move(200, 300)
    page.keyboard.down("w")
    watcher.until(lambda s, v: s.engaged and v.intervention, "the take-over")
    kill_the_browser()
    watcher.until(lambda s, v: s.lost and s.engaged, "the hold")
    first, view = watcher.now(), watcher.now()
    assert watcher.status.lost and (view.episode_id, view.step_index) == (first.episode_id, first.step_index)
    np.testing.assert_array_equal(view.pose_base_tcp, first.pose_base_tcp)
