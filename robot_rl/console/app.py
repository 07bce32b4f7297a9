"""The console: viser's page behind our door, its tabs, and the cell that they show."""

from __future__ import annotations

import io
import math
import socket
import time
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import viser

from robot_rl.console.browser import BrowserTeleop
from robot_rl.console.door import Door
from robot_rl.console.front import HELD, NOTHING, PAUSED, POLICY, WAITS, YOU, Front
from robot_rl.console.live import LiveCell
from robot_rl.console.panel_live import LivePanel, label
from robot_rl.console.panel_preferences import PROMPT, PreferencesPanel
from robot_rl.console.panel_replay import ReplayPanel
from robot_rl.console.panel_sessions import SessionsPanel
from robot_rl.console.questions import Questions
from robot_rl.console.stage import initial_camera
from robot_rl.console.theatre import Theatre
from robot_rl.envs import task_names
from robot_rl.hardware.takeover import Mode, TakeOver
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import Meeting, meetings
from robot_rl.runtime.attend.view import View
from robot_rl.runtime.stop import StopFlag

TICK_S = 0.1
PANELS_EVERY = 3
LOOK_EVERY = 10
PANEL_PX = 368
RETRY_S = 10.0
REPLAYED = "The view shows a replay, not the live cell."


@dataclass(frozen=True)
class ConsoleOptions:
    """How the console is reached and what it shows.

    Attributes:
        folder: of the runs.
        host: address to listen on; anything but this machine needs a token.
        port: to listen on; 0 for any that is free.
        token: what people on other machines must type once.
        mode: ``hold`` takes over while keys, buttons or the gizmo are held; ``latch`` between two presses of the space
            bar.
    """

    folder: Path = Path("runs")
    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = None
    mode: Mode = "hold"


class Console:
    """Everything behind the page. Used by one thread but where said otherwise.

    Args:
        options: see there.

    Raises:
        ConfigError: it cannot listen there.
    """

    def __init__(self, options: ConsoleOptions) -> None:
        self._device = BrowserTeleop(latches=options.mode == "hold")
        self._teleop = TakeOver(self._device, options.mode)
        self._questions = Questions()
        self.front = Front(self._device, say=self._questions.say)
        self._cell: LiveCell | None = None
        self._wanted: str | None = None
        self._silent_s: dict[Meeting, float] = {}
        self._turn = 0
        with ExitStack() as stack:
            stack.callback(self._questions.close)
            # It would print its own address, past the door.
            with redirect_stdout(io.StringIO()):
                self._server = viser.ViserServer("127.0.0.1", _free_port(), label="robot_rl", verbose=False)
            stack.callback(_stop_quietly, self._server)
            self._door = Door(
                self._server.get_port(), self.front, host=options.host, port=options.port, token=options.token
            )
            stack.callback(self._door.close)
            self._build(options.folder)
            self._closing = stack.pop_all()

    @property
    def url(self) -> str:
        """What to open on this machine."""
        return self._door.url

    def run(self, stop: StopFlag) -> None:
        """Serve until the flag is set."""
        while not stop.requested:
            self.turn()
            time.sleep(TICK_S)

    def turn(self) -> None:
        """Look who is there, what runs and what is new; for ten calls a second."""
        if self._turn % LOOK_EVERY == 0:
            self._look_around()
            self._sessions.refresh()
            self._replay.look_around()
            self._preferences.look_around()
        if self._turn % PANELS_EVERY == 0:
            self._live.refresh(self._cell)
            self.front.notice = "" if self._questions.asked is None else PROMPT
        self._operate()
        self._replay.turn()
        self._preferences.turn()
        self._turn += 1

    def close(self) -> None:
        """Leave the cell, close the page. May be called twice."""
        self._show(None)
        self._device.close()
        self._closing.close()

    def _build(self, folder: Path) -> None:
        server = self._server
        initial_camera(server)
        server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False)
        server.gui.main_panel.dock_right()
        server.gui.main_panel.set_width(PANEL_PX)
        server.gui.set_panel_label("robot_rl")
        server.on_client_connect(mark_page)
        self._theatre = Theatre(server, self._device)
        tabs = server.gui.add_tab_group()
        with tabs.add_tab("Live", viser.Icon.ROBOT):
            self._live = LivePanel(server.gui, self._device, self._choose)
        with tabs.add_tab("Sessions", viser.Icon.LIST):
            self._sessions = SessionsPanel(server.gui, folder, task_names(), self._may)
        with tabs.add_tab("Replay", viser.Icon.PLAYER_PLAY):
            self._replay = ReplayPanel(server, folder, self._theatre, self._may, self._may_switch)
        with tabs.add_tab("Preferences", viser.Icon.SCALE):
            self._preferences = PreferencesPanel(server.gui, folder, self._questions, self._may)

    def _may(self, client: int) -> bool:
        return self.front.desk.seating.in_charge == client

    def _may_switch(self, client: int) -> bool:
        """What everybody sees is for the one in charge to say; he must not lose the robot out of sight."""
        holder = self.front.desk.seating.holder
        return holder is None or holder.client == client

    def _choose(self, client: int, name: str) -> None:
        """Called by viser's thread."""
        if self._may_switch(client):
            self._wanted = name

    def _look_around(self) -> None:
        """Show what somebody chose, else what runs, the newest last."""
        now_s = time.monotonic()
        if self._cell is not None and self._cell.gone:
            self._silent_s[self._cell.meeting] = now_s
        # Somebody who was killed leaves his socket; somebody who was only slow is found again.
        there = [m for m in meetings() if now_s - self._silent_s.get(m, -math.inf) > RETRY_S]
        current = None if self._cell is None else self._cell.meeting
        wanted = next((m for m in there if label(m) == self._wanted), None)
        if wanted is None and current not in there:
            wanted = max(there, key=_age_order, default=None)
        if wanted is not None and wanted != current:
            self._show(wanted)
        elif current is not None and current not in there:
            self._show(None)
        self._live.offer(there, None if self._cell is None else self._cell.meeting)

    def _show(self, meeting: Meeting | None) -> None:
        before, self._cell = self._cell, None
        if before is not None:
            before.close()
        self._theatre.clear_live()
        if meeting is not None:
            self._live.begin()
            self._cell = LiveCell(meeting, self._teleop, self._on_view, self._on_status)
        else:
            self.front.show(NOTHING)

    def _operate(self) -> None:
        """Have the hands of the one in charge reach the actor, also while he is away and the arm waits for him."""
        cell, holder = self._cell, self.front.desk.seating.holder
        there = cell is not None and not cell.gone
        if cell is not None:
            name = None if holder is None or not there else f"console.{_plain(holder.name)}"
            # Whoever leaves in the middle of a take-over leaves the arm holding: the empty chair hands back first.
            if name is not None or not (there and cell.status.engaged):
                cell.operate(name)
        self._theatre.gizmo_visible = there and holder is not None

    def _on_view(self, view: View) -> None:
        """Called by the watching thread."""
        cell = self._cell
        if cell is not None:
            self._theatre.show_live(view, cell.status)
            self._live.add(view, cell.status)

    def _on_status(self, status: ActorStatus) -> None:
        """Called by the watching thread."""
        acts = WAITS if status.health is None else POLICY
        arm = HELD if status.lost else PAUSED if status.paused else YOU if status.engaged else acts
        prompt = REPLAYED if self._theatre.replays else status.prompt
        self.front.show(arm, prompt, taken=status.engaged)


def _stop_quietly(server: viser.ViserServer) -> None:
    with redirect_stdout(io.StringIO()):
        server.stop()


def mark_page(client: viser.ClientHandle) -> None:
    """Let the page's own script know which of viser's clients it is."""
    client.gui.add_html(f'<span data-rrl-client="{client.client_id}"></span>')


def _age_order(meeting: Meeting) -> float:
    try:
        return meeting.path.stat().st_mtime
    except OSError:
        return 0.0


def _plain(name: str) -> str:
    """As the name of an operator on the way to an actor."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:40]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
