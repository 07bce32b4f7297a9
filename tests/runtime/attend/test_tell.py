"""An acting loop tells its guests how it goes, and shows each step once."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.core.marks import SUCCESS
from robot_rl.core.types import ArmState, CellReadings, GripperState, TeleopState
from robot_rl.data.episode_log import read_episode
from robot_rl.runtime.acting import ActingConfig
from robot_rl.runtime.attend.link import OperatorLink, WatchLink
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import find_actor, meetings
from robot_rl.runtime.attend.recorder import RECORDER, record_for_guests
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.attend.tell import Teller
from robot_rl.runtime.collector import Collector
from tests.runtime.fakes import Constant, PointEnv

PUSH = TeleopState(engaged=True, twist_tcp=np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.0]))
PICTURE = np.full((4, 4, 3), 7, np.uint8)


class SeenEnv(PointEnv):
    """A point that is an arm to those who watch, with a camera."""

    def _observe(self) -> dict[str, Any]:
        return {**super()._observe(), "images": {"side": PICTURE}}

    def readings(self) -> CellReadings:
        pose = np.array([self.x, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        arm = ArmState(np.zeros(7), np.zeros(7), pose, np.zeros(6), np.zeros(6), 0.0)
        return CellReadings(arm, GripperState(0.04, 0.04, 0.08, 0.0), {"goal": pose}, pose)


@pytest.fixture(autouse=True)
def _folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="rrl") as short:  # the names of sockets are
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield


@pytest.fixture
def attended() -> Iterator[Attended]:
    with closing(Attended("run", "a0")) as made:
        yield made


def until(turn: Callable[[], object], wanted: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30.0
    while not wanted():
        assert time.monotonic() < end_s, "it did not happen"
        turn()
        time.sleep(0.005)


def test_who_watches_sees_pictures_that_the_records_do_not_hold(attended: Attended) -> None:
    config = ActingConfig(0, "run-a0", keep_cameras=())
    collector = Collector(SeenEnv(limit=1000), Constant(0.01), config, make_teleop=attended.helped_by(None))
    teller, views, statuses, records = Teller(attended), [], [], []
    with closing(WatchLink(find_actor("run"), "test")) as watcher:

        def turn() -> None:
            teller.tell(collector, ActorStatus(task="Point"))
            records.extend(collector.step())
            status, view = watcher.receive(0.0)
            statuses.extend([status] if status is not None else [])
            views.extend([view] if view is not None else [])

        until(turn, lambda: len(views) >= 5)
    steps = [view.step_index for view in views]
    assert steps == sorted(set(steps)), "each step once"
    np.testing.assert_array_equal(views[-1].images["side"], PICTURE)
    assert not any(r.obs.images for r in records)
    assert statuses[-1].task == "Point" and statuses[-1].env_steps > 0 and statuses[-1].late_p99_ms is None
    assert views[-1].objects["goal"][0] == pytest.approx(views[-1].pose_base_tcp[0])


class FarEnv(SeenEnv):
    """Whose goal nobody reaches, at the pace of a person."""

    def reset(self, **kwargs: Any) -> Any:
        answer = super().reset(**kwargs)
        self.goal = 50.0
        return answer

    def step(self, action: Any) -> Any:
        time.sleep(0.01)
        return super().step(action)


def help_once(told: list[ActorStatus], over: threading.Event) -> None:
    """A guest who pushes, and after some steps says that it was a success."""
    while not (over.is_set() or any(m.actor == RECORDER for m in meetings())):
        time.sleep(0.02)
    path, steps = find_actor("", RECORDER), 0
    with closing(WatchLink(path, "watcher")) as watcher, closing(OperatorLink(path, "kim")) as link:
        while not over.is_set():
            status, view = watcher.receive(0.01)
            told.extend([status] if status is not None else [])
            steps = steps if view is None else view.step_index
            asked = any("Take over" in status.prompt for status in told)
            done = TeleopState(buttons=frozenset({SUCCESS}))
            link.send(TeleopState() if not asked else done if steps > 5 else PUSH)


def test_a_guest_records_demonstrations(tmp_path: Path) -> None:
    """The recorder waits for a motion, keeps what is marked as a success, and asks for it."""
    told, over = list[ActorStatus](), threading.Event()
    thread = threading.Thread(target=help_once, args=(told, over))
    thread.start()
    try:
        report = record_for_guests(
            FarEnv(limit=5000),
            n=1,
            seed=0,
            folder=tmp_path / "demos",
            task_options={},
            on_episode=lambda kept, failed: None,
        )
    finally:
        over.set()
        thread.join()
    assert (report.kept, report.failed) == (1, 0)
    assert told[0].progress.startswith("0 of 1")
    episode = read_episode(tmp_path / "demos" / "000000.mcap")
    assert episode.success and all(r.action_executed[0] == pytest.approx(0.1) for r in episode.records[:5])
