"""The learner's side of the transport bench, a process of its own: ``python -m robot_rl.runtime.bench.ends KEYS``.

Prints where it listens, then answers lines on stdin: ``ours`` or ``grpc`` publishes the next parameters that way.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.specs import ACTION_SIZE
from robot_rl.runtime.bench.grpc_peer import GrpcEnd
from robot_rl.runtime.transport.keys import load_learner_keys
from robot_rl.runtime.transport.messages import Ack, Hello, Records, Welcome
from robot_rl.runtime.transport.parameters import ParameterPublisher
from robot_rl.runtime.transport.server import RecordServer
from robot_rl.runtime.transport.sockets import ANY_PORT, Secured
from robot_rl.runtime.transport.stream import Inbox

RUN = "bench"
STATE_SIZE = 24
HIDDEN = 256
_NO_LIMIT = 2**50


def policy_arrays(hidden: int = HIDDEN) -> dict[str, npt.NDArray[Any]]:
    """Parameters of an actor network with two equal hidden layers, as a learner publishes them."""
    rng = np.random.default_rng(0)

    def layer(name: str, inputs: int, outputs: int) -> dict[str, npt.NDArray[Any]]:
        weights = rng.normal(0.0, 0.05, (outputs, inputs)).astype(np.float32)
        return {f"{name}/w": weights, f"{name}/b": np.zeros(outputs, np.float32)}

    return {
        "owned": np.arange(ACTION_SIZE, dtype=np.float32),
        "tanh": np.zeros((), np.float32),
        "log_std_range": np.array([-5.0, 2.0], np.float32),
        "normaliser/center": np.zeros(STATE_SIZE, np.float32),
        "normaliser/scale": np.ones(STATE_SIZE, np.float32),
        **layer("actor/0", STATE_SIZE, hidden),
        **layer("actor/1", hidden, hidden),
        **layer("actor/out", hidden, 2 * ACTION_SIZE),
    }


def main(keys: Path) -> None:
    """Serve until stdin ends."""
    remote = Secured(ANY_PORT, load_learner_keys(keys))
    wanted: queue.SimpleQueue[str] = queue.SimpleQueue()
    with ExitStack() as stack:
        server = stack.enter_context(closing(RecordServer(RUN, remote=remote)))
        publisher = stack.enter_context(closing(ParameterPublisher(RUN, remote=remote)))
        grpc = stack.enter_context(closing(GrpcEnd()))
        where = {
            "plain": [server.endpoint, publisher.endpoint],
            "curve": [server.remote_endpoint, publisher.remote_endpoint],
            "grpc": [grpc.endpoint],
        }
        print(json.dumps(where), flush=True)
        threading.Thread(target=_listen_to, args=(wanted,), daemon=True).start()
        _serve(server, publisher, grpc, wanted, policy_arrays())


def _listen_to(wanted: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        wanted.put(line.strip())
    wanted.put("")


def _serve(
    server: RecordServer,
    publisher: ParameterPublisher,
    grpc: GrpcEnd,
    wanted: queue.SimpleQueue[str],
    arrays: Mapping[str, npt.NDArray[Any]],
) -> None:
    inbox, version = Inbox(), 0
    while True:
        _exchange(server, inbox)
        if not wanted.empty():
            how = wanted.get()
            if not how:
                return
            version += 1
            (publisher if how == "ours" else grpc).publish(version, arrays)


def _exchange(server: RecordServer, inbox: Inbox) -> None:
    rewinds: dict[str, bool] = {}
    for message in server.receive(0.001):
        if isinstance(message, Hello):
            cursor = inbox.cursors.get(message.actor)
            server.send(message.actor, Welcome(RUN, "bench", "", cursor, 0, 0))
        elif isinstance(message, Records):
            _, rewinds[message.actor] = inbox.accept(message)
    for actor, rewind in rewinds.items():
        server.send(actor, Ack("bench", inbox.cursors.get(actor), rewind, _NO_LIMIT, 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
