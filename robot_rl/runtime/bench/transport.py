"""How fast records and parameters travel between two processes: our sockets, with and without keys, beside plain gRPC.

All ways carry the same records with the same codec and are measured in turns in one run. The learner's side, in
`robot_rl.runtime.bench.ends`, checks every record; ours acknowledges, gRPC counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from robot_rl.core.errors import DeviceError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.codec import pack_record
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.runtime.bench.ends import RUN, STATE_SIZE
from robot_rl.runtime.bench.grpc_peer import GrpcPeer, import_grpc
from robot_rl.runtime.transport.keys import ActorKeys, create_keys, load_actor_keys
from robot_rl.runtime.transport.link import Link
from robot_rl.runtime.transport.messages import Parameters
from robot_rl.runtime.transport.stream import is_before, place_of
from robot_rl.runtime.transport.wire import Place

Row = dict[str, Any]
WAYS = ("ours", "ours with CURVE", "gRPC")
PAYLOADS = {"24 state values": (2_000, None), "two 128x128 images": (300, (128, 128, 3))}
PATIENCE_S = 60.0


def transport_rates(*, rounds: int = 5, share: float = 1.0, publications: int = 300) -> list[Row]:
    """Records per second, and milliseconds from the publication of parameters to a policy that can act with them.

    Args:
        rounds: repetitions, all ways in turns.
        share: of the usual number of records in a round, for a quick look.
        publications: of parameters each way.

    Returns:
        Rows of records with ``records_per_s`` (median) and ``best``, then rows of parameters with ``p50_ms`` and
        ``p99_ms``.

    Raises:
        ConfigError: grpcio is not installed.
        DeviceError: the other process does not answer.
    """
    import_grpc()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ends = stack.enter_context(_ends(Path(folder)))
        peers: dict[str, _Peer] = {
            "ours": _OurPeer("plain", ends.where["plain"], None),
            "ours with CURVE": _OurPeer("curve", ends.where["curve"], ends.keys),
            "gRPC": _GrpcPeer(ends.where["grpc"][0]),
        }
        for peer in peers.values():
            stack.callback(peer.close)
        rows = _record_rows(peers, rounds, share)
        return rows + _parameter_rows(peers, ends, publications)


@dataclass(frozen=True)
class _Ends:
    """The other process: where it listens, how to make it publish, and the actor's keys."""

    where: dict[str, list[str]]
    publish: Callable[[str], None]
    keys: ActorKeys


@contextmanager
def _ends(folder: Path) -> Iterator[_Ends]:
    create_keys(folder, ("curve",))
    command = [sys.executable, "-m", "robot_rl.runtime.bench.ends", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    stdin = process.stdin

    def publish(how: str) -> None:
        stdin.write(f"{how}\n")
        stdin.flush()

    with process:
        line = process.stdout.readline()
        if not line:
            raise DeviceError(f"the learner's side of the bench ended with exit code {process.wait()}")
        try:
            yield _Ends(json.loads(line), publish, load_actor_keys(folder / "actors" / "curve"))
        finally:
            process.kill()


class _Stopwatch:
    """Notes when a policy made of parameters was ready.

    Attributes:
        ready: set by every policy.
        delay_s: since the publication, of the newest.
    """

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.delay_s = 0.0

    def use(self, message: Parameters) -> None:
        """Make a policy of parameters."""
        GaussianPolicy.from_params(dict(message.arrays), message.version)
        self.delay_s = time.time() - message.t_wall_s
        self.ready.set()


class _Peer(Protocol):
    """The actor's side of one way; `publishes` is what the other side is told to publish its parameters by."""

    publishes: str
    watch: _Stopwatch

    def send(self, records: Sequence[StepRecord]) -> None:
        """Send all and wait until the other end has them."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class _Kept:
    """Records the link may read again; here they are in memory."""

    def __init__(self) -> None:
        self.packed: dict[Place, bytes] = {}

    def read_after(self, cursor: Place | None) -> Iterator[tuple[Place, bytes]]:
        """Everything after a place."""
        yield from ((place, data) for place, data in list(self.packed.items()) if is_before(cursor, place))

    def acknowledge(self, cursor: Place | None) -> None:
        """Nothing is forgotten here."""


class _OurPeer:
    publishes = "ours"

    def __init__(self, actor: str, endpoints: Sequence[str], keys: ActorKeys | None) -> None:
        self.watch = _Stopwatch()
        self._link = Link(actor, endpoints[0], endpoints[1], keys=keys)
        self._kept = _Kept()
        self._await(lambda: self._link.status.welcome is not None)
        self._link.attach(self._kept, "bench", None)
        self._await(lambda: self._link.status.admitted)
        self._closed = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def send(self, records: Sequence[StepRecord]) -> None:
        for record in records:
            place, data = place_of(record), pack_record(record)
            self._kept.packed[place] = data
            self._link.offer(place, data)
        self._await(lambda: self._link.settled)
        self._kept.packed.clear()

    def close(self) -> None:
        self._closed = True
        self._thread.join()
        self._link.close()

    def _follow(self) -> None:
        version = -1
        while not self._closed:
            message = self._link.parameters
            if message is not None and message.version != version:
                version = message.version
                self.watch.use(message)
            else:
                self._link.wait(0.1)

    def _await(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end_s or self._link.status.refused or self._link.status.problem:
                raise DeviceError(f"the learner's side of the bench does not answer: {self._link.status}")
            time.sleep(0.0005)


class _GrpcPeer:
    publishes = "grpc"

    def __init__(self, endpoint: str) -> None:
        self.watch = _Stopwatch()
        self._peer = GrpcPeer(endpoint)
        self._peer.follow(self.watch.use)

    def send(self, records: Sequence[StepRecord]) -> None:
        self._peer.send(records)

    def close(self) -> None:
        self._peer.close()


def _record_rows(peers: dict[str, _Peer], rounds: int, share: float) -> list[Row]:
    rates: dict[tuple[str, str], list[float]] = {(p, w): [] for p in PAYLOADS for w in WAYS}
    sizes = {}
    for number in range(rounds + 1):
        for payload, (n, shape) in PAYLOADS.items():
            records = _records(max(10, round(n * share)), shape, 2 * number + (shape is not None))
            sizes[payload] = len(pack_record(records[0]))
            for way in WAYS:
                start_s = time.perf_counter()
                peers[way].send(records)
                if number:  # the first round warms up
                    rates[payload, way].append(len(records) / (time.perf_counter() - start_s))
    return [
        {
            "case": f"{payload}, {way}",
            "records_per_s": float(np.median(got)),
            "best": max(got),
            "mib_per_s": float(np.median(got)) * sizes[payload] / 2**20,
        }
        for (payload, way), got in rates.items()
    ]


def _parameter_rows(peers: dict[str, _Peer], ends: _Ends, publications: int) -> list[Row]:
    delays: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(publications + 10):
        for way in WAYS:
            peer = peers[way]
            peer.watch.ready.clear()
            ends.publish(peer.publishes)
            if not peer.watch.ready.wait(PATIENCE_S):
                raise DeviceError(f"parameters do not arrive through {way}")
            time.sleep(0.002)  # what the other way of ours does with them must not disturb the next
            if number >= 10:
                delays[way].append(1e3 * peer.watch.delay_s)
    return [
        {
            "case": f"parameters of 256-256 to policy, {way}",
            "p50_ms": float(np.percentile(got, 50)),
            "p99_ms": float(np.percentile(got, 99)),
            "n": len(got),
        }
        for way, got in delays.items()
    ]


def _records(n: int, shape: tuple[int, int, int] | None, episode: int) -> list[StepRecord]:
    images = {} if shape is None else {name: np.zeros(shape, np.uint8) for name in ("wrist", "side")}
    action = np.zeros(ACTION_SIZE, np.float32)
    first = StepRecord(
        episode_id=f"{RUN}-plain-{episode:06d}",
        step_index=0,
        obs=Observation(np.zeros(STATE_SIZE, np.float32), images),
        action_executed=action,
        action_policy=action,
        rewards={"success": 0.0},
        terminated=False,
        truncated=False,
        stop_reason="",
        intervention=False,
        source=Source.POLICY,
        policy_version=0,
        task="bench",
        t_wall_s=0.0,
        t_control_s=0.0,
    )
    return [replace(first, step_index=i) for i in range(n)]
