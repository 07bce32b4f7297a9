"""The page's tab that plays logged episodes, two at once to compare, and lets people label them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import viser

from robot_rl.console.choices import offer
from robot_rl.console.library import EpisodeEntry, list_episodes, list_runs
from robot_rl.console.library_text import episode_label
from robot_rl.console.panel_sessions import DEMOS
from robot_rl.console.pictures import Pictures
from robot_rl.console.recording import Recording, load_recording
from robot_rl.console.theatre import Theatre
from robot_rl.core.errors import RobotRlError
from robot_rl.core.marks import FAILURE, SUCCESS
from robot_rl.data.labels import write_label

NOTHING = "nothing"
SPEEDS = {"1x": 1.0, "2x": 2.0, "4x": 4.0, "0.5x": 0.5, "0.25x": 0.25}


@dataclass
class _Chooser:
    """A folder of episodes and one of them, as two dropdowns."""

    source: viser.GuiDropdownHandle[str]
    episode: viser.GuiDropdownHandle[str]
    entries: Mapping[str, EpisodeEntry]
    chosen: str = NOTHING
    shown: Path | None = None
    recording: Recording | None = None


class ReplayPanel:
    """Fills the tab that is open.

    Args:
        server: of viser.
        folder: of the runs.
        theatre: where episodes are played.
        may: whether a client may label now.
        may_switch: whether a client may decide now what everybody sees.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        folder: Path,
        theatre: Theatre,
        may: Callable[[int], bool],
        may_switch: Callable[[int], bool],
    ) -> None:
        gui = server.gui
        self._gui, self._folder, self._theatre, self._may, self._may_switch = gui, folder, theatre, may, may_switch
        self._sources: dict[str, Path] = {}
        self._first = self._chooser("Show", "Episode")
        with gui.add_folder("Compare with", expand_by_default=False):
            self._second = self._chooser("From", "Second episode")
        self._slider = gui.add_slider("Time, s", 0.0, 1.0, 0.05, 0.0, disabled=True)
        self._play = gui.add_checkbox("Play", True)
        self._speed = gui.add_dropdown("Speed", tuple(SPEEDS))
        self._facts = gui.add_markdown("")
        self._pictures = Pictures(gui, "Pictures")
        with gui.add_folder("Label", expand_by_default=False):
            for text, label, color in (("It succeeded", SUCCESS, "green"), ("It failed", FAILURE, "red")):
                gui.add_button(text, color=color).on_click(self._labeller(label))  # type: ignore[arg-type]
        gui.add_button("Back to the live cell", icon=viser.Icon.ROBOT, color="gray").on_click(self._back)
        self._turned_s = time.monotonic()
        self._at_s = 0.0
        self._changed = False

    def look_around(self) -> None:
        """Find runs and demonstrations; for about one call a second."""
        self._sources = sources(self._folder)
        for chooser in (self._first, self._second):
            offer(chooser.source, (NOTHING, *self._sources))

    def turn(self) -> None:
        """Play on; for ten calls a second."""
        now_s = time.monotonic()
        elapsed_s, self._turned_s = now_s - self._turned_s, now_s
        if self._load():
            self._begin()
        if self._first.recording is None:
            return
        end_s = max(r.duration_s for r in self._recordings())
        if self._slider.value != self._at_s:
            self._at_s, self._changed = self._slider.value, True
        elif self._play.value and end_s > 0.0:
            self._at_s = (self._at_s + elapsed_s * SPEEDS[self._speed.value]) % end_s
            self._slider.value, self._changed = self._at_s, True  # type: ignore[misc]
            self._at_s = self._slider.value
        if self._changed:
            self._changed = False
            self._draw()

    def _chooser(self, source: str, episode: str) -> _Chooser:
        chooser = _Chooser(self._gui.add_dropdown(source, (NOTHING,)), self._gui.add_dropdown(episode, (NOTHING,)), {})

        @chooser.source.on_update
        def _(event: viser.GuiEvent[viser.GuiDropdownHandle[str]]) -> None:
            if event.client is not None and not self._may_switch(event.client.client_id):
                event.client.add_notification("Not now", "Whoever is in charge decides what everybody sees.")
                chooser.source.value = chooser.chosen  # type: ignore[misc]
                return
            chooser.chosen = chooser.source.value
            path = self._sources.get(chooser.source.value)
            try:
                entries = [] if path is None else list_episodes(path)
            except RobotRlError as e:
                entries = []
                self._facts.content = str(e)
            chooser.entries = {episode_label(entry): entry for entry in entries}
            offer(chooser.episode, tuple(chooser.entries) or (NOTHING,))

        return chooser

    def _recordings(self) -> list[Recording]:
        return [c.recording for c in (self._first, self._second) if c.recording is not None]

    def _load(self) -> bool:
        """Read what was chosen; whether that is something else than before."""
        changed = False
        for chooser in (self._first, self._second):
            entry = chooser.entries.get(chooser.episode.value)
            path = None if entry is None else entry.path
            if path != chooser.shown:
                chooser.shown, chooser.recording, changed = path, None, True
                if path is not None:
                    try:
                        chooser.recording = load_recording(path)
                    except RobotRlError as e:
                        self._facts.content = str(e)
        return changed

    def _begin(self) -> None:
        recordings = self._recordings() if self._first.recording is not None else []
        self._theatre.show_recordings([r.task for r in recordings])
        self._slider.disabled = not recordings
        if recordings:
            self._slider.max = max(max(r.duration_s for r in recordings), 0.1)
            self._facts.content = "\n\n".join(facts(r) for r in recordings)
        self._at_s, self._changed = 0.0, True
        self._slider.value = 0.0  # type: ignore[misc]

    def _draw(self) -> None:
        recordings = self._recordings()
        views = [r.frames[r.index_at(self._at_s)] for r in recordings]
        self._theatre.show_frames(views)
        self._pictures.show(views[0].images)

    def _back(self, event: viser.GuiEvent[viser.GuiButtonHandle]) -> None:
        for chooser in (self._first, self._second):
            chooser.source.value = NOTHING  # type: ignore[misc]

    def _labeller(self, label: str) -> Callable[[viser.GuiEvent[viser.GuiButtonHandle]], None]:
        def press(event: viser.GuiEvent[viser.GuiButtonHandle]) -> None:
            recording, path = self._first.recording, self._first.shown
            if event.client is None or event.client_id is None or recording is None or path is None:
                return
            if not self._may(event.client_id):
                event.client.add_notification("Take charge first", "Only who is in charge labels episodes.")
                return
            episode_id = recording.episode.records[0].episode_id
            try:
                write_label(path.parent, episode_id, label, "console")
                event.client.add_notification("Labelled", f"{path.name}: {label}", auto_close_seconds=4.0)
            except RobotRlError as e:
                event.client.add_notification("That did not work", str(e), color="red")

        return press


def sources(folder: Path) -> dict[str, Path]:
    """Where there are episodes below a folder of runs, by what people call it: the newest run first."""
    demos = {f"demonstrations of {p.name}": p for p in sorted((folder / DEMOS).glob("*")) if p.is_dir()}
    runs = {f"{run.task} {run.path.name}": run.path for run in list_runs(folder)}
    return {**dict(reversed(runs.items())), **demos}


def facts(recording: Recording) -> str:
    """What an episode was, as Markdown."""
    records = recording.episode.records
    helped = sum(r.intervention for r in records)
    last = records[-1]
    lines = [
        f"**{recording.task.id}**, {len(records)} steps, ended: {last.stop_reason or 'not yet'}",
        f"{helped} steps of an operator; policy {last.policy_version}",
    ]
    if not recording.options_known:
        lines.append("The options of its task are not known: those shown are the defaults.")
    return "\n\n".join(lines)
