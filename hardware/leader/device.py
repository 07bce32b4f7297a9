"""A leader arm as the operator's device, whoever brings its joint positions."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from robot_rl.core.types import Array, TeleopState
from robot_rl.hardware.joystick import teleop_of
from robot_rl.hardware.leader.clutch import MotionClutch
from robot_rl.hardware.leader.config import LeaderConfig
from robot_rl.hardware.leader.follow import FollowLimits, follow
from robot_rl.hardware.leader.kinematics import JOINTS, KINEMATICS
from robot_rl.hardware.presses import Presses

LOST_S = 0.2
BUTTONS_LOST_S = 0.5
PRESSED = 0.5


@dataclass(frozen=True)
class _Report:
    """What was heard last: of the arm, and of the buttons beside it."""

    q_rad: Array = field(default_factory=lambda: np.zeros(JOINTS))
    levers: Mapping[str, float] = field(default_factory=dict)
    q_s: float = -math.inf
    buttons: TeleopState = field(default_factory=TeleopState)
    buttons_s: float = -math.inf


class LeaderTeleop:
    """`robot_rl.core.protocols.Teleop` over the joint positions of an arm that a person moves.

    While the clutch is closed, the follower is told the motion of the leader's tool, each in its own tool's frame;
    where the leader is when the clutch closes does not matter. A motion faster than a step is followed later, as far as
    `LeaderConfig.carry_m` and `LeaderConfig.carry_rad` go. `read` is one control step: call it once a step, from one
    thread; `report` and `report_buttons` may be called from another.

    Args:
        config: of the leader.
        step_m: translation of one control step at full deflection.
        step_rad: rotation of one control step at full deflection.
        now_s: a clock that does not run backwards.

    Raises:
        ConfigError: a step is not above zero.
    """

    def __init__(
        self, config: LeaderConfig, step_m: float, step_rad: float, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._config, self._now_s = config, now_s
        self._tcp_of = KINEMATICS[config.kinematics]
        self._limits = FollowLimits(step_m, step_rad, config.scale, config.carry_m, config.carry_rad)
        self._motion = MotionClutch(config.engage_m_s, config.engage_rad_s, config.release_s)
        self._lock = threading.Lock()
        self._report = _Report()
        self._presses = Presses()
        self._told: Array | None = None
        self._reports = self._refused = 0

    def report(self, q_rad: npt.ArrayLike, levers: Mapping[str, float] | None = None) -> bool:
        """The leader's joints are here now.

        Args:
            q_rad: joint positions ``[7]``.
            levers: positions of further joints by name.

        Returns:
            False if these are not seven finite numbers, or a lever that is used is missing or not finite; the report is
            then counted, and otherwise as if it had not come.
        """
        q, values = np.array(q_rad, np.float64), dict(levers or {})
        used = (
            self._config.clutch_lever.joint if self._config.clutch == "lever" else "",
            self._config.gripper_lever.joint,
        )
        levers_sound = all(math.isfinite(values.get(name, math.nan)) for name in used if name)
        sound = q.shape == (JOINTS,) and bool(np.isfinite(q).all()) and levers_sound
        with self._lock:
            if sound:
                self._report = replace(self._report, q_rad=q, levers=values, q_s=self._now_s())
                self._reports += 1
            else:
                self._refused += 1
        return sound

    def report_buttons(self, buttons: Sequence[int]) -> None:
        """What is held beside the arm, by the indices of `robot_rl.hardware.joystick.BUTTONS`."""
        state = teleop_of((), buttons, 0.0)
        with self._lock:
            self._report = replace(self._report, buttons=state, buttons_s=self._now_s())
        self._presses.update(state.buttons)

    def read(self) -> TeleopState:
        """What the person does now. Its age grows, and nobody is engaged, while no joint positions come."""
        with self._lock:
            now_s, heard = self._now_s(), self._report
        held = heard.buttons
        if now_s - heard.buttons_s > BUTTONS_LOST_S:
            held = TeleopState()
            self._presses.update(())
        pressed = self._presses.take()
        age_s = now_s - heard.q_s
        if age_s > LOST_S:
            self._told = None
            self._motion.begin_anew()
            return TeleopState(buttons=pressed, age_s=age_s)
        pose = self._tcp_of(heard.q_rad)
        if not self._is_closed(pose, heard, held):
            self._told = None
            return TeleopState(buttons=pressed, age_s=age_s)
        if self._told is None:
            twist, self._told = np.zeros(6), pose
        else:
            twist, self._told = follow(self._told, pose, self._limits)
        return TeleopState(True, twist, self._gripper(heard, held), pressed, age_s)

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        with self._lock:
            return {"reports": str(self._reports), "refused": str(self._refused)}

    def close(self) -> None:
        """Nothing to release: the arm is whoever's who reports it."""

    def _is_closed(self, pose: Array, heard: _Report, held: TeleopState) -> bool:
        moving = self._motion.update(pose, heard.q_s)
        if self._config.clutch == "motion":
            return moving
        if self._config.clutch == "lever":
            lever = self._config.clutch_lever
            return lever.share(heard.levers[lever.joint]) > PRESSED
        return held.engaged

    def _gripper(self, heard: _Report, held: TeleopState) -> float:
        lever = self._config.gripper_lever
        return 1.0 - 2.0 * lever.share(heard.levers[lever.joint]) if lever.joint else held.gripper
