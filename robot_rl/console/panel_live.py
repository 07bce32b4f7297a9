"""The page's tab about one acting loop: what it does, how its learner does, cameras and curves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import viser

from robot_rl.console.browser import BrowserTeleop
from robot_rl.console.choices import offer
from robot_rl.console.live import LiveCell
from robot_rl.console.panel_marks import MarksPanel
from robot_rl.console.pictures import Pictures
from robot_rl.console.strips import Series, Strips
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import Meeting
from robot_rl.runtime.attend.view import View

NOTHING = "nothing runs"
STRIPS = (
    Series("Q", "", "#1971c2", "Value", (-0.1, 1.1)),
    Series("success", "", "#2f9e44", "Reward"),
    Series("process", "", "#1971c2", "Reward"),
    Series("force_penalty", "", "#e03131", "Reward"),
    Series("grasp_penalty", "", "#f08c00", "Reward"),
    Series("classifier", "", "#9c36b5", "Classifier", (0.0, 1.0)),
    Series("truth", "", "#adb5bd", "Classifier", (0.0, 1.0)),
    Series("operator", "", "#e8590c", "Operator", (0.0, 1.0)),
    Series("share of late", "", "#868e96", "Operator", (0.0, 1.0)),
    Series("force", "N", "#e03131", "Contact force"),
    Series("UTD", "", "#0c8599", "UTD"),
    Series("target", "", "#adb5bd", "UTD"),
    Series("learner lag", "ms", "#495057", "Lag"),
)
CLASSIFIER, P_SUCCESS = "classifier", "p_success"


class LivePanel:
    """Fills the tab that is open.

    Args:
        gui: of the viser server.
        device: of whoever is in charge.
        choose: called with the client and the name of the acting loop that he wants to be shown.
    """

    def __init__(self, gui: viser.GuiApi, device: BrowserTeleop, choose: Callable[[int, str], None]) -> None:
        self._gui = gui
        self._cells: viser.GuiDropdownHandle[str] = gui.add_dropdown("Cell", (NOTHING,))
        self._cells.on_update(lambda e: choose(e.client_id, e.target.value) if e.client_id is not None else None)
        self._state = gui.add_markdown("")
        with gui.add_folder("This episode"):
            self._marks = MarksPanel(gui, device)
        self._pictures = Pictures(gui, "Cameras")
        with gui.add_folder("Curves"):
            self._strips = Strips(gui, STRIPS)
        self._seen: View | None = None

    def offer(self, meetings: list[Meeting], chosen: Meeting | None) -> None:
        """Which acting loops there are, and which one is shown."""
        names = tuple(label(m) for m in meetings) or (NOTHING,)
        offer(self._cells, names)
        value = NOTHING if chosen is None else label(chosen)
        if value in names and self._cells.value != value:
            self._cells.value = value  # type: ignore[misc]

    def begin(self) -> None:
        """Another cell is shown from now on."""
        self._strips.clear()
        self._seen = None

    def add(self, view: View, status: ActorStatus) -> None:
        """Take in a control step for the curves."""
        self._strips.add(time.monotonic(), curves(view, status))

    def refresh(self, cell: LiveCell | None) -> None:
        """Show what is known now; for a few calls a second."""
        text = "Start a recording or a training in the tab *Sessions*." if cell is None else describe(cell)
        if self._state.content != text:
            self._state.content = text
        self._strips.refresh()
        status = ActorStatus() if cell is None else cell.status
        self._marks.show(records=cell is not None and cell.records, prompts=bool(status.prompt))
        view = None if cell is None else cell.view
        if view is not None and view is not self._seen:
            self._seen = view
            self._pictures.show(view.images)


def label(meeting: Meeting) -> str:
    """What people call an acting loop."""
    return f"{meeting.run_id} · {meeting.actor}"


def curves(view: View, status: ActorStatus) -> dict[str, float]:
    """Values of `STRIPS` at a control step."""
    health = status.health
    value = None if health is None else health.value
    values = {
        **view.rewards,
        "operator": float(view.intervention or status.engaged),
        "share of late": status.share,
        "force": math.hypot(*view.wrench_tcp[:3]),
        "Q": math.nan if value is None else value,
        "learner lag": 1e3 * status.lag_s if health is not None else math.nan,
    }
    if P_SUCCESS in view.rewards:
        values[CLASSIFIER] = view.rewards[P_SUCCESS]
    if health is not None:
        values |= {"UTD": health.utd, "target": health.utd_target}
    return values


def describe(cell: LiveCell) -> str:
    """What an acting loop and its learner do, as Markdown."""
    status = cell.status
    if cell.gone:
        return f"**{label(cell.meeting)}** does not answer any more. {cell.problem}".strip()
    lines = [f"**{status.task}** — {doing(status)}"]
    if status.prompt:
        lines.append(f"> **{status.prompt}**")
    if status.advice:
        lines.append(f"*{status.advice}.*")
    ended = f", the last ended: {status.last_end}" if status.last_end else ""
    lines.append(status.progress or f"Episode {status.episode}, step {status.env_steps:,}{ended}")
    if status.health is not None:
        h = status.health
        left = "" if status.budget_s is None else f", {status.budget_s / 60:.1f} of the agreed time left"
        lines.append(
            f"Operator: {status.human_s / 60:.1f} minutes, {100 * status.share:.0f} % of the last episodes{left}"
        )
        lines.append(
            f"Learner: {h.updates:,} updates, {h.updates_per_s:.0f}/s, UTD {h.utd:.1f} of {h.utd_target:.1f}, "
            f"{1e3 * status.lag_s:.0f} ms behind"
        )
        late = "" if status.late_p99_ms is None else f", 99 % of steps within {status.late_p99_ms:.0f} ms of their tick"
        missed = f", {status.missed} missed" if status.missed else ""
        lines.append(f"Actor: policy confirmed {status.policy_age_s:.0f} s ago{late}{missed}")
    if cell.problem_of_operating:
        lines.append(f"**{cell.problem_of_operating}**")
    return "\n\n".join(lines)


def doing(status: ActorStatus) -> str:
    """What the arm does, in a few words."""
    if status.lost:
        return "HELD: the operator's connection is lost"
    if status.paused:
        return "paused"
    if status.engaged:
        return f"the arm follows {status.operator}"
    return "the arm follows the policy" if status.health is not None else "the arm waits for you"
