"""One connection to the robot and the motions that run over it. Knows nothing of faults that outlive it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import RobotConfig
from robot_rl.hardware.franka.joint_motion import ARRIVED_RAD, MAX_SHARE, limit_share
from robot_rl.hardware.franka.library import Scheduling, calling, library
from robot_rl.hardware.franka.reading import RobotReading, convert

# What franky may add to a torque from one millisecond to the next, and what the robot admits.
MAX_TORQUE_STEP_NM = 1.0
START_S, STOP_S, SETTLE_S = 1.0, 5.0, 1.0
POLL_S = 0.02
# Below this there is nothing to plan.
NO_WAY_RAD = 1e-4
# A load counts as a small ball: the robot wants an inertia that a body can have.
LOAD_RADIUS_M = 0.02


class Session:
    """Talks to one robot through franky. `read` may be called beside anything else; nothing else by two threads.

    No method keeps the robot in a local variable: the traceback of an error, wherever it is kept, would keep the
    connection open after `close`.

    Args:
        config: address, real-time demand, thresholds and load.

    Raises:
        ConfigError: franky is missing, or a real-time kernel is demanded and missing.
        DeviceError: there is no robot, or it has another client.
    """

    def __init__(self, config: RobotConfig) -> None:
        self._franky = franky = library()
        self._config = config
        enforce = config.realtime == "enforce"
        realtime = franky.RealtimeConfig.Enforce if enforce else franky.RealtimeConfig.Ignore
        with calling(f"cannot connect to a robot at {config.address}"):
            try:
                self._robot = franky.Robot(config.address, realtime_config=realtime)
            except franky.RealtimeException as e:
                raise ConfigError(
                    f"robot.realtime is enforce, but the system grants no real-time scheduling ({e}): use a real-time "
                    "kernel, or ignore where a missed millisecond does no harm"
                ) from None
            self._real_time = Scheduling.mine()
        self._motion: Any = None
        self._is_set_up = False

    @property
    def in_control(self) -> bool:
        """Whether a motion runs."""
        return bool(self._robot.is_in_control)

    def read(self) -> RobotReading:
        """The newest state. Waits for one, a millisecond, while no motion runs.

        Raises:
            DeviceError: the robot is silent.
        """
        with calling("the robot is silent"):
            state = self._robot.state
            return convert(state, self._robot.model.zero_jacobian(self._franky.Frame.EndEffector, state))

    def track(self, params: ImpedanceParams) -> None:
        """Start to hold the measured pose under the impedance law.

        The law runs in franky's own thread at 1 kHz. It takes stiffness, damping and torque rate, and as error clip,
        which is symmetric there, the smaller one of both directions; the nullspace spring pulls to where the arm stands
        now.

        Raises:
            DeviceError: the robot did not start the motion.
        """
        franky = self._franky
        with calling("the arm does not start to hold"):
            self._set_up()
            state = self._robot.state
            motion = _impedance_motion(franky, params, np.array(state.q))
            motion.set_reference(franky.CartesianReference(state.O_T_EE))
            self._start(motion)
            self._motion = motion
            deadline_s = time.monotonic() + START_S
            while self._robot.state.robot_mode != franky.RobotMode.Move:
                self._robot.poll_motion()
                if time.monotonic() > deadline_s:
                    raise DeviceError(f"the arm did not start to hold within {START_S} s")
                time.sleep(1e-3)

    def refer(self, pose_base_tcp: Array) -> None:
        """Give the impedance law a pose ``[7]`` with a unit quaternion; without effect on a motion that has ended."""
        franky, motion = self._franky, self._motion
        if motion is not None:
            motion.set_reference(franky.CartesianReference(franky.Affine(pose_base_tcp[:3], pose_base_tcp[3:])))

    def stop(self) -> None:
        """End the impedance motion: fade its torques out, then let the robot hold itself.

        Raises:
            DeviceError: it had ended in another way before, or does so now.
        """
        with calling("the arm did not stop tracking"):
            self._start(self._franky.TorqueStopMotion())
            if not self._robot.join_motion(STOP_S):
                raise DeviceError(f"the arm did not come to rest within {STOP_S} s")

    def move_joints(self, q_rad: Array, duration_s: float, go_on: Callable[[], bool]) -> None:
        """Move to a configuration while no motion runs; see `robot_rl.hardware.drivers.ArmDriver`.

        Raises:
            DeviceError: it was broken off, smoothly, or ended elsewhere.
        """
        franky = self._franky
        with calling("the joint motion failed"):
            self._set_up()
            way = q_rad - np.array(self._robot.state.q)
            if np.abs(way).max() > NO_WAY_RAD:
                share = limit_share(way, duration_s, *self._joint_limits())
                target = franky.JointState(q_rad)
                self._start(franky.JointMotion(target, relative_dynamics_factor=share))
                while not self._robot.join_motion(POLL_S):
                    if not go_on():
                        self._start(franky.JointStopMotion(MAX_SHARE))
                        self._robot.join_motion(STOP_S)
                        raise DeviceError("the joint motion was broken off before it arrived")
            missing = q_rad - np.array(self._robot.state.q)
            worst = int(np.argmax(np.abs(missing)))
            if abs(missing[worst]) > ARRIVED_RAD:
                raise DeviceError(
                    f"the joint motion ended with joint {worst + 1} {missing[worst]:.3f} rad off its goal"
                )

    def why_ended(self) -> str:
        """What the library says about the motion that has ended."""
        try:
            with calling("the motion ended"):
                self._robot.poll_motion()
        except DeviceError as e:
            return str(e)
        return "the motion ended, nothing is known about why"

    def recover(self) -> None:
        """Let the robot clear its errors, and wait until it has.

        Raises:
            DeviceError: it cannot, for example because the user stop is pressed.
        """
        with calling("the robot does not recover"):
            self._robot.recover_from_errors()
        deadline_s = time.monotonic() + SETTLE_S
        while (reading := self.read()).mode is not RobotMode.READY or reading.errors:
            if time.monotonic() > deadline_s:
                raise DeviceError(f"the robot does not recover: it is {reading.mode.value} {' '.join(reading.errors)}")
            time.sleep(POLL_S)

    def close(self) -> None:
        """Hang up. A motion that still runs ends at once."""
        self._motion = None
        if hasattr(self, "_robot"):
            del self._robot

    def _joint_limits(self) -> list[Array]:
        """Of velocity, acceleration and jerk ``[7]``."""
        robot = self._robot
        limits = (robot.joint_velocity_limit, robot.joint_acceleration_limit, robot.joint_jerk_limit)
        return [np.array(limit.get()) for limit in limits]

    def _start(self, motion: Any) -> None:
        """Start a motion, or let it take over from the running one.

        A motion's thread inherits how the thread that starts it is scheduled, so that one is a real-time thread for
        this moment if connecting was allowed to make it one.
        """
        with Scheduling.mine().keep():
            self._real_time.apply()
            self._robot.move(motion, asynchronous=True)

    def _set_up(self) -> None:
        """Tell the robot what it cannot be told while it stands in a reflex."""
        if self._is_set_up:
            return
        config = self._config
        self._robot.set_k(np.eye(4).reshape(-1).tolist())
        self._robot.set_collision_behavior([config.collision_torque_nm] * 7, [config.collision_force_n] * 6)
        if config.load_kg > 0.0:
            inertia = 0.4 * config.load_kg * LOAD_RADIUS_M**2 * np.eye(3)
            self._robot.set_load(config.load_kg, list(config.load_com_flange_m), inertia.reshape(-1).tolist())
        self._is_set_up = True


def _impedance_motion(franky: Any, params: ImpedanceParams, q_null_rad: Array) -> Any:
    clip = np.minimum(params.clip_lower, params.clip_upper)
    stiffness, damping = np.array(params.stiffness), np.array(params.damping)
    motion = franky.CartesianImpedanceTrackingMotion(
        translational_stiffness=float(stiffness[:3].min()),
        rotational_stiffness=float(stiffness[3:].min()),
        posture_task=franky.PostureTask(
            q_null_rad, np.array(params.null_stiffness_nm_rad), np.array(params.null_damping_nms_rad)
        ),
        max_delta_tau=min(MAX_TORQUE_STEP_NM, 1e-3 * params.torque_rate_nm_s),
        translational_error_clip=clip[:3],
        rotational_error_clip=clip[3:],
    )
    motion.set_gains(franky.CartesianImpedanceGains.diagonal(stiffness, damping))
    return motion
