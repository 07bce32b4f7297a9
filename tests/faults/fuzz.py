"""Malformed inputs for everything that reads what another process wrote: messages, records, episode files.

Inputs are mutations of valid ones and noise, from one seed, so that a finding can be repeated. A reader may refuse with
a `DataError` or accept what is still well-formed; anything else it raises, and memory that grows, is a finding.
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.data.codec import pack_record, unpack_record
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.data.mcap_scan import scan
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.runtime.bench.ends import policy_arrays
from robot_rl.runtime.transport.wire import (
    SCHEMA,
    Ack,
    Hello,
    Message,
    Parameters,
    Records,
    Refuse,
    Welcome,
    decode,
    encode,
    join,
    pack_all,
    split,
)
from tests.runtime.fakes import ACTIONS, SPEC, stream

Frames = list[bytes]
OVERSIZED = bytes(2**26 + 1)


@dataclass
class Outcome:
    """What became of a series of inputs.

    Attributes:
        inputs: tried.
        refused: with a `DataError`.
        accepted: still well-formed.
        findings: text of every other exception, by how often.
        grown_mib: resident memory after, beyond that before; its peak in `peak_mib`.
    """

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    grown_mib: float = 0.0
    peak_mib: float = 0.0


def good_messages(run_id: str = "run", actor: str = "a0", session: str = "s1") -> list[Message]:
    """One valid message of each kind."""
    records = stream([3, 2], prefix=f"{run_id}-{actor}")
    return [
        Hello(run_id, actor, session, "robot-pc", (3, 4), "0123abcd", 1.5),
        Welcome(run_id, "l1", "task: Point\nseed: 0\n", (3, 4), 17, 23),
        Refuse("another run"),
        Records(run_id, actor, session, None, pack_all(records)),
        Ack("l1", (3, 4), False, 60, 40, False),
        Parameters(run_id, 3, 1e9, policy_arrays(hidden=4)),
    ]


def mutated(rng: random.Random, messages: list[Frames]) -> Iterator[Frames]:
    """Endless malformed versions of valid messages, and noise."""
    while True:
        frames = list(rng.choice(messages))
        kind = rng.randrange(20)
        if kind == 0:
            frames = [rng.randbytes(rng.randrange(80)) for _ in range(rng.randrange(5))]
        elif kind <= 7:
            frames[0] = _other_field(rng, frames[0])
        elif kind == 8:
            frames = rng.choices(frames, k=rng.randrange(6)) if frames else frames
        elif kind == 9:
            frames = [*frames, *rng.choice(messages)]
        elif kind == 10:
            frames = frames[: rng.randrange(len(frames) + 1)]
        elif kind == 11 and rng.random() < 0.01:
            frames[rng.randrange(len(frames))] = OVERSIZED
        elif kind == 12 and rng.random() < 0.1:
            frames = [*frames, *[b""] * rng.randrange(2000)]
        else:
            i = rng.randrange(len(frames))
            frames[i] = damaged(rng, frames[i])
        yield frames


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes flipped, removed, repeated or put in, at one to four places."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(out) + 1), rng.choice((1, 1, 1, 2, 4, 9, 60))
        kind = rng.randrange(6)
        if kind == 0:
            del out[at : at + size]
        elif kind == 1:
            out[at:at] = rng.randbytes(size)
        elif kind == 2:
            out[at:at] = out[at : at + size]
        elif kind == 3:
            out[at:] = b""
        elif kind == 4:  # a length of four billion where msgpack may expect one
            out[at : at + 5] = bytes((rng.choice((0xDD, 0xDF, 0xC6, 0xDB, 0xC9)), 255, 255, 255, 255))
        elif out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
    return bytes(out)


def odd_value(rng: random.Random) -> Any:
    """Something a field may hold only by mistake or malice."""
    deep: Any = []
    for _ in range(rng.choice((3, 600))):
        deep = [deep]
    choices = [None, True, -1, 0, 1, 2**53 + 1, 2**63, -(2**63), float("nan"), float("inf"), -1.0, 1e308, "", "x" * 300]
    choices += ["../../etc/passwd", "\x00", "a\nb", "\ud7ff", "a0", b"", b"x" * 20, [], {}, [1], [1, 2, 3], [-1, -1]]
    choices += [[2**60, 2**60], [1.0, 2.0], {"a": {}}, [["w", "<f4", [2**31 - 1] * 8]], [["w", "O", [1]]], deep]
    choices += [[["w", "<f4", [0, 2**31 - 1]]], [["w", "<f4", [1]]] * 3, ["w"] * 4000, {str(i): i for i in range(40)}]
    return rng.choice(choices)


def _other_field(rng: random.Random, header: bytes) -> bytes:
    """A header with one field replaced, removed or added."""
    data: dict[Any, Any] = msgpack.unpackb(header, strict_map_key=False)
    key = rng.choice(list(data))
    kind = rng.randrange(8)
    if kind == 0:
        del data[key]
    elif kind == 1:
        data[rng.choice(("extra", "", 5, "x" * 300))] = odd_value(rng)
    elif kind == 2:
        data["kind"] = rng.choice(("hello", "welcome", "refuse", "records", "ack", "parameters", "Hello", ""))
    elif kind == 3:
        data["schema"] = rng.choice((0, 1, SCHEMA + 1, -1, 2**40, str(SCHEMA), float(SCHEMA), None))
    else:
        data[key] = odd_value(rng)
    return _pack(data)


def _pack(data: Any) -> bytes:
    try:
        packed: bytes = msgpack.packb(data, use_bin_type=True)
    except (ValueError, OverflowError):  # nested deeper than the library writes
        return b"\x81\xa4kind" + b"\x91" * 2000
    return packed


def fuzz_messages(n: int, seed: int = 0) -> Outcome:
    """Everything an actor or a learner does with frames before it believes them."""
    rng = random.Random(seed)
    messages = [encode(m) for m in good_messages()]

    def read(frames: Frames) -> None:
        message = decode(frames)
        if isinstance(message, Records):
            message.unpack()
        elif isinstance(message, Parameters):
            GaussianPolicy.from_params(dict(message.arrays), message.version)

    def read_joined(frames: Frames) -> None:
        read(split(join(frames) if frames else b""))

    source = mutated(rng, messages)
    return _try((rng.choice((read, read, read_joined)), next(source)) for _ in range(n))


def fuzz_records(n: int, seed: int = 0) -> Outcome:
    """Records as they travel and as they are stored."""
    rng = random.Random(seed)
    good = [pack_record(r) for r in (*stream([3, 2]), _with_pictures())]

    def inputs() -> Iterator[bytes]:
        while True:
            data = rng.choice(good)
            yield _other_part(rng, data) if rng.random() < 0.5 else damaged(rng, data)

    source = inputs()
    return _try((unpack_record, next(source)) for _ in range(n))


def fuzz_files(n: int, folder: Path, seed: int = 0) -> Outcome:
    """Episode files damaged anywhere."""
    rng = random.Random(seed)
    whole = folder / "whole.mcap"
    writer = EpisodeWriter(whole, EpisodeMeta("Point", SPEC, ACTIONS, run_id="run"))
    for record in stream([12]):
        writer.append(record)
    writer.close()
    data, target = whole.read_bytes(), folder / "damaged.mcap"
    wanted = [r.step_index for r in scan(whole).records]

    def read(bad: bytes) -> None:
        target.write_bytes(bad)
        got = [r.step_index for r in scan(target).records]
        if got != wanted[: len(got)]:
            raise AssertionError(f"steps {got} out of {wanted}")

    return _try((read, damaged(rng, data)) for _ in range(n))


def _with_pictures() -> StepRecord:
    from dataclasses import replace

    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    record = stream([2])[0]
    return replace(record, obs=Observation(record.obs.state, {"wrist": image, "side": image}))


def _other_part(rng: random.Random, packed: bytes) -> bytes:
    """A record with something odd at a random place of its tree."""
    tree: Any = msgpack.unpackb(packed)
    node = tree
    while True:
        key = rng.choice(list(node))
        if isinstance(node[key], dict) and node[key] and rng.random() < 0.7:
            node = node[key]
            continue
        if rng.random() < 0.2:
            del node[key]
        else:
            node[key] = odd_value(rng)
        return _pack(tree)


def _try(cases: Iterable[tuple[Callable[[Any], object], Any]]) -> Outcome:
    outcome = Outcome()
    before = resident_mib(reset_peak=True)
    for read, data in cases:
        outcome.inputs += 1
        try:
            read(data)
            outcome.accepted += 1
        except DataError:
            outcome.refused += 1
        except Exception as e:  # every other exception is what is looked for
            where = traceback.extract_tb(e.__traceback__)[-1]
            outcome.findings[f"{type(e).__name__}: {str(e)[:80]} in {Path(where.filename).name}:{where.lineno}"] += 1
    outcome.grown_mib = resident_mib() - before
    outcome.peak_mib = _status_mib("VmHWM") - before
    return outcome


def resident_mib(pid: int | str = "self", *, reset_peak: bool = False) -> float:
    """Resident memory of a process; optionally forget its peak so far."""
    if reset_peak:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status_mib("VmRSS", pid)


def _status_mib(name: str, pid: int | str = "self") -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0
