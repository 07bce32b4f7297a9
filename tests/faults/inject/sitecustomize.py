"""A witness inside unmodified ``robot-rl`` processes: loaded by Python itself when this folder is on PYTHONPATH.

Writes what happens to ``$ROBOT_RL_WITNESS/<pid>.log``, a line each: event, monotonic seconds, Unix seconds, details. A
line is handed to the operating system before the program goes on, so it survives ``kill -9``. Also slows environments
down to ``$ROBOT_RL_WITNESS_HZ``, adds the pictures of ``$ROBOT_RL_WITNESS_CAMERAS`` to what they observe, lets the
process speak ``$ROBOT_RL_WITNESS_SCHEMA`` on the wire, and adds to `time.time` what the eight bytes of
``$ROBOT_RL_WITNESS/clock`` say.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = os.environ.get("ROBOT_RL_WITNESS", "")
CAMERAS = os.environ.get("ROBOT_RL_WITNESS_CAMERAS", "")
_real_time = time.time


class Witness:
    """The log of this process, opened with its first line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handles: dict[int, int] = {}

    def say(self, event: str, *details: object) -> None:
        pid = os.getpid()
        if pid not in self._handles:
            path = self._folder / f"{pid}.log"
            self._handles[pid] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        line = " ".join(map(str, (event, f"{time.monotonic():.6f}", f"{time.time():.6f}", *details)))
        os.write(self._handles[pid], line.encode() + b"\n")


def watch_wire(module: ModuleType, witness: Witness) -> None:
    """Acknowledgements and welcomes as the actor understands them, and the allowance in them."""
    decode: Callable[[Any], Any] = module.decode

    def witnessed(frames: Any) -> Any:
        message = decode(frames)
        kind = type(message).__name__
        if kind in ("Ack", "Welcome"):
            place = "none" if message.cursor is None else f"{message.cursor[0]}:{message.cursor[1]}"
            witness.say(kind.lower(), place, message.allowed if kind == "Ack" else message.actor_steps)
        return message

    module.decode = witnessed  # type: ignore[attr-defined]
    if schema := os.environ.get("ROBOT_RL_WITNESS_SCHEMA"):
        module.SCHEMA = int(schema)  # type: ignore[attr-defined]


def watch_env(module: ModuleType, witness: Witness) -> None:
    """Every step that moves the robot, from its beginning to its end."""
    open_env: Callable[..., Any] = module.open_env
    period_s = 1.0 / float(os.environ.get("ROBOT_RL_WITNESS_HZ", "1e9"))

    def opened(config: Any) -> Any:
        env = open_env(config) if not CAMERAS else _with_cameras(config)
        step = env.step

        def witnessed(action: Any) -> Any:
            start_s = time.monotonic()
            witness.say("moving")
            result = step(action)
            witness.say("moved")
            time.sleep(max(0.0, start_s + period_s - time.monotonic()))
            return result

        env.step = witnessed
        return env

    module.open_env = opened  # type: ignore[attr-defined]


def _with_cameras(config: Any) -> Any:
    from robot_rl.envs import make_env

    return make_env(config.task, cameras=tuple(CAMERAS.split(",")), **dict(config.task_options))


def watch_log(module: ModuleType, witness: Witness) -> None:
    """Every record that is on its way to the disk: the actor's spool or the learner's archive, as the path says."""
    append: Callable[[Any, Any], None] = module.EpisodeWriter.append

    def witnessed(self: Any, record: Any) -> None:
        append(self, record)
        witness.say("wrote", record.episode_id, record.step_index)

    module.EpisodeWriter.append = witnessed  # type: ignore[attr-defined]


def watch_replay(module: ModuleType, witness: Witness) -> None:
    """Every record that counts as new in the replay buffer."""
    add: Callable[..., bool] = module.ReplayBuffer.add

    def witnessed(self: Any, record: Any, **kwargs: Any) -> bool:
        new = add(self, record, **kwargs)
        if new and not kwargs.get("demo"):
            witness.say("replayed", record.episode_id, record.step_index)
        return new

    module.ReplayBuffer.add = witnessed  # type: ignore[attr-defined]


WATCHED = {
    "robot_rl.runtime.transport.wire": watch_wire,
    "robot_rl.runtime.tasks": watch_env,
    "robot_rl.data.episode_log": watch_log,
    "robot_rl.data.replay": watch_replay,
}


class Finder:
    """Lets the usual finders load a module and then watches it."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        watch = WATCHED.get(name)
        spec = PathFinder.find_spec(name, path) if watch is not None else None
        if watch is None or spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_and_watch(module: ModuleType) -> None:
            execute(module)
            watch(module, self._witness)

        spec.loader.exec_module = exec_and_watch  # type: ignore[method-assign]
        return spec


def shift_clock(path: Path) -> None:
    """Add the seconds in a file of eight bytes to this process's time of day, from now on and whenever they change."""
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    time.time = lambda: _real_time() + struct.unpack_from("<d", offset)[0]
    time.time_ns = lambda: int(time.time() * 1e9)


if FOLDER:
    sys.meta_path.insert(0, Finder(Witness(Path(FOLDER))))  # type: ignore[arg-type]
    if (Path(FOLDER) / "clock").exists():
        shift_clock(Path(FOLDER) / "clock")
