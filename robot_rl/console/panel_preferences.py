"""The page's tab where people say which of two clips is nearer to the goal, and start being asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import viser

from robot_rl.console.choices import guarded, offer
from robot_rl.console.jobs import Jobs
from robot_rl.console.panel_replay import NOTHING, sources
from robot_rl.console.questions import Question, Questions
from robot_rl.core.errors import ConfigError

VERB = "label-prefs"
PREFERENCES = "preferences"
KEPT_S = 1.0
"""So long a question stays where it is when its answer is given: the next one takes its place."""
PROMPT = "Two clips are to be compared: tab Preferences."


class PreferencesPanel:
    """Fills the tab that is open. A question lies over the view for as long as the tab is, see ``operator.js``.

    Args:
        gui: of the viser server.
        folder: of the runs; preferences are kept below it.
        questions: that are asked.
        may: whether a client may start programs now.
    """

    def __init__(self, gui: viser.GuiApi, folder: Path, questions: Questions, may: Callable[[int], bool]) -> None:
        self._folder, self._jobs, self._questions = folder, Jobs(folder), questions
        self._sources: dict[str, Path] = {}
        self._shown: Question | None = None
        self._until_s, self._told = 0.0, ""
        self._text = gui.add_markdown("")
        self._question = gui.add_html("", visible=False)
        with gui.add_folder("Ask"):
            self._source: viser.GuiDropdownHandle[str] = gui.add_dropdown("Recordings", (NOTHING,))
            self._goal = gui.add_text("Goal", "", hint="In words; empty to go on with the goal of before.")
            self._pairs = gui.add_number("Pairs", 100, min=1, max=10_000, step=1)
            self._frames = gui.add_number("Pictures", 1, min=1, max=8, step=1, hint="In each of the two clips.")
            gui.add_button("Ask me", icon=viser.Icon.USER_QUESTION, color="blue").on_click(guarded(may, self._ask))

    def turn(self) -> None:
        """Show what is asked now; for ten calls a second."""
        asked, now_s = self._questions.asked, time.monotonic()
        if asked is not None:
            self._until_s = now_s + KEPT_S
            if asked is not self._shown:
                self._shown, self._question.content = asked, asked.html
        elif now_s > self._until_s:
            self._shown = None
        if self._question.visible != (self._shown is not None):
            self._question.visible = self._shown is not None
        text = asked_text(self._shown, self._questions.problem, self._told)
        if self._text.content != text:
            self._text.content = text

    def look_around(self) -> None:
        """Find recordings, and what the program that asks says; for about one call a second."""
        self._sources = sources(self._folder)
        offer(self._source, tuple(self._sources) or (NOTHING,))
        job = next((job for job in reversed(self._jobs.known()) if job.argv[0] == VERB), None)
        self._told = "" if job is None else f"{'Running' if job.running else 'Ended'}:\n\n```\n{job.tail(4)}\n```"

    def _ask(self) -> str:
        data = self._sources.get(self._source.value)
        if data is None:
            raise ConfigError("there are no recordings yet: record demonstrations with cameras in the tab Sessions")
        out = self._folder / PREFERENCES / data.name
        flags = ask_flags(data, out, self._goal.value, int(self._pairs.value), int(self._frames.value))
        if any(str(out) in job.argv for job in self._jobs.running()):
            raise ConfigError(f"preferences about {data.name} are being asked for already: answer those first")
        self._jobs.start(flags)
        return "The first question comes when the recordings have been read."


def ask_flags(data: Path, out: Path, goal: str, pairs: int, frames: int) -> list[str]:
    """Arguments of the program that asks a person.

    Args:
        data: recordings.
        out: folder of the preferences.
        goal: in words; empty to go on with what the folder asks.
        pairs: to be settled in the folder.
        frames: pictures in a clip.

    Raises:
        ConfigError: neither the goal nor the folder says what is asked.
    """
    if not goal.strip() and not out.is_dir():
        raise ConfigError('what is the goal? Say it in words, for example "the cube is held in the air"')
    flags = [VERB, str(data), "--out", str(out), "--labeler", "person", "--pairs", str(pairs)]
    return [*flags, f"--goal={goal.strip()}", "--frames", str(frames)] if goal.strip() else flags


def asked_text(asked: Question | None, problem: str, told: str) -> str:
    """What is asked, or why nothing is, as Markdown.

    Args:
        asked: the question that is shown; None for none.
        problem: why something did not work, or empty.
        told: what the program that asked last prints.
    """
    said = f"**{problem}**" if problem else ""
    if asked is not None:
        how = f"**{asked.answered} of {asked.of} answered.** Whoever is in charge answers; keys stand on the buttons."
        return "\n\n".join(filter(None, (how, said)))
    idle = "Nothing is asked now. Start it below, or anywhere on this machine: `robot-rl label-prefs --labeler person`."
    return "\n\n".join(filter(None, (idle, said, told)))
