"""Inverse kinematics for resets: damped least squares on the simulator's own Jacobian."""

from __future__ import annotations

import mujoco
import numpy as np

from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Array

DAMPING = 0.02
POSITION_TOLERANCE_M = 1e-5
ROTATION_TOLERANCE_RAD = 1e-4


def solve(model: mujoco.MjModel, site: str, pose_base_site: Array, q_start_rad: Array, iterations: int = 100) -> Array:
    """Joint angles that bring a site to a pose, near a starting configuration.

    Args:
        model: the compiled cell; its first seven degrees of freedom are the arm.
        site: name of the site to place.
        pose_base_site: where, ``[7]``.
        q_start_rad: where the search begins ``[7]``.
        iterations: at most this many steps.

    Raises:
        DeviceError: the pose is out of reach.
    """
    data = mujoco.MjData(model)
    n = len(q_start_rad)
    data.qpos[:n] = q_start_rad
    site_id = model.site(site).id
    quat_goal = pose_base_site[[6, 3, 4, 5]]  # MuJoCo orders quaternions wxyz
    quat, error = np.zeros(4), np.zeros(6)
    jac = np.zeros((6, model.nv))
    low, high = model.jnt_range[:n, 0], model.jnt_range[:n, 1]
    for _ in range(iterations):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        error[:3] = pose_base_site[:3] - data.site_xpos[site_id]
        mujoco.mju_mat2Quat(quat, data.site_xmat[site_id])
        mujoco.mju_subQuat(error[3:], quat_goal, quat)
        error[3:] = data.site_xmat[site_id].reshape(3, 3) @ error[3:]  # subQuat answers in the site's frame
        if np.abs(error[:3]).max() < POSITION_TOLERANCE_M and np.abs(error[3:]).max() < ROTATION_TOLERANCE_RAD:
            found: Array = data.qpos[:n].copy()
            return found
        mujoco.mj_jacSite(model, data, jac[:3], jac[3:], site_id)
        j = jac[:, :n]
        step = j.T @ np.linalg.solve(j @ j.T + DAMPING**2 * np.eye(6), error)
        data.qpos[:n] = np.clip(data.qpos[:n] + step, low, high)
    raise DeviceError(
        f"no joint configuration reaches {np.round(pose_base_site, 3).tolist()}: "
        f"{1e3 * np.linalg.norm(error[:3]):.1f} mm and {np.linalg.norm(error[3:]):.3f} rad remain"
    )
