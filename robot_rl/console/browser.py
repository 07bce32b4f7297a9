"""A browser as an operator's device: keys, a gizmo that is dragged, and buttons on a page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robot_rl.console.steer import twist_towards
from robot_rl.controllers.se3 import normalize_pose
from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.marks import MARKS
from robot_rl.core.types import Array, TeleopState
from robot_rl.hardware.joystick import CLOSE, OPEN, TOOL_PER_OPERATOR
from robot_rl.hardware.keyboard.device import FIRST_SPEED, SPEEDS
from robot_rl.hardware.keyboard.table import FASTER, SLOWER, TABLE, USE_OF, Use, describe
from robot_rl.hardware.presses import Presses
from robot_rl.hardware.takeover import ENGAGE

TAP_S = 0.1
"""A motion lasts at least so long, which is a control step at 10 Hz: a tap between two steps is not lost."""
LOST_S = 0.25
"""Hands that have not been heard of for so long move nothing."""

_MOTIONS = {(use.axis, use.sign): use for use in TABLE if use.axis >= 0}
_GRIPPER = {use.says: use for use in TABLE if use.says in (OPEN, CLOSE)}


@dataclass
class _Hands:
    """What the one in charge holds."""

    keys: tuple[str, ...] = ()
    jog: Use | None = None
    pose_base_goal: Array | None = None
    latched: bool = False


class BrowserTeleop:
    """`robot_rl.core.protocols.Teleop` over a page that somebody holds in his hands.

    Keys mean what they mean in a terminal (`robot_rl.hardware.keyboard.table`), but a page also says when one goes up.
    The operator is engaged while he holds a key of the arm or the gripper, a button that jogs, or the gizmo, and
    between two presses of the space bar. Of two opposite keys the later one counts; keys come before the gizmo.

    Only the client who sits there is heard, see `seat`. While he holds something, the age of a reading is the time
    since he was heard last, and so it is once his connection is gone. At rest there is nothing that may have changed
    unheard, and the age is zero.

    Args:
        latches: the space bar takes over by itself; False if a `TakeOver` of mode ``latch`` listens to it.
        now_s: a clock that does not run backwards.
    """

    def __init__(self, *, latches: bool = True, now_s: Callable[[], float] = time.monotonic) -> None:
        self._latches, self._now_s = latches, now_s
        self._lock = threading.Lock()
        self._client: int | None = None
        self._gone = False
        self._heard_s = now_s()
        self._speed = FIRST_SPEED
        self._hands, self._presses = _Hands(), Presses()
        self._until_s: dict[Use, float] = {}
        self._pose_base_tcp: Array | None = None
        self._step, self._active = np.zeros(6), tuple(range(6))

    def describe(self) -> str:
        """What each key does, one line each."""
        return describe()

    @property
    def holds(self) -> bool:
        """Whether the one in charge holds something now."""
        with self._lock:
            return self._holds(self._now_s())

    def seat(self, client: int | None) -> None:
        """Whom to hear from now on, with empty hands; None for nobody. Again for who sits there changes nothing."""
        with self._lock:
            if client != self._client or self._gone:
                self._client, self._gone = client, False
                self._let_go()

    def lose(self, client: int) -> None:
        """The connection of a client is gone; the chair remains his until somebody is seated."""
        with self._lock:
            if client == self._client and not self._gone:
                heard_s = self._heard_s if self._holds(self._now_s()) else self._now_s()
                self._let_go()
                self._gone, self._heard_s = True, heard_s

    def hear(self, client: int, keys: Sequence[str], *, pointer: bool = False) -> None:
        """Everything that a page's hands do now; at each change, and often while they hold something.

        Args:
            client: whose page.
            keys: names of the table that are down, by the time of their going down; others are ignored.
            pointer: a finger or a mouse button is down; as soon as none is, nothing is dragged or jogged any more.
        """
        with self._lock:
            if not self._hears(client):
                return
            hands, before = self._hands, self._hands.keys
            hands.keys = tuple(key for key in keys if key in USE_OF)
            for key in hands.keys:
                if key not in before:
                    self._go_down(USE_OF[key])
            self._presses.update(_said(USE_OF[key] for key in hands.keys))
            if not pointer:
                hands.jog = hands.pose_base_goal = None

    def press(self, client: int, name: str) -> None:
        """A button of the page is pressed and let go of.

        Args:
            client: whose page.
            name: a mark of `robot_rl.core.marks`, or `robot_rl.hardware.takeover.ENGAGE`.

        Raises:
            ConfigError: there is no such button.
        """
        if name not in (*MARKS, ENGAGE):
            raise ConfigError(unknown_name("button", name, (*MARKS, ENGAGE)))
        with self._lock:
            if self._hears(client):
                held = self._presses.held
                if name == ENGAGE:
                    self._hands.latched ^= self._latches
                self._presses.update(held | {name})
                self._presses.update(held)

    def grip(self, client: int, direction: float) -> None:
        """Open the gripper (above zero) or close it (below)."""
        with self._lock:
            if self._hears(client) and direction:
                self._go_down(_GRIPPER[OPEN if direction > 0 else CLOSE])

    def jog(self, client: int, axis: int, sign: float) -> None:
        """A button that moves the arm is held; may be said again and again.

        Args:
            client: whose page.
            axis: of the operator, 0 to 5, as in `robot_rl.hardware.joystick`.
            sign: 1 or -1.

        Raises:
            ConfigError: there is no such motion.
        """
        use = _MOTIONS.get((axis, float(sign)))
        if use is None:
            raise ConfigError(f"a jog along axis {axis} by {sign:g}, expected an axis of 0 to 5, and 1 or -1")
        with self._lock:
            if self._hears(client):
                if self._hands.jog != use:
                    self._go_down(use)
                self._hands.jog = use

    def jog_end(self, client: int) -> None:
        """It is let go of."""
        with self._lock:
            if self._hears(client):
                self._hands.jog = None

    def drag_begin(self, client: int, pose_base_goal: npt.ArrayLike) -> None:
        """The gizmo is grabbed.

        Args:
            client: whose page.
            pose_base_goal: where the gizmo is ``[7]``.

        Raises:
            DataError: it is no pose.
        """
        goal = normalize_pose(pose_base_goal)
        with self._lock:
            if self._hears(client):
                self._hands.pose_base_goal = goal

    def drag_to(self, client: int, pose_base_goal: npt.ArrayLike) -> None:
        """The gizmo is dragged; means nothing unless it is grabbed.

        Raises:
            DataError: it is no pose.
        """
        goal = normalize_pose(pose_base_goal)
        with self._lock:
            if self._hears(client) and self._hands.pose_base_goal is not None:
                self._hands.pose_base_goal = goal

    def drag_end(self, client: int) -> None:
        """The gizmo is let go of."""
        with self._lock:
            if self._hears(client):
                self._hands.pose_base_goal = None

    def see(self, pose_base_tcp: npt.ArrayLike, step: npt.ArrayLike, active: Sequence[int] = range(6)) -> None:
        """Where the tool is: what a drag starts from. Without it, a drag moves nothing.

        Args:
            pose_base_tcp: ``[7]``.
            step: `robot_rl.core.specs.ActionSpec.step` of the task.
            active: axes of the six that a drag may move: `robot_rl.core.specs.ActionSpec.motion`.
        """
        with self._lock:
            self._pose_base_tcp = np.array(pose_base_tcp, np.float64)
            self._step, self._active = np.array(step, np.float64), tuple(active)

    def read(self) -> TeleopState:
        """What is asked for now; nobody is engaged while the one in charge is gone or silent."""
        with self._lock:
            now_s = self._now_s()
            age_s = max(now_s - self._heard_s, 0.0) if self._gone or self._holds(now_s) else 0.0
            buttons = self._presses.take()
            if self._gone or age_s > LOST_S:
                return TeleopState(buttons=buttons, age_s=age_s)
            uses = self._uses(now_s)
            twist_tcp = self._twist_tcp(uses)
            gripper = float(any(use.says == OPEN for use in uses)) - float(any(use.says == CLOSE for use in uses))
            return TeleopState(self._holds(now_s), twist_tcp, gripper, buttons, age_s)

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        with self._lock:
            return {
                "connected": str(self._client is not None and not self._gone),
                "speed": f"{SPEEDS[self._speed]:g}",
            }

    def close(self) -> None:
        """Hear nobody any more. May be called twice."""
        self.seat(None)

    def _hears(self, client: int) -> bool:
        if client != self._client or self._gone:
            return False
        self._heard_s = self._now_s()
        return True

    def _go_down(self, use: Use) -> None:
        """Something has gone down that was not."""
        if use.says in (FASTER, SLOWER):
            self._speed = min(max(self._speed + (1 if use.says == FASTER else -1), 0), len(SPEEDS) - 1)
        elif use.says == ENGAGE:
            self._hands.latched ^= self._latches
        elif use.axis >= 0 or use.says in (OPEN, CLOSE):
            for other in [o for o in self._until_s if o.axis == use.axis >= 0]:
                del self._until_s[other]
            self._until_s[use] = self._now_s() + TAP_S

    def _uses(self, now_s: float) -> list[Use]:
        """What moves the arm or the gripper, the latest last."""
        self._until_s = {use: until_s for use, until_s in self._until_s.items() if now_s < until_s}
        jog = [] if self._hands.jog is None else [self._hands.jog]
        uses = [*self._until_s, *jog, *(USE_OF[key] for key in self._hands.keys)]
        return [use for use in uses if use.axis >= 0 or use.says in (OPEN, CLOSE)]

    def _holds(self, now_s: float) -> bool:
        hands = self._hands
        return bool(hands.latched or hands.pose_base_goal is not None or self._uses(now_s))

    def _twist_tcp(self, uses: Sequence[Use]) -> Array:
        operator = np.zeros(6)
        for use in uses:
            if use.axis >= 0:
                operator[use.axis] = use.sign * SPEEDS[self._speed]
        if operator.any() or self._hands.pose_base_goal is None or self._pose_base_tcp is None:
            return operator * TOOL_PER_OPERATOR
        return twist_towards(self._pose_base_tcp, self._hands.pose_base_goal, self._step, self._active)

    def _let_go(self) -> None:
        self._hands, self._until_s, self._heard_s = _Hands(), {}, self._now_s()
        self._presses.update(())


def _said(uses: Iterable[Use]) -> frozenset[str]:
    """The buttons among them."""
    return frozenset(use.says for use in uses if use.says in (*MARKS, ENGAGE))
