"""The processes of a cell, kept running from one place.

A process that dies is started again after a second, then two, up to half a minute. The cell ends when one that it
cannot do without dies five times within a minute, or says that it cannot go on; what it can do without is tried for
ever. All of them end with the program that holds the `RunningCell`, also if that is killed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from signal import Signals

from robot_rl.core.config import write_yaml
from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.hardware.cell.description import CellConfig, load_cell
from robot_rl.hardware.cell.environment import domain_of
from robot_rl.hardware.cell.graph import ProcessSpec, processes
from robot_rl.hardware.cell.presence import SUPERVISOR, Presence, running
from robot_rl.hardware.cell.process import EXIT_SAID_WHY, SETTLED_S, CellProcess, stop_together
from robot_rl.hardware.cell.shared_memory import sweep

MAX_DEATHS = 5
READY_S = 60.0
# Processes of a supervisor that was killed need a moment to end.
GONE_S = 4.0
_PERIOD_S = 0.1

Say = Callable[[str], None]


class RunningCell:
    """A cell's processes, from construction to `close`.

    Args:
        config: the cell.
        source: file that says exactly this; None writes one into the log folder.
        log_dir: folder of logs; None takes `log_folder`.
        say: told what a person should know, one line at a time: what dies, what is started again.
        relay: also tell it every line the processes print, as ``[name] line``.
        specs: what to run; None takes the cell's own list.

    Attributes:
        log_dir: folder of logs, one a process.

    Raises:
        ConfigError: this cell, or a part of it, runs already on this machine.
    """

    def __init__(
        self,
        config: CellConfig,
        source: Path | None = None,
        *,
        log_dir: Path | None = None,
        say: Say | None = None,
        relay: bool = False,
        specs: Sequence[ProcessSpec] | None = None,
    ) -> None:
        self.config = config
        self._say, self._relay = say or _silent, relay
        self._presence = Presence(config, SUPERVISOR)
        try:
            self.log_dir = _made(log_dir or log_folder(config))
            if specs is None:
                specs = processes(config, source or _written(config, self.log_dir))
            _refuse_others(config, specs)
            sweep()
            self._processes = [CellProcess(spec, self.log_dir) for spec in specs]
        except BaseException:
            self._presence.close()
            raise
        self._failure: str | None = None
        self._stop = threading.Event()
        # The thread also starts the processes: the kernel ends them with the thread that did.
        self._thread = threading.Thread(target=self._run, name=f"{config.name}-supervisor", daemon=True)
        self._thread.start()

    @property
    def names(self) -> list[str]:
        """Processes, in the order of their start."""
        return [p.spec.name for p in self._processes]

    @property
    def pids(self) -> dict[str, int]:
        """Ids of those that run now."""
        return {p.spec.name: pid for p in self._processes if (pid := p.pid) is not None}

    @property
    def restarts(self) -> dict[str, int]:
        """How often each was started again."""
        return {p.spec.name: max(p.starts - 1, 0) for p in self._processes}

    def check(self) -> None:
        """Find out whether the cell goes on.

        Raises:
            DeviceError: it was given up; says why.
        """
        if self._failure is not None:
            raise DeviceError(self._failure)

    def missing(self) -> list[str]:
        """Processes that are not up: nodes that have not joined the graph, others that do not run."""
        return [
            p.spec.name
            for p in self._processes
            if (p.pid is None or running(self.config, p.spec.name) is None if p.spec.is_node else p.pid is None)
        ]

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until every process is up. What it publishes is the client's to wait for.

        Raises:
            DeviceError: the cell was given up, or the time is over; says what is not up and where its log is.
        """
        end_s = time.monotonic() + timeout_s
        while missing := self.missing():
            self.check()
            if time.monotonic() > end_s:
                raise DeviceError(f"not up after {timeout_s:g} s: {', '.join(missing)}; logs are in {self.log_dir}")
            time.sleep(_PERIOD_S)
        self.check()

    def close(self) -> None:
        """Stop everything, what moves the arm last. May be called twice."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for process in self._processes:
                self._start(process)
            while self._failure is None and not self._stop.wait(_PERIOD_S):
                for process in self._processes:
                    self._look_after(process)
                self._relay_lines()
        finally:
            for _, stage in groupby(sorted(self._processes, key=lambda p: -p.spec.stage), lambda p: p.spec.stage):
                stop_together(list(stage))
            self._relay_lines()
            for process in self._processes:
                process.close()
            self._presence.close()

    def _start(self, process: CellProcess) -> None:
        try:
            process.start()
        except OSError as e:
            self._failure = f"cannot start {process.spec.name} ({process.spec.argv[0]}): {e.strerror}"

    def _look_after(self, process: CellProcess) -> None:
        code = process.died()
        if code is not None:
            self._after_death(process, code)
        elif process.pid is None and time.monotonic() >= process.start_at_s:
            self._start(process)

    def _after_death(self, process: CellProcess, code: int) -> None:
        name, why = process.spec.name, process.last_line()
        if code < 0:
            sweep()
        how = f"ended by {Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if code == EXIT_SAID_WHY:
            sentence = f"{name} cannot go on: {why.removeprefix('robot-rl: ')}"
            process.start_at_s = float("inf")
        elif process.spec.essential and len(process.deaths_s) >= MAX_DEATHS:
            times = f"{len(process.deaths_s)} times within {SETTLED_S:g} s, at last {how}"
            sentence = f"{name} died {times}: {why or 'no message'} (log: {process.log})"
        else:
            self._say(f"{name} {how}; starting it again in {process.put_off():g} s")
            return
        if process.spec.essential:
            self._failure = sentence
        else:
            self._say(f"{sentence}; the cell goes on without it")

    def _relay_lines(self) -> None:
        if self._relay:
            for process in self._processes:
                for line in process.new_lines():
                    self._say(f"[{process.spec.name}] {line}")


def start_if_absent(config: CellConfig, source: Path | None = None) -> RunningCell | None:
    """Start a cell that nobody runs on this machine, and wait until its processes are up.

    Args:
        config: the cell.
        source: file that says exactly this, or None.

    Returns:
        The cell, to be closed; or None if somebody runs it. With ``reach: environment`` it may run on another machine,
        so it is never started here.

    Raises:
        DeviceError: it does not come up.
    """
    if config.network.reach == "environment" or runs(config):
        return None
    try:
        cell = RunningCell(config, source)
    except ConfigError:
        if runs(config):  # somebody else was quicker
            return None
        raise
    try:
        cell.wait_ready()
    except BaseException:
        cell.close()
        raise
    return cell


def runs(config: CellConfig) -> bool:
    """Whether this cell runs on this machine, supervised or not.

    Takes `GONE_S` to say so of nodes without a supervisor, which may be the last of one that was killed.
    """
    end_s = time.monotonic() + GONE_S
    while running(config, SUPERVISOR) is None:
        if all(running(config, part) is None for part in ("sim", "arm", "arbiter")):
            return False
        if time.monotonic() > end_s:
            break
        time.sleep(_PERIOD_S)
    return True


def log_folder(config: CellConfig) -> Path:
    """Where the processes of a cell log unless told otherwise."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "robot_rl" / "cells" / f"{config.name}_{domain_of(config)}"


def _refuse_others(config: CellConfig, specs: Sequence[ProcessSpec]) -> None:
    for spec in specs:
        if spec.is_node:
            Presence(config, spec.name, wait_s=GONE_S).close()


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigError(f"cannot make the log folder {folder}: {e.strerror}") from e
    return folder


def _written(config: CellConfig, folder: Path) -> Path:
    path = folder / "cell.yaml"
    write_yaml(config, path)
    if load_cell(path) != config:
        raise ConfigError(f"the description of {config.name} does not survive being written to {path}")
    return path


def _silent(_: str) -> None:
    pass
