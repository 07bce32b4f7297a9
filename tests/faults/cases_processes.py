"""Processes that are killed, stopped, started twice, or whose clock jumps."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from tests.faults.evidence import moves_between
from tests.faults.rig import SLACK, Rig, nap
from tests.faults.table import Row, judged

KILLS_A_RUN = 9
HOLD_S = 10.0


def kills(folder: Path, times: int = 50, seed: int = 0) -> list[Row]:
    """``kill -9`` of the actor, of the learner and of both, at random times."""
    rng = random.Random(seed)
    shares = [times // 3 + (i < times % 3) for i in range(3)]
    return [
        judged(_kill(folder / name.replace(" ", "_"), name, share, rng))
        for name, share in zip(("actor", "learner", "actor and learner"), shares, strict=True)
    ]


def _kill(folder: Path, name: str, times: int, rng: random.Random) -> Row:
    row = Row(f"kill -9 of {name}", 0)
    while row.times < times:
        rig = Rig(folder / f"from_{row.times}")
        try:
            rig.start_learner()
            rig.await_progress(40)
            for _ in range(min(KILLS_A_RUN, times - row.times)):
                nap(rng, 0.0, 3.0)
                killed_s = rig.kill(actor="actor" in name, learner="learner" in name)
                row.times += 1
                if "learner" in name:
                    rig.start_learner()
                row.recovered_s.append(_recovered(rig) - killed_s)
            rig.stop()
            _merge(row, rig)
        except TimeoutError as e:
            row.wrong.append(str(e))
            return row
        finally:
            rig.close()
    return row


def stops(folder: Path) -> list[Row]:
    """SIGSTOP for ten seconds."""
    rows = []
    for name in ("actor", "learner", "actor and learner"):
        row, rig = Row(f"SIGSTOP of {name} for 10 s"), Rig(folder / name.replace(" ", "_"))
        try:
            rig.start_learner()
            rig.await_progress(60)
            pids = [rig.actor_pid()] if "actor" in name else []
            pids += [rig.learner.pid] if "learner" in name and rig.learner is not None else []
            start_s = time.monotonic()
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(HOLD_S)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            row.recovered_s.append(rig.await_progress() - start_s - HOLD_S)
            rig.await_progress(20)
            rig.stop()
            hold(row, rig, start_s, start_s + HOLD_S, 0 if "actor" in name else 2 * SLACK)
            row.audit = rig.audit()
        except TimeoutError as e:
            row.wrong.append(str(e))
        finally:
            rig.close()
        rows.append(judged(row))
    return rows


def clock_jumps(folder: Path) -> list[Row]:
    """The time of day jumps by an hour, forward and back, in all processes at once."""
    rows = []
    for name, offset_s in (("forward", 3600.0), ("back", -3600.0)):
        row, rig = Row(f"the clock jumps an hour {name}, and back after 5 s", 2), Rig(folder / name)
        try:
            rig.start_learner()
            rig.await_progress(60)
            for offset in (offset_s, 0.0):
                start_s = time.monotonic()
                rig.set_clock(offset)
                row.recovered_s.append(rig.await_progress() - start_s)
                time.sleep(5.0)
            rig.await_progress(20)
            rig.stop()
            row.audit = rig.audit()
            row.robot = f"{row.audit.beyond} steps beyond the allowance"
        except TimeoutError as e:
            row.wrong.append(str(e))
        finally:
            rig.close()
        rows.append(judged(row))
    return rows


def doubles(folder: Path) -> list[Row]:
    """A second learner on the same run, and a second actor of the same name."""
    learner, actor = Row("a second learner on the run"), Row("a second actor of the same name")
    endpoint = f"tcp://127.0.0.1:{free_ports()}"
    rig = Rig(folder, listen=endpoint)
    try:
        rig.start_learner()
        rig.start_actor()
        rig.await_progress(60)
        first = rig.learner
        rig.start_learner()
        second, rig.learner = rig.learner, first
        _must_refuse(learner, second, rig, "learner.txt")
        other = rig.another_actor()
        _must_refuse(actor, other, rig, "actor.txt")
        elsewhere = rig.another_actor("--spool", str(folder / "elsewhere"))
        _must_refuse(actor, elsewhere, rig, "actor.txt")
        actor.times = 2
        rig.await_progress(20)
        rig.stop()
        learner.audit = actor.audit = rig.audit()
    except TimeoutError as e:
        learner.wrong.append(str(e))
    finally:
        rig.close()
    return [judged(learner), judged(actor)]


def hold(row: Row, rig: Rig, start_s: float, end_s: float, allowed: int) -> None:
    """Judge that the robot stood still in a span of time, once it had used up what it was allowed."""
    moves, late = moves_between(rig.witness, start_s + 0.1, end_s), moves_between(rig.witness, end_s - 5.0, end_s)
    row.robot = f"{moves} steps in {end_s - start_s:.0f} s, {late} in the last 5 s"
    if moves > allowed or late:
        row.wrong.append(f"the robot moved while it had to hold: {moves} steps, {late} in the last 5 s")


def free_ports() -> int:
    """A port that is free together with the next one."""
    import socket

    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def _recovered(rig: Rig) -> float:
    """When steps arrive again; a learner whose actor died too often has ended, as it says, and is started anew."""
    try:
        return rig.await_progress()
    except TimeoutError:
        if "died" not in rig.said("learner.txt"):
            raise
    rig.start_learner()
    return rig.await_progress()


def _merge(row: Row, rig: Rig) -> None:
    """Add the account of one more run."""
    new = rig.audit()
    row.robot = f"{new.beyond} steps beyond the allowance"
    if row.audit is not None:
        for name in ("executed", "written", "archived", "acked_lost", "written_lost", "duplicates", "not_replayed"):
            setattr(new, name, getattr(new, name) + getattr(row.audit, name))
        new.beyond += row.audit.beyond
        new.unlogged = max(new.unlogged, row.audit.unlogged)
    row.audit = new
    row.robot = f"{new.beyond} steps beyond the allowance"


def _must_refuse(row: Row, process: subprocess.Popen[bytes] | None, rig: Rig, log: str) -> None:
    """A process that has no business here ends with one sentence."""
    assert process is not None
    try:
        code = process.wait(60.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        row.wrong.append("it was let in")
        return
    sentence = rig.said(log)
    row.notes.append(f"exit code {code}: “{sentence[:240]}”")
    if code != 2:
        row.wrong.append(f"exit code {code}, expected 2")
