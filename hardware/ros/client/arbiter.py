"""What the safety arbiter of a cell says, and what it can be asked for."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress

import numpy as np
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import String

from robot_rl.controllers.arbiter_modes import FAULTS, Mode
from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.types import Array
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.calls import Calls
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import pose_message, pose_of

POLICY = "policy"
SILENT = "arbiter_silent"
SILENT_S = 0.5
READY = frozenset({Mode.HOLDING, Mode.ACTIVE})
LATCHED = frozenset({Mode.FAULT, Mode.STOPPED})
_RELEASE_S = 0.5
_BRING_S = 0.15
_RECOVER_S = 10.0
_FOLLOWS_S = 2.0
_AGAIN_S = 0.1


class ArbiterClient:
    """The role ``policy`` at the arbiter.

    Args:
        spinner: whose node talks.
        calls: through which services are called.
    """

    def __init__(self, spinner: Spinner, calls: Calls) -> None:
        self._calls = calls
        self._modes = Newest(spinner.node, String, names.MODE, lambda m: str(m.data), qos.LATCHED)
        self._faults = Newest(spinner.node, String, names.FAULT, lambda m: str(m.data), qos.LATCHED)
        self._targets = Newest(spinner.node, PoseStamped, names.TARGET_POSE, pose_of)
        self._wishes = spinner.node.create_publisher(PoseStamped, names.wish(POLICY), qos.COMMAND)

    @property
    def mode(self) -> Mode | None:
        """The newest; None while the arbiter is silent: it says its mode ten times a second."""
        heard = self._modes.newest
        if heard is None or heard.age_s > SILENT_S:
            return None
        with suppress(ValueError):
            return Mode(heard.value)
        return None

    @property
    def sentence(self) -> str:
        """What is latched, as ``name: reason``; empty for nothing."""
        heard = self._faults.newest
        return "" if heard is None else heard.value

    @property
    def fault(self) -> str | None:
        """Why the arm takes no targets, as `robot_rl.core.types.ArmState.fault`."""
        mode = self.mode
        if mode is None:
            return SILENT
        if mode in LATCHED:
            return self.sentence.partition(":")[0].strip() or mode.value
        return mode.value if mode is Mode.DISABLED else None

    @property
    def remedy(self) -> str:
        """One sentence for an operator: what is wrong, and what to do about it."""
        fault = self.fault or ""
        if fault == SILENT:
            return "the safety arbiter is silent: start the cell (robot-rl cell up) or its arbiter node"
        if fault == Mode.DISABLED.value:
            return "the arm is disabled: enable it (robot-rl cell enable)"
        todo = FAULTS[fault][1] if fault in FAULTS else "look at the cell"
        then = "then recover and enable it (robot-rl cell recover)"
        return f"the arm stands still after {self.sentence or fault}: {todo}, {then}"

    @property
    def target(self) -> Array | None:
        """The pose that the arm is following ``[7]``, in the base frame."""
        heard = self._targets.newest
        return None if heard is None else heard.value

    def wish(self, pose_base_tcp: Array) -> None:
        """Tell the arbiter where the tool should be, as of now."""
        self._wishes.publish(pose_message(pose_base_tcp, names.BASE_FRAME, time.time()))

    def bring(self, pose_base_tcp: Array) -> bool:
        """As `wish`, and wait until the arm follows it; False if limits or a stronger role keep it from that."""
        self.wish(pose_base_tcp)
        return self._targets.wait(lambda heard: np.array_equal(heard.value, pose_base_tcp), _BRING_S)

    def release(self) -> None:
        """Let go of the arm, which then holds. Nothing to let go of, or nobody to tell, is no error."""
        with suppress(DeviceError):
            self._calls.trigger(names.release(POLICY), _RELEASE_S)

    def wait_for(self, modes: Collection[Mode], timeout_s: float = _FOLLOWS_S) -> bool:
        """Wait until the arbiter says that it is in one of these modes; False if it did not in time."""
        wanted = {mode.value for mode in modes}
        return self._modes.wait(lambda heard: heard.value in wanted and heard.age_s <= SILENT_S, timeout_s)

    def enable(self) -> None:
        """Let the arm move; it holds.

        Raises:
            SafetyFault: refused; says why.
            DeviceError: no answer.
        """
        end_s = time.monotonic() + _FOLLOWS_S
        done, text = self._calls.switch(names.ENABLE, True)
        # An arbiter that has just started has not heard the arm yet.
        while not done and self.mode is Mode.DISABLED and time.monotonic() < end_s:
            time.sleep(_AGAIN_S)
            done, text = self._calls.switch(names.ENABLE, True)
        if not done and self.mode not in READY:
            self._refused(text)
        self._follows(READY)

    def disable(self) -> None:
        """Freeze the arm; anything but a fault is disabled afterwards.

        Raises:
            DeviceError: no answer.
        """
        self._calls.switch(names.ENABLE, False)
        self._follows(LATCHED | {Mode.DISABLED})

    def clear(self) -> None:
        """Clear what is latched: the arm is disabled then. Does nothing if nothing is.

        Raises:
            SafetyFault: refused; says why.
            DeviceError: no answer.
        """
        if self.mode in LATCHED:
            done, text = self._calls.trigger(names.RECOVER, _RECOVER_S)
            if not done:
                self._refused(text)
            self._follows(frozenset(Mode) - LATCHED)

    def home(self, timeout_s: float) -> None:
        """Move the joints home. Blocks.

        Raises:
            SafetyFault: a fault is latched, or latched on the way.
            DeviceError: the arm did not get there.
        """
        done, text = self._calls.trigger(names.HOME, timeout_s)
        if not done:
            self._raise_fault(text)
            raise DeviceError(f"the arm did not move home: {text}")
        self._follows(READY)

    def _refused(self, text: str) -> None:
        self._raise_fault(text)
        raise SafetyFault(f"the safety arbiter refuses: {text}", "refused")

    def _raise_fault(self, text: str) -> None:
        fault = self.fault
        if fault is not None:
            raise SafetyFault(f"{text} ({self.remedy})", fault)

    def _follows(self, modes: Collection[Mode]) -> None:
        if not self.wait_for(modes):
            self._raise_fault("the safety arbiter did not do what it said")
            raise DeviceError("the safety arbiter did not do what it said")
