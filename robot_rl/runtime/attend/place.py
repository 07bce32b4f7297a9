"""Where an actor can be met by operators of the same user of the same machine."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from robot_rl.core.errors import ConfigError, StorageError

SUFFIX = ".sock"
QUESTIONS = ".ask"
# What the kernel takes as the name of a socket.
_LONGEST = 107


def meeting_folder() -> Path:
    """Folder of the sockets, for this user alone.

    Raises:
        StorageError: it cannot be made, or belongs to somebody else.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base) / "robot_rl" if base else Path(tempfile.gettempdir()) / f"robot_rl-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError as e:
        raise StorageError(f"cannot make {folder}, where operators meet actors: {e.strerror or e}") from e
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise StorageError(f"{folder} is open to others: remove it, and it is made anew for you alone")
    return folder


def socket_of(run_id: str, actor: str) -> Path:
    """Socket of an actor of a run.

    Raises:
        StorageError: as `meeting_folder`, or its name is too long for a socket.
    """
    return _short(meeting_folder() / f"{run_id}+{actor}{SUFFIX}")


def socket_of_questions() -> Path:
    """Socket of this process, where it asks whoever is in charge at the console.

    Raises:
        StorageError: as `socket_of`.
    """
    return _short(meeting_folder() / f"{os.getpid()}{QUESTIONS}")


def sockets_of_questions() -> list[Path]:
    """Those of every process of this user that may ask, the oldest first; whoever was killed has left his.

    Raises:
        StorageError: as `meeting_folder`.
    """
    facts = []
    for path in meeting_folder().glob(f"*{QUESTIONS}"):
        with suppress(OSError):  # it ends just now
            facts.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(facts)]


def _short(path: Path) -> Path:
    """The same path, if a socket can have it."""
    if len(os.fsencode(path)) > _LONGEST:
        raise StorageError(f"{path} is too long for a socket: set XDG_RUNTIME_DIR to a shorter folder")
    return path


class Meeting(NamedTuple):
    """Where an actor can be met.

    Attributes:
        run_id: of its run.
        actor: its name.
        path: of its socket.
    """

    run_id: str
    actor: str
    path: Path


def meetings() -> list[Meeting]:
    """Every socket of this user on this machine; whoever was killed has left his.

    Raises:
        StorageError: as `meeting_folder`.
    """
    there = sorted(path for path in meeting_folder().glob(f"*{SUFFIX}") if path.is_socket())
    names = [path.name.removesuffix(SUFFIX).rpartition("+") for path in there]
    return [Meeting(run, actor, path) for (run, _, actor), path in zip(names, there, strict=True) if actor]


def find_actor(run_id: str, actor: str = "") -> Path:
    """Socket of a running actor.

    Args:
        run_id: of its run; empty for any.
        actor: its name; empty if there is but one.

    Raises:
        ConfigError: there is none, or more than one; says which there are.
    """
    there = meetings()
    found = [m for m in there if run_id in ("", m.run_id) and actor in ("", m.actor)]
    if len(found) == 1:
        return found[0].path
    wanted = f"{actor or 'any actor'} of {run_id or 'any run'}"
    names = ", ".join(f"{m.actor} of {m.run_id}" for m in there)
    if not found:
        raise ConfigError(f"{wanted} does not run here; there is {names or 'none'}")
    raise ConfigError(f"{wanted}: {len(found)} of them run here ({names}): name the run, or one with --actor")
