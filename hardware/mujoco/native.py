"""Control ticks in machine code: physics and control law alternate without returning to the interpreter.

MuJoCo's functions are called through their addresses, which are arguments: an address that was part of the compiled
code would forbid caching it on disk. The interpreter lock is released for the whole run.
"""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from robot_rl.controllers import joint_impedance, kernel, min_jerk
from robot_rl.controllers.compiled import compiled, source_stamp
from robot_rl.controllers.joint_impedance import JointLaw, joint_torque
from robot_rl.controllers.kernel import ImpedanceMemory, Law, Reading, Scratch, impedance_tick, limit_torque
from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array
from robot_rl.hardware.mujoco.wiring import Wiring

IMPEDANCE, JOINT = 0, 1
_FUNCTIONS = ("mj_step1", "mj_step2", "mj_jacSite", "mju_mat2Quat", "mj_kinematics", "mj_comPos", "mj_camlight")
_STEP1, _STEP2, _JAC_SITE, _MAT2QUAT, _KINEMATICS, _COM_POS, _CAMLIGHT = range(len(_FUNCTIONS))


class Physics(NamedTuple):
    """Addresses, and views into one `mujoco.MjData` that stay valid as long as it lives.

    Attributes:
        functions: addresses in the order of ``_FUNCTIONS``.
        model: address of the mjModel.
        data: address of the mjData.
        qpos: ``[nq]``; qvel, bias, gravcomp ``[nv]``; ctrl ``[nu]``; site_pos ``[nsite, 3]``; site_mat ``[nsite, 9]``.
        jac_pos: ``[3, nv]``, filled here; likewise jac_rot ``[3, nv]``.
        sensors: ``[nsensordata]``.
        quat_wxyz: room for one conversion ``[4]``.
    """

    functions: npt.NDArray[np.uint64]
    model: int
    data: int
    qpos: Array
    qvel: Array
    bias: Array
    gravcomp: Array
    ctrl: Array
    site_pos: Array
    site_mat: Array
    sensors: Array
    jac_pos: Array
    jac_rot: Array
    quat_wxyz: Array


class Motion(NamedTuple):
    """A joint motion: configurations ``[7]`` and ``clock_s = [elapsed, duration]``."""

    start_rad: Array
    goal_rad: Array
    clock_s: Array


class Wrist(NamedTuple):
    """How the external wrench is made from the wrist sensor, and what it is.

    Attributes:
        weight_n: gravity on everything behind the sensor, in the base frame ``[3]``.
        com_sensor_m: its centre of mass in the sensor frame ``[3]``.
        blend: share per tick of the low-pass filter.
        filtered: low-passed wrench in the tool frame before taring ``[6]``.
        tare: subtracted from it ``[6]``.
        peak_n: largest norm of the tared force ``[1]``.
    """

    weight_n: Array
    com_sensor_m: Array
    blend: float
    filtered: Array
    tare: Array
    peak_n: Array


def function_addresses() -> npt.NDArray[np.uint64]:
    """Where the MuJoCo library that this process has loaded keeps the functions needed here.

    Raises:
        DeviceError: the library file is not beside the Python package.
    """
    folder = Path(mujoco.__file__).parent
    found = sorted(p for p in folder.iterdir() if p.name.startswith(("libmujoco", "mujoco.dll")))
    if not found:
        raise DeviceError(f"no MuJoCo library in {folder}: expected a file named libmujoco*")
    library = ctypes.CDLL(str(found[0]))
    pointers = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _FUNCTIONS]
    return np.array(pointers, np.uint64)


def _emit_call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Generate a call of a C function ``void f(...)`` whose address is the first argument."""
    kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
    pointer = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
    builder.call(pointer, args[1:])
    return context.get_dummy_value()


def _type_call(typing_context: Any, address: Any, a: Any, b: Any) -> Any:
    """``void f(void *, void *)``."""
    return types.void(types.uint64, types.uintp, types.uintp), _emit_call


def _type_call_site(typing_context: Any, address: Any, model: Any, data: Any, pos: Any, rot: Any, site: Any) -> Any:
    """``void f(void *, void *, double *, double *, int)``."""
    return types.void(types.uint64, types.uintp, types.uintp, types.uintp, types.uintp, types.int32), _emit_call


_call: Any = intrinsic(_type_call)
_call_site: Any = intrinsic(_type_call_site)


@compiled
def read_arm(physics: Physics, wiring: Wiring, reading: Reading) -> None:
    """Copy joint state, tool pose, Jacobian and bias from the physics; kinematics must be up to date."""
    _call_site(
        physics.functions[_JAC_SITE],
        physics.model,
        physics.data,
        physics.jac_pos.ctypes.data,
        physics.jac_rot.ctypes.data,
        wiring.tcp_site,
    )
    for k in range(7):
        dof = wiring.dof[k]
        reading.q_rad[k] = physics.qpos[wiring.qpos[k]]
        reading.dq_rad_s[k] = physics.qvel[dof]
        reading.bias_nm[k] = physics.bias[dof]
        reading.gravity_nm[k] = physics.gravcomp[dof]
        for i in range(3):
            reading.jacobian[i, k] = physics.jac_pos[i, dof]
            reading.jacobian[i + 3, k] = physics.jac_rot[i, dof]
    quat = physics.quat_wxyz
    _call(physics.functions[_MAT2QUAT], quat.ctypes.data, physics.site_mat[wiring.tcp_site].ctypes.data)
    for i in range(3):
        reading.pose_base_tcp[i] = physics.site_pos[wiring.tcp_site, i]
        reading.pose_base_tcp[i + 3] = quat[i + 1]
    reading.pose_base_tcp[6] = quat[0]


@compiled
def refresh(physics: Physics, wiring: Wiring, reading: Reading) -> None:
    """Bring poses up to the joint positions, which a step leaves one tick ahead of them, and read the arm."""
    _call(physics.functions[_KINEMATICS], physics.model, physics.data)
    _call(physics.functions[_COM_POS], physics.model, physics.data)
    _call(physics.functions[_CAMLIGHT], physics.model, physics.data)
    read_arm(physics, wiring, reading)


@compiled
def _joint_tick(law: Law, joint_law: JointLaw, motion: Motion, memory: ImpedanceMemory, reading: Reading) -> None:
    """One period of joint impedance; the command goes where the Cartesian law keeps it, so that switching is smooth."""
    motion.clock_s[0] += law.period_s
    share, rate = min_jerk.min_jerk(motion.clock_s[0], motion.clock_s[1])
    for k in range(7):
        way = motion.goal_rad[k] - motion.start_rad[k]
        desired = motion.start_rad[k] + share * way
        torque = joint_torque(joint_law, k, reading.q_rad[k], reading.dq_rad_s[k], desired, rate * way)
        torque += reading.bias_nm[k] - (reading.gravity_nm[k] if law.gravity == 0.0 else 0.0)
        memory.torque_nm[k] = limit_torque(torque, memory.torque_nm[k], law.torque_step_nm, law.torque_limit_nm[k])


@compiled
def _sense_wrench(physics: Physics, wiring: Wiring, wrist: Wrist) -> None:
    """Filter the wrist sensor into the external wrench at the tool centre point, in the tool frame."""
    sensor, tcp = physics.site_mat[wiring.sensor_site], physics.site_mat[wiring.tcp_site]
    com = wrist.com_sensor_m
    w = wrist.weight_n
    gx = sensor[0] * w[0] + sensor[3] * w[1] + sensor[6] * w[2]
    gy = sensor[1] * w[0] + sensor[4] * w[1] + sensor[7] * w[2]
    gz = sensor[2] * w[0] + sensor[5] * w[1] + sensor[8] * w[2]
    # The sensor tells what the arm exerts on the tool; at rest the environment and gravity balance it.
    fx = -physics.sensors[wiring.force] - gx
    fy = -physics.sensors[wiring.force + 1] - gy
    fz = -physics.sensors[wiring.force + 2] - gz
    tx = -physics.sensors[wiring.torque] - (com[1] * gz - com[2] * gy)
    ty = -physics.sensors[wiring.torque + 1] - (com[2] * gx - com[0] * gz)
    tz = -physics.sensors[wiring.torque + 2] - (com[0] * gy - com[1] * gx)
    # Base frame, where the torque moves to the tool centre point: t_tcp = t_sensor + (p_sensor - p_tcp) x f.
    bx = sensor[0] * fx + sensor[1] * fy + sensor[2] * fz
    by = sensor[3] * fx + sensor[4] * fy + sensor[5] * fz
    bz = sensor[6] * fx + sensor[7] * fy + sensor[8] * fz
    rx = physics.site_pos[wiring.sensor_site, 0] - physics.site_pos[wiring.tcp_site, 0]
    ry = physics.site_pos[wiring.sensor_site, 1] - physics.site_pos[wiring.tcp_site, 1]
    rz = physics.site_pos[wiring.sensor_site, 2] - physics.site_pos[wiring.tcp_site, 2]
    mx = sensor[0] * tx + sensor[1] * ty + sensor[2] * tz + ry * bz - rz * by
    my = sensor[3] * tx + sensor[4] * ty + sensor[5] * tz + rz * bx - rx * bz
    mz = sensor[6] * tx + sensor[7] * ty + sensor[8] * tz + rx * by - ry * bx
    squared = 0.0
    for i in range(3):
        force = tcp[i] * bx + tcp[i + 3] * by + tcp[i + 6] * bz
        torque = tcp[i] * mx + tcp[i + 3] * my + tcp[i + 6] * mz
        wrist.filtered[i] += wrist.blend * (force - wrist.filtered[i])
        wrist.filtered[i + 3] += wrist.blend * (torque - wrist.filtered[i + 3])
        squared += (wrist.filtered[i] - wrist.tare[i]) ** 2
    wrist.peak_n[0] = max(wrist.peak_n[0], math.sqrt(squared))


@compiled
def _finite(values: Array) -> bool:
    """Whether no value is nan or infinite."""
    for i in range(values.shape[0]):  # noqa: SIM110 - compiled code knows no all()
        if not math.isfinite(values[i]):
            return False
    return True


def _build_run_ticks(stamp: int) -> Any:
    """Make the loop. Capturing `stamp` ties its cached machine code to the sources of the control laws."""

    def run_ticks(
        count: int,
        mode: int,
        physics: Physics,
        wiring: Wiring,
        reading: Reading,
        law: Law,
        memory: ImpedanceMemory,
        joint_law: JointLaw,
        motion: Motion,
        wrist: Wrist,
        scratch: Scratch,
    ) -> int:
        if stamp < 0:
            return -1
        for tick in range(count):
            _call(physics.functions[_STEP1], physics.model, physics.data)
            read_arm(physics, wiring, reading)
            if mode == JOINT:
                _joint_tick(law, joint_law, motion, memory, reading)
            else:
                impedance_tick(law, memory, reading, scratch)
            for k in range(7):
                physics.ctrl[wiring.actuator[k]] = memory.torque_nm[k]
            _call(physics.functions[_STEP2], physics.model, physics.data)
            # The next step would replace a non-finite state by the model's default one and go on.
            if not _finite(physics.qpos):
                return tick
            # Contact forces exist only now: before the second half of the step they are those of some earlier state.
            _sense_wrench(physics, wiring, wrist)
        refresh(physics, wiring, reading)
        return count

    return compiled(run_ticks)


run_ticks = _build_run_ticks(source_stamp(kernel.__file__, joint_impedance.__file__, min_jerk.__file__))
