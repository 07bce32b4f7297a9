"""One acting loop on this machine: the console watches it, and operates it while somebody is in charge."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from robot_rl.core.errors import DataError, DeviceError
from robot_rl.core.marks import END
from robot_rl.core.protocols import Teleop
from robot_rl.core.types import TeleopState
from robot_rl.runtime.attend.link import OperatorLink, WatchLink, attend
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import Meeting
from robot_rl.runtime.attend.recorder import RECORDER
from robot_rl.runtime.attend.view import View

NAME = "console"
GONE_S = 5.0
WAIT_S = 0.05


class LiveCell:
    """Watches an actor in a thread of its own, and attends to it in another one if asked to.

    Args:
        meeting: where the actor is.
        device: of whoever is in charge; stays open.
        on_view: called by the watching thread with every view.
        on_status: called by it with every status.
    """

    def __init__(
        self,
        meeting: Meeting,
        device: Teleop,
        on_view: Callable[[View], None],
        on_status: Callable[[ActorStatus], None],
    ) -> None:
        self.meeting = meeting
        self.status = ActorStatus()
        self.view: View | None = None
        self.problem = ""
        self._device, self._on_view, self._on_status = device, on_view, on_status
        self._ended = threading.Event()
        self._operating: _Operating | None = None
        self._heard_s = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{meeting.actor}", daemon=True)
        self._thread.start()

    @property
    def gone(self) -> bool:
        """Whether nothing more is to be expected of it."""
        return bool(self.problem) or time.monotonic() - self._heard_s > GONE_S

    @property
    def records(self) -> bool:
        """Whether it records demonstrations; it is then ended by the mark `END`."""
        return self.meeting.actor == RECORDER

    @property
    def problem_of_operating(self) -> str:
        """Why the one in charge does not reach the actor, or empty."""
        return "" if self._operating is None else self._operating.problem

    def operate(self, name: str | None) -> None:
        """Attend to the actor under this name from now on; None to leave it to its policy."""
        before = self._operating
        if (None if before is None else before.name) == name:
            return
        if before is not None:
            before.close()
        self._operating = None if name is None else _Operating(self, name, self._device)

    def close(self) -> None:
        """Leave. May be called twice."""
        self._ended.set()
        self.operate(None)
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        try:
            with closing(WatchLink(self.meeting.path, NAME)) as link:
                while not self._ended.is_set():
                    status, view = link.receive(WAIT_S)
                    self._heard_s = link.heard_s
                    if status is not None:
                        self.status = status
                        self._on_status(status)
                    if view is not None:
                        self.view = view
                        self._on_view(view)
        except DataError as e:
            self.problem = str(e)


class _Operating:
    """Sends what a device says to the actor."""

    def __init__(self, cell: LiveCell, name: str, device: Teleop) -> None:
        self.name, self.problem = name, ""
        self._cell, self._device = cell, device
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"operate-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with closing(OperatorLink(self._cell.meeting.path, self.name)) as link:
                attend(link, self._read, lambda status: None, self._ended.is_set)
        except (DataError, DeviceError) as e:
            self.problem = str(e)

    def _read(self) -> TeleopState:
        state = self._device.read()
        # It would end a training, which has a button of its own.
        return state if self._cell.records else replace(state, buttons=state.buttons - {END})
