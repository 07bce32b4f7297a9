"""Messages nobody should send, and an actor of another schema, at a learner that is training with a good actor."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import zmq

from robot_rl.core.errors import DataError
from robot_rl.runtime.transport.wire import Refuse, decode, encode
from tests.faults.cases_processes import free_ports
from tests.faults.fuzz import good_messages, mutated, resident_mib
from tests.faults.rig import Rig
from tests.faults.table import Row, judged

BURST = 50
GROWTH_MIB = 300.0


def malformed(folder: Path, inputs: int = 5_000) -> list[Row]:
    """Corrupted, truncated, oversized, replayed and foreign messages through real sockets."""
    row = Row("corrupted, truncated, oversized, replayed and foreign messages through sockets", inputs)
    endpoint = f"tcp://127.0.0.1:{free_ports()}"
    rig = Rig(folder, listen=endpoint)
    try:
        rig.start_learner()
        rig.start_actor()
        rig.await_progress(60)
        assert rig.learner is not None
        before, progress = resident_mib(rig.learner.pid), rig.progress()
        sent_s = _send_garbage(endpoint, rig.run_id, inputs)
        during = rig.progress() - progress
        row.notes.append(f"{during} good steps arrived meanwhile ({during / sent_s:.0f}/s)")
        if during == 0:
            row.wrong.append("the good actor was not served")
        rig.await_progress(40)
        grown = resident_mib(rig.learner.pid) - before
        row.notes.append(f"the learner grew by {grown:.0f} MiB")
        if grown > GROWTH_MIB:
            row.wrong.append("its memory grew")
        rig.stop()
        row.audit = rig.audit()
    except TimeoutError as e:
        row.wrong.append(str(e))
    finally:
        rig.close()
    return [judged(row)]


def old_schema(folder: Path) -> list[Row]:
    """An actor of schema 1 is told so; one that only shouts old messages does no harm."""
    row = Row("an actor with an older schema")
    endpoint = f"tcp://127.0.0.1:{free_ports()}"
    rig = Rig(folder, listen=endpoint)
    try:
        rig.start_learner()
        rig.start_actor()
        rig.await_progress(60)
        old = rig.another_actor("--name", "a1", env={"ROBOT_RL_WITNESS_SCHEMA": "1"})
        try:
            code = old.wait(60.0)
        except subprocess.TimeoutExpired:
            old.kill()
            code = old.wait()
        row.notes.append(f"exit code {code}: “{rig.said('actor.txt')[:240]}”")
        if code != 2:
            row.wrong.append(f"exit code {code}, expected 2")
        rig.await_progress(20)
        rig.stop()
        row.audit = rig.audit()
    except TimeoutError as e:
        row.wrong.append(str(e))
    finally:
        rig.close()
    return [judged(row)]


def _send_garbage(endpoint: str, run_id: str, inputs: int) -> float:
    """Mutations of messages this learner would take, from peers that come and go; returns the seconds it took."""
    rng = random.Random(1)
    good = [*good_messages(run_id, "a5", "s5"), *good_messages("another", "a6", "s6")]
    messages = [encode(m) for m in good]
    source, context = mutated(rng, messages), zmq.Context()
    start_s, refusals = time.monotonic(), 0
    for first in range(0, inputs, BURST):
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 1000)
        socket.setsockopt(zmq.SNDTIMEO, 2000)
        socket.connect(endpoint)
        for _ in range(min(BURST, inputs - first)):
            frames = next(source) if rng.random() < 0.9 else rng.choice(messages)
            try:
                socket.send_multipart(frames or [b""])
            except zmq.Again:
                break  # the learner hung up on us, as it may
        refusals += _refusals(socket)
        socket.close()
    context.term()
    return time.monotonic() - start_s


def _refusals(socket: zmq.Socket[bytes]) -> int:
    """Answers that are there now and send us away."""
    count = 0
    while socket.poll(5):
        try:
            count += isinstance(decode(socket.recv_multipart(zmq.NOBLOCK)), Refuse)
        except (DataError, zmq.Again):
            continue
    return count
