"""The 1 kHz control loop of a simulated arm: the control laws of `robot_rl.controllers` around MuJoCo's step.

Within a tick the order is kinematics and bias forces (``mj_step1``), control law, dynamics (``mj_step2``), wrist
sensor. `ControlLoop` only holds the arrays; the ticks run compiled, see `robot_rl.hardware.mujoco.native`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import mujoco
import numpy as np
import numpy.typing as npt

from robot_rl.controllers.impedance import ImpedanceParams, gain_table, pack_law
from robot_rl.controllers.joint_impedance import JointImpedanceParams, pack_joint_law
from robot_rl.controllers.kernel import JOINTS, Reading, make_memory, make_scratch
from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array
from robot_rl.hardware.mujoco import native
from robot_rl.hardware.mujoco.wiring import element_id, wire

_BAD_STATE = (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL, mujoco.mjtWarning.mjWARN_BADQACC)


class ControlLoop:
    """Runs physics and control law together. Not thread-safe; the interpreter lock is free while it runs.

    The base frame of poses and wrenches is the world frame of the model. The loop writes the controls of its seven
    actuators and leaves the others to the caller.

    Example:
        >>> loop = ControlLoop(model, data, joint_names=JOINTS, ...)  # doctest: +SKIP
        >>> loop.set_target(pose_base_tcp)  # doctest: +SKIP
        >>> loop.run(100)  # 0.1 s at a time step of 1 ms  # doctest: +SKIP

    Args:
        model: with a time step of 0.1 to 5 ms, preferably ``option.jacobian = DENSE``.
        data: its state, as it is to be controlled from.
        joint_names: of the arm, from the base, seven.
        actuator_names: torque motors of these joints.
        tcp_site: tool centre point.
        force_sensor: at the wrist.
        torque_sensor: at the same site.
        params: of the Cartesian law.
        joint_params: of the joint law used by `start_joint_motion`.
        base_body: body that is the base frame; must coincide with the world frame.
        tool_mass_kg: mass behind the wrist sensor, whose weight is taken off the wrench.
        tool_com_sensor_m: its centre of mass in the frame of the sensor site.
        wrench_cutoff_hz: of the first-order low-pass on the wrench.

    Raises:
        DeviceError: a name is not in the model, or the arm is not one that torques drive.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        *,
        joint_names: Sequence[str],
        actuator_names: Sequence[str],
        tcp_site: str,
        force_sensor: str,
        torque_sensor: str,
        params: ImpedanceParams | None = None,
        joint_params: JointImpedanceParams | None = None,
        base_body: str | None = None,
        tool_mass_kg: float = 0.0,
        tool_com_sensor_m: Sequence[float] = (0.0, 0.0, 0.0),
        wrench_cutoff_hz: float = 30.0,
    ) -> None:
        if int(model.opt.integrator) == int(mujoco.mjtIntegrator.mjINT_RK4):
            raise DeviceError("the control loop splits the step, which the RK4 integrator does not allow: use another")
        self.model, self.data = model, data
        self.params = params or ImpedanceParams()
        self._wiring = wire(model, joint_names, actuator_names, tcp_site, force_sensor, torque_sensor)
        self._physics = native.Physics(
            functions=native.function_addresses(),
            model=model._address,
            data=data._address,
            qpos=data.qpos,
            qvel=data.qvel,
            bias=data.qfrc_bias,
            gravcomp=data.qfrc_gravcomp,
            ctrl=data.ctrl,
            site_pos=data.site_xpos,
            site_mat=data.site_xmat,
            sensors=data.sensordata,
            jac_pos=np.zeros((3, model.nv)),
            jac_rot=np.zeros((3, model.nv)),
            quat_wxyz=np.zeros(4),
        )
        self._reading = Reading(*(np.zeros(s) for s in (7, 7, 7, (6, 7), 7, 7)))
        self._law = pack_law(self.params, model.opt.timestep)
        self._joint_law = pack_joint_law(joint_params or JointImpedanceParams())
        self._memory, self._scratch = make_memory(), make_scratch()
        self._motion = native.Motion(np.zeros(7), np.zeros(7), np.zeros(2))
        self._wrist = native.Wrist(
            weight_n=tool_mass_kg * np.array(model.opt.gravity),
            com_sensor_m=np.array(tool_com_sensor_m, np.float64),
            blend=float(-np.expm1(-2.0 * np.pi * wrench_cutoff_hz * model.opt.timestep)),
            filtered=np.zeros(6),
            tare=np.zeros(6),
            peak_n=np.zeros(1),
        )
        self._mode, self._fault = native.IMPEDANCE, ""
        self.reset()
        self._check_base(base_body)

    def _check_base(self, base_body: str | None) -> None:
        """Refuse a model whose arm stands elsewhere than at the origin."""
        if base_body is None:
            return
        body = element_id(self.model, mujoco.mjtObj.mjOBJ_BODY, base_body)
        placed = np.concatenate([self.data.xpos[body], self.data.xquat[body]])
        if not np.allclose(placed, [0, 0, 0, 1, 0, 0, 0], atol=1e-9):
            raise DeviceError(f"base body {base_body!r} must be at the origin of the world, got {placed.tolist()}")

    @property
    def mode(self) -> Literal["impedance", "joint"]:
        """Which law is in command."""
        return "joint" if self._mode == native.JOINT else "impedance"

    @property
    def joint_motion_done(self) -> bool:
        """Whether the last joint motion has run its full time; the arm then stays at its goal under the joint law."""
        return bool(self._motion.clock_s[0] >= self._motion.clock_s[1])

    @property
    def q_rad(self) -> Array:
        """Joint positions ``[7]``."""
        return self._reading.q_rad.copy()

    @property
    def dq_rad_s(self) -> Array:
        """Joint velocities ``[7]``."""
        return self._reading.dq_rad_s.copy()

    @property
    def pose_base_tcp(self) -> Array:
        """Measured pose of the tool centre point ``[7]``."""
        return self._reading.pose_base_tcp.copy()

    @property
    def pose_base_reference(self) -> Array:
        """Filtered target that the spring pulls to ``[7]``."""
        return self._memory.reference.copy()

    @property
    def twist_base_tcp(self) -> Array:
        """Velocity of the tool centre point in the base frame ``[6]``."""
        return self._reading.jacobian @ self._reading.dq_rad_s

    @property
    def wrench_tcp(self) -> Array:
        """Wrench that the environment exerts on the tool, at and in the frame of the tool centre point ``[6]``.

        Low-passed, tool weight and tare taken off. Inertial forces of the tool mass are in it.
        """
        return self._wrist.filtered - self._wrist.tare

    @property
    def torque_nm(self) -> Array:
        """Last torque command ``[7]``."""
        return self._memory.torque_nm.copy()

    def peak_force_n(self) -> float:
        """Largest norm of the low-passed external force since this was last called; starts anew."""
        peak = float(self._wrist.peak_n[0])
        self._wrist.peak_n[0] = 0.0
        return peak

    def tare(self) -> None:
        """Make the present wrench the new zero."""
        self._wrist.tare[:] = self._wrist.filtered
        self._wrist.peak_n[0] = 0.0

    def reset(self, q_null_rad: npt.ArrayLike | None = None) -> None:
        """Start anew from the state in `data`, for instance after it was set from outside; clears a stop.

        Target and reference become the measured pose. The torque history becomes the gravity torque, so that the rate
        limit does not let the arm sag in the first ticks. Wrench filter, tare, peak and integral are cleared.

        Args:
            q_null_rad: posture of the nullspace spring ``[7]``; the measured one by default.
        """
        mujoco.mj_forward(self.model, self.data)
        native.read_arm(self._physics, self._wiring, self._reading)
        self._fault = ""
        for kind in _BAD_STATE:
            self.data.warning[int(kind)].number = 0
        self._memory.gains[:] = gain_table(self.params)
        self._memory.q_null_rad[:] = self._reading.q_rad if q_null_rad is None else np.asarray(q_null_rad)
        robot_adds = self._reading.gravity_nm if self.params.gravity == "robot" else 0.0
        limit = self._law.torque_limit_nm
        self._memory.torque_nm[:] = np.clip(self._reading.bias_nm - robot_adds, -limit, limit)
        self.data.ctrl[self._wiring.actuator] = self._memory.torque_nm
        for cleared in (self._wrist.filtered, self._wrist.tare, self._wrist.peak_n, self._motion.clock_s):
            cleared[:] = 0.0
        self.hold()

    def hold(self) -> None:
        """Stay at the measured pose under the Cartesian law."""
        self._mode = native.IMPEDANCE
        self._memory.reference[:] = self._reading.pose_base_tcp
        self._memory.target[:] = self._reading.pose_base_tcp
        self._memory.integral[:] = 0.0

    def set_target(self, pose_base_tcp: npt.ArrayLike) -> None:
        """Track this pose under the Cartesian law; a joint motion is left where it is.

        Raises:
            DeviceError: the pose is not finite or its quaternion is not of unit length; nothing changes.
        """
        target = check_pose(pose_base_tcp)
        if self._mode != native.IMPEDANCE:
            self.hold()
        self._memory.target[:] = target
        if self.params.integral_resets:
            self._memory.integral[:] = 0.0

    def set_params(self, params: ImpedanceParams) -> None:
        """Change the Cartesian law. Gains and clips move to their new values with the gain filter's time constant."""
        self.params = params
        self._law = pack_law(params, self.model.opt.timestep)

    def start_joint_motion(self, q_goal_rad: npt.ArrayLike, duration_s: float) -> None:
        """Move to a configuration along a minimum-jerk path under the joint law; it becomes the nullspace posture.

        Args:
            q_goal_rad: within the joint limits ``[7]``.
            duration_s: from rest to rest, positive; see `robot_rl.controllers.min_jerk.min_jerk_duration`.

        Raises:
            DeviceError: the goal is not seven finite numbers within the limits of the joints, or the duration is not
                positive.
        """
        goal = np.array(q_goal_rad, np.float64)
        low, high = self._joint_ranges()
        if goal.shape != (JOINTS,) or not ((goal >= low) & (goal <= high)).all():
            limits = f"[{np.round(low, 3).tolist()}, {np.round(high, 3).tolist()}]"
            raise DeviceError(f"a joint goal has 7 values within {limits} rad, got {goal.tolist()}")
        if not 0.0 < duration_s < np.inf:
            raise DeviceError(f"a joint motion needs a positive duration in s, got {duration_s}")
        self._motion.start_rad[:] = self._reading.q_rad
        self._motion.goal_rad[:] = goal
        self._motion.clock_s[:] = (0.0, duration_s)
        self._memory.q_null_rad[:] = goal
        self._mode = native.JOINT

    def _joint_ranges(self) -> tuple[Array, Array]:
        """Lower and upper limits ``[7]``, infinite where the model has none."""
        joints = self.model.dof_jntid[self._wiring.dof]
        limited = self.model.jnt_limited[joints].astype(bool)
        ranges = self.model.jnt_range[joints]
        return np.where(limited, ranges[:, 0], -np.inf), np.where(limited, ranges[:, 1], np.inf)

    def run(self, n_ticks: int) -> None:
        """Advance physics and control by this many time steps.

        Raises:
            DeviceError: the simulated state became non-finite or absurdly large, now or before; `reset` clears it.
        """
        if not self._fault:
            ticks = native.run_ticks(
                n_ticks,
                self._mode,
                self._physics,
                self._wiring,
                self._reading,
                self._law,
                self._memory,
                self._joint_law,
                self._motion,
                self._wrist,
                self._scratch,
            )
            if ticks < n_ticks or self._restarted():
                self._fault = (
                    f"the simulation became unstable before t = {self.data.time:.3f} s: the state is not finite or was "
                    f"reset by MuJoCo; lower the stiffness ({self.params.stiffness[0]:g} N/m) or the time step "
                    f"({self.model.opt.timestep * 1e3:g} ms), put the state right and call reset()"
                )
        if self._fault:
            raise DeviceError(self._fault)

    def _restarted(self) -> bool:
        """Whether MuJoCo found the state unusable, upon which it silently goes on from the default one."""
        return any(self.data.warning[int(kind)].number for kind in _BAD_STATE)
