"""Disks that are full: the actor's spool, the learner's archive. Each on a small file system of its own."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.cases_processes import free_ports
from tests.faults.evidence import read_events
from tests.faults.rig import SLACK, Rig, wait_until
from tests.faults.table import Row, judged

# More than an actor leaves free before it holds of its own accord.
DISK_MIB = 1200
FULL_S = 120.0


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of `DISK_MIB` in memory.

    Raises:
        OSError: this machine does not let us mount one.
    """
    path.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Take all space that is left; returns the file to delete again."""
    path = disk / "filler"
    with path.open("wb") as file:
        for chunk in (2**26, 2**20, 2**12):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, chunk)
    return path


def full_disks(folder: Path) -> list[Row]:
    """Both disks in turn."""
    rows = []
    for name, case in (("actor's spool", full_spool), ("learner's archive", full_archive)):
        row = Row(f"disk of the {name} full")
        try:
            with small_disk(folder / name.split("'")[0] / "disk"):
                case(folder / name.split("'")[0], row)
        except OSError as e:
            row.not_run = str(e)
        rows.append(judged(row))
    return rows


def full_spool(folder: Path, row: Row) -> None:
    """The actor stops the robot and says so; with space again it goes on where it was."""
    disk = folder / "disk"
    rig = Rig(folder, listen=f"tcp://127.0.0.1:{free_ports()}", spool=disk / "spool")
    try:
        rig.start_learner()
        rig.start_actor()
        rig.await_progress(60)
        filler = fill(disk)
        assert rig.actor is not None
        wait_until(lambda: rig.actor is None or rig.actor.poll() is not None, FULL_S, "the actor to notice")
        row.notes.append(f"actor: exit code {rig.actor.returncode}, “{rig.said('actor.txt')[:240]}”")
        if rig.actor.returncode != 2:
            row.wrong.append("expected exit code 2")
        events = read_events(rig.witness)[rig.actor.pid]
        last = max(i for i, e in enumerate(events) if e.what == "wrote")
        moves = sum(e.what == "moving" for e in events[last:])
        row.robot = f"{moves} steps after the last one logged"
        filler.unlink()
        start_s = time.monotonic()
        rig.start_actor()
        row.recovered_s.append(rig.await_progress() - start_s)
        rig.await_progress(40)
        rig.stop()
        row.audit = rig.audit()
    except TimeoutError as e:
        row.wrong.append(str(e))
    finally:
        rig.close()


def full_archive(folder: Path, row: Row) -> None:
    """The learner acknowledges nothing more and ends; the actor holds and keeps what it has; then both go on."""
    disk = folder / "disk"
    rig = Rig(folder, listen=f"tcp://127.0.0.1:{free_ports()}", out_dir=disk / "runs")
    try:
        rig.start_learner()
        rig.start_actor()
        rig.await_progress(60)
        filler = fill(disk)
        assert rig.learner is not None
        wait_until(lambda: rig.learner is None or rig.learner.poll() is not None, FULL_S, "the learner to notice")
        row.notes.append(f"learner: exit code {rig.learner.returncode}, “{rig.said('learner.txt')[:240]}”")
        if rig.learner.returncode != 2:
            row.wrong.append("expected exit code 2")
        pid = rig.actor_pid()
        if not pid:
            row.wrong.append(f"the actor ended too: {rig.said('actor.txt')}")
        filler.unlink()
        start_s = time.monotonic()
        rig.start_learner()
        row.recovered_s.append(rig.await_progress() - start_s)
        rig.await_progress(3 * SLACK)
        rig.stop()
        row.audit = rig.audit()
        row.robot = f"{row.audit.beyond} steps beyond the allowance"
    except TimeoutError as e:
        row.wrong.append(str(e))
    finally:
        rig.close()
