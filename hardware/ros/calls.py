"""Calling services from a program whose node is served by a `Spinner`."""

from __future__ import annotations

import math
import time
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from robot_rl.core.errors import DeviceError
from robot_rl.hardware.ros.executor import Spinner

AGAIN_S = 1.0
_WAIT_S = 0.002


class Calls:
    """Services of a cell, called by name; blocks, but never longer than told.

    Args:
        spinner: whose node calls; not from its own callbacks.
        timeout_s: for a service to be there, and then for its answer.
    """

    def __init__(self, spinner: Spinner, timeout_s: float = 5.0) -> None:
        self._node, self._timeout_s = spinner.node, timeout_s
        self._clients: dict[str, Client[Any, Any]] = {}

    def trigger(self, name: str, timeout_s: float | None = None, *, again_s: float = math.inf) -> tuple[bool, str]:
        """Call a `Trigger`; whether it was done, and what it says.

        Args:
            name: of the service.
            timeout_s: instead of the usual one.
            again_s: as for `call`.

        Raises:
            DeviceError: nobody offers it, or no answer came in time.
        """
        answer = self.call(Trigger, name, Trigger.Request(), timeout_s, again_s)
        return bool(answer.success), str(answer.message)

    def switch(self, name: str, on: bool, timeout_s: float | None = None) -> tuple[bool, str]:
        """Call a `SetBool`; as `trigger`."""
        answer = self.call(SetBool, name, SetBool.Request(data=on), timeout_s)
        return bool(answer.success), str(answer.message)

    def set_parameters(self, node: str, values: dict[str, Any], timeout_s: float | None = None) -> None:
        """Set parameters of a node.

        Raises:
            DeviceError: as `trigger`, or a value is refused; names it.
        """
        messages: list[ParameterMessage] = [Parameter(k, value=v).to_parameter_msg() for k, v in values.items()]
        request = SetParameters.Request(parameters=messages)
        answer = self.call(SetParameters, f"{node}/set_parameters", request, timeout_s, AGAIN_S)
        for (name, value), result in zip(values.items(), answer.results, strict=True):
            if not result.successful:
                raise DeviceError(f"the node {node} refuses {name} = {value}: {result.reason}")

    def call(
        self, kind: Any, name: str, request: Any, timeout_s: float | None = None, again_s: float = math.inf
    ) -> Any:
        """Call any service.

        Args:
            kind: type of the service.
            name: of the service.
            request: for it.
            timeout_s: instead of the usual one.
            again_s: send the request again after so long: what was sent to a node that has just died is lost, also if
                its successor is up. Only for requests that may be carried out twice.

        Raises:
            DeviceError: as `trigger`.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self._node.create_client(kind, name)
        if not client.service_is_ready() and not client.wait_for_service(limit_s):
            raise DeviceError(f"nobody offers the service {client.service_name}: is the cell up? (robot-rl cell up)")
        now_s = sent_s = time.monotonic()
        end_s = now_s + limit_s
        future = client.call_async(request)
        while not future.done():
            now_s = time.monotonic()
            if now_s > end_s:
                client.remove_pending_request(future)
                raise DeviceError(f"the service {client.service_name} did not answer within {limit_s:g} s")
            if now_s - sent_s > again_s:
                client.remove_pending_request(future)
                future, sent_s = client.call_async(request), now_s
            time.sleep(_WAIT_S)
        return future.result()
