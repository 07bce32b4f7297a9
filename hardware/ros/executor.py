"""Running nodes: to the end of a process, or beside a program that does something else.

One executor with one thread a process: it measured cheapest. A daemon thread that still spins when the interpreter ends
aborts the process, so every thread here is joined.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.environment import enter_cell


def open_context(config: CellConfig, ros_args: Sequence[str] = (), *, pictures: bool = True) -> Context:
    """A context of its own in the cell's domain; `Context.try_shutdown` ends it.

    Args:
        config: of the cell.
        ros_args: as after a program's name, such as ``--ros-args -p autostart:=false``.
        pictures: as in `robot_rl.hardware.cell.environment.cell_environment`; the first context of a process decides.
    """
    enter_cell(config, pictures=pictures)
    context = Context()
    rclpy.init(args=list(ros_args), context=context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    return context


def run_nodes(nodes: Sequence[Any], context: Context) -> None:
    """Spin until SIGINT or SIGTERM, then close every node (``close()``) in reverse order."""
    executor = SingleThreadedExecutor(context=context)
    stop = threading.Event()

    def on_signal(_: int, __: FrameType | None) -> None:
        stop.set()
        executor.wake()

    previous = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        for node in nodes:
            executor.add_node(node)
        with suppress(ExternalShutdownException):
            while not stop.is_set() and context.ok():
                executor.spin_once(timeout_sec=0.5)
    finally:
        for node in reversed(nodes):
            node.close()
        executor.shutdown()
        context.try_shutdown()
        for number, handler in previous.items():
            signal.signal(number, handler)


class Spinner:
    """A plain node that a thread of its own serves while the program goes on.

    Args:
        name: of the node.
        config: the cell, for its namespace and domain.
    """

    def __init__(self, name: str, config: CellConfig) -> None:
        self.context = open_context(config)
        self.node: Node = rclpy.create_node(
            name, namespace=f"/{config.name}", context=self.context, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name=f"{name}-spin")
        self._closed = False
        self._thread.start()

    def close(self) -> None:
        """Stop serving, leave the graph. May be called twice."""
        if self._closed:
            return
        self._closed = True
        # Shut down only when it no longer runs a callback: that would find its guards destroyed.
        self._executor.wake()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            while not self._closed and self.context.ok():
                self._executor.spin_once(timeout_sec=0.5)
