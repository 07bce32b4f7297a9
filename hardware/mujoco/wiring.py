"""Where the arm is in a MuJoCo model: names to indices, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
import numpy.typing as npt

from robot_rl.controllers.kernel import JOINTS
from robot_rl.core.errors import DeviceError, unknown_name


class Wiring(NamedTuple):
    """Where the arm is in the model: addresses ``int64[7]`` per joint, site and sensor indices."""

    qpos: npt.NDArray[np.int64]
    dof: npt.NDArray[np.int64]
    actuator: npt.NDArray[np.int64]
    tcp_site: int
    sensor_site: int
    force: int
    torque: int


def element_id(model: mujoco.MjModel, kind: mujoco.mjtObj, name: str) -> int:
    """Index of a named joint, actuator, site, sensor or body.

    Raises:
        DeviceError: no element of that kind has the name; the message lists those that exist.
    """
    index = int(mujoco.mj_name2id(model, kind, name))
    if index < 0:
        count = {
            mujoco.mjtObj.mjOBJ_JOINT: model.njnt,
            mujoco.mjtObj.mjOBJ_ACTUATOR: model.nu,
            mujoco.mjtObj.mjOBJ_SITE: model.nsite,
            mujoco.mjtObj.mjOBJ_SENSOR: model.nsensor,
            mujoco.mjtObj.mjOBJ_BODY: model.nbody,
        }[kind]
        names = (mujoco.mj_id2name(model, kind, i) or "(unnamed)" for i in range(count))
        raise DeviceError(unknown_name(kind.name.removeprefix("mjOBJ_").lower(), name, names))
    return index


def wire(
    model: mujoco.MjModel,
    joint_names: Sequence[str],
    actuator_names: Sequence[str],
    tcp_site: str,
    force_sensor: str,
    torque_sensor: str,
) -> Wiring:
    """Look up the arm and check that it is one that torques can drive.

    Raises:
        DeviceError: a name is unknown, or an actuator is not a plain motor on its joint.
    """
    if len(joint_names) != JOINTS or len(actuator_names) != JOINTS:
        raise DeviceError(f"expected 7 joints and 7 actuators, got {list(joint_names)} and {list(actuator_names)}")
    joints = [element_id(model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in joint_names]
    actuators = [element_id(model, mujoco.mjtObj.mjOBJ_ACTUATOR, name) for name in actuator_names]
    for joint, actuator, name in zip(joints, actuators, actuator_names, strict=True):
        direct = model.actuator_gear[actuator, 0] * model.actuator_gainprm[actuator, 0] == 1.0
        if model.actuator_trnid[actuator, 0] != joint or not direct or model.actuator_biasprm[actuator].any():
            raise DeviceError(
                f"actuator {name!r} must be a motor of gear 1 on its joint, so that its control is a torque"
            )
    force, torque = (element_id(model, mujoco.mjtObj.mjOBJ_SENSOR, name) for name in (force_sensor, torque_sensor))
    if model.sensor_objid[force] != model.sensor_objid[torque]:
        raise DeviceError(f"sensors {force_sensor!r} and {torque_sensor!r} must be on the same site")
    return Wiring(
        qpos=model.jnt_qposadr[joints].astype(np.int64),
        dof=model.jnt_dofadr[joints].astype(np.int64),
        actuator=np.array(actuators, np.int64),
        tcp_site=element_id(model, mujoco.mjtObj.mjOBJ_SITE, tcp_site),
        sensor_site=int(model.sensor_objid[force]),
        force=int(model.sensor_adr[force]),
        torque=int(model.sensor_adr[torque]),
    )
