"""The page's tab that starts recordings and trainings, and shows what runs and what there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import viser

from robot_rl.console.choices import guarded, offer
from robot_rl.console.jobs import Job, Jobs
from robot_rl.console.library import list_runs
from robot_rl.console.library_text import runs_table
from robot_rl.core.errors import ConfigError
from robot_rl.data.episode_log import SUFFIX
from robot_rl.runtime.attend.recorder import CONSOLE

EXPERT, NOBODY = "the scripted expert", "nobody"
NONE_RUN = "nothing runs"
DEMOS = "demos"


class SessionsPanel:
    """Fills the tab that is open.

    Args:
        gui: of the viser server.
        folder: of the runs; demonstrations are recorded below it.
        tasks: names that there are.
        may: whether a client may start and stop programs now.
    """

    def __init__(self, gui: viser.GuiApi, folder: Path, tasks: Sequence[str], may: Callable[[int], bool]) -> None:
        self._folder, self._jobs = folder, Jobs(folder)
        self._task = gui.add_dropdown("Task", tuple(tasks))
        self._options = gui.add_text("Options", "", hint="Of the task, as NAME=VALUE, with spaces in between.")
        self._cameras = gui.add_text("Cameras", "", hint="Names with spaces in between, for example: side wrist")
        with gui.add_folder("Demonstrations"):
            self._n = gui.add_number("How many", 20, min=1, max=1000, step=1)
            gui.add_button("Record", icon=viser.Icon.PLAYER_RECORD, color="red").on_click(guarded(may, self._record))
        with gui.add_folder("Training"):
            self._demos: viser.GuiDropdownHandle[str] = gui.add_dropdown("Demonstrations of", (EXPERT, NOBODY))
            self._steps = gui.add_number("Steps", 10_000, min=100, step=100)
            self._scripted = gui.add_checkbox(
                "Scripted corrections", False, hint="A program takes over when progress stalls; so may you."
            )
            gui.add_button("Train", icon=viser.Icon.SCHOOL, color="blue").on_click(guarded(may, self._train))
        with gui.add_folder("Programs"):
            self._said = gui.add_markdown("")
            self._running: viser.GuiDropdownHandle[str] = gui.add_dropdown("Running", (NONE_RUN,))
            gui.add_button("Save and stop", icon=viser.Icon.PLAYER_STOP, color="gray").on_click(
                guarded(may, self._stop)
            )
        with gui.add_folder("Runs"):
            self._runs = gui.add_markdown("")

    def refresh(self) -> None:
        """Show what runs now; for about one call a second."""
        running = self._jobs.running()
        offer(self._running, tuple(job.name for job in running) or (NONE_RUN,))
        recorded = sorted(p.name for p in (self._folder / DEMOS).glob("*") if any(p.glob(f"*{SUFFIX}")))
        offer(self._demos, (EXPERT, NOBODY, *recorded))
        texts = programs_text(running, self._jobs.known()), runs_table(list_runs(self._folder))
        for shown, text in zip((self._said, self._runs), texts, strict=True):
            if shown.content != text:
                shown.content = text

    def _record(self) -> str:
        task, n = self._task.value, int(self._n.value)
        out = self._folder / DEMOS / task
        argv = ["demos", "record", task, "--device", CONSOLE, "--n", str(n), "--out", str(out)]
        self._jobs.start([*argv, *self._common()])
        return f"Recording {n} demonstrations of {task}: choose it in the tab Live and take charge."

    def _train(self) -> str:
        task, demos = self._task.value, self._demos.value
        argv = ["train", task, "--out-dir", str(self._folder), "--env-steps", str(int(self._steps.value))]
        if demos == NOBODY:
            argv += ["--demos", "0"]
        elif demos != EXPERT:
            argv += ["--demos", str(self._folder / DEMOS / demos)]
        if self._scripted.value:
            argv += ["--corrections", "scripted"]
        self._jobs.start([*argv, *self._common()])
        return f"Training {task}: it appears in the tab Live when it acts."

    def _stop(self) -> str:
        found = [job for job in self._jobs.running() if job.name == self._running.value]
        for job in found:
            job.stop()
        return f"{found[0].name} saves and ends." if found else "Nothing runs."

    def _common(self) -> list[str]:
        return common_flags(self._options.value, self._cameras.value)


def common_flags(options: str, cameras: str) -> list[str]:
    """Flags of what was typed, which can be nothing but options of the task and names of cameras.

    Raises:
        ConfigError: something else was typed.
    """
    flags = []
    for flag, typed, form, expected in (
        ("--task-options", options.split(), r"[a-z]\w*=\S+", "NAME=VALUE"),
        ("--cameras", cameras.split(), r"[A-Za-z]\w*", "a camera's name"),
    ):
        for word in typed:
            if re.fullmatch(form, word, re.ASCII) is None:
                raise ConfigError(f"got {word!r}, expected {expected}")
        flags += [flag, *typed] if typed else []
    return flags


def programs_text(running: Sequence[Job], known: Sequence[Job]) -> str:
    """What runs and what it said last, and how the newest ended, as Markdown."""
    lines = [f"**{' '.join(job.argv[:3])}**\n\n```\n{job.tail(2)}\n```" for job in running]
    ended = [job for job in known if job not in running]
    if ended:
        lines.append(f"Ended last: {' '.join(ended[-1].argv[:3])}\n\n```\n{ended[-1].tail(2)}\n```")
    return "\n\n".join(lines) or "Nothing was started here yet."
