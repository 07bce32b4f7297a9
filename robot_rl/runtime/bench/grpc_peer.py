"""The transport's work done through plain gRPC, to compare with: generic handlers, bytes in and bytes out, one codec.

`GrpcEnd` is the learner's side, `GrpcPeer` the actor's. grpcio is imported where it is used: only the comparison needs
it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy.typing as npt

from robot_rl.core.errors import ConfigError
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record, unpack_record
from robot_rl.runtime.transport.wire import Parameters, decode, encode, join, split

SERVICE = "robot_rl.Bench"
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


def import_grpc() -> Any:
    """The library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import grpc
    except ImportError as e:
        raise ConfigError("the comparison with gRPC needs grpcio: pip install 'robot-rl[bench]'") from e
    return grpc


class GrpcEnd:
    """Receives streams of records and hands the newest parameters to whoever follows them."""

    def __init__(self) -> None:
        grpc = import_grpc()
        self._server = grpc.server(ThreadPoolExecutor(4), options=_OPTIONS)
        handlers = {
            "Send": grpc.stream_unary_rpc_method_handler(self._take),
            "Follow": grpc.unary_stream_rpc_method_handler(self._give),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._changed = threading.Condition()
        self._newest = b""
        self._closed = False
        self._server.start()

    def publish(self, version: int, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Make these the newest parameters."""
        data = join(encode(Parameters("bench", version, time.time(), arrays)))
        with self._changed:
            self._newest = data
            self._changed.notify_all()

    def close(self) -> None:
        """Stop serving."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.stop(None).wait()

    def _take(self, stream: Iterator[bytes], context: Any) -> bytes:
        count = 0
        for data in stream:
            unpack_record(data)
            count += 1
        return count.to_bytes(8, "little")

    def _give(self, request: bytes, context: Any) -> Iterator[bytes]:
        sent = b""
        while True:
            with self._changed:
                while self._newest is sent and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                sent = self._newest
            yield sent


class GrpcPeer:
    """Sends records and follows the parameters of a `GrpcEnd`.

    Args:
        endpoint: ``host:port`` of it.
    """

    def __init__(self, endpoint: str) -> None:
        self._channel = import_grpc().insecure_channel(endpoint, options=_OPTIONS)
        self._followed: Any = None

    def send(self, records: Sequence[StepRecord]) -> None:
        """Pack and send all records in one stream, and wait until the other end has checked the last.

        Raises:
            ConfigError: it counted another number of records.
        """
        reply = self._channel.stream_unary(f"/{SERVICE}/Send")(pack_record(r) for r in records)
        if int.from_bytes(reply, "little") != len(records):
            raise ConfigError(f"gRPC delivered {int.from_bytes(reply, 'little')} of {len(records)} records")

    def follow(self, use: Callable[[Parameters], None]) -> None:
        """Call `use` with all parameters that arrive, in a thread, until `close`."""
        self._followed = self._channel.unary_stream(f"/{SERVICE}/Follow")(b"")

        def read() -> None:
            grpc = import_grpc()
            try:
                for data in self._followed:
                    message = decode(split(data))
                    if isinstance(message, Parameters):
                        use(message)
            except grpc.RpcError:
                return

        threading.Thread(target=read, daemon=True).start()

    def close(self) -> None:
        """Close the channel."""
        if self._followed is not None:
            self._followed.cancel()
        self._channel.close()
