"""The robot description that a client asks for: URDF text of the very model that the emulator simulates."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import mujoco
import numpy as np

from robot_rl.core.types import Array
from robot_rl.hardware.mujoco import panda

FLANGE_M = 0.107
# The manual's limits in rad/s. Close to a position limit the velocity limit is sqrt(2 deceleration distance).
VELOCITY_LIMIT_RAD_S = np.array([2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61])
DECELERATION_LIMIT_RAD_S2 = 10.0


def write_urdf(model: mujoco.MjModel) -> str:
    """Links ``link0`` to ``link8`` (the flange, massless) with inertias, joints with limits; no shapes, no hand.

    The hand belongs to the end effector, whose mass and centre of mass the robot state carries.

    Args:
        model: a compiled cell with the Panda in it.
    """
    robot = ET.Element("robot", name="panda")
    for i in range(8):
        body = model.body(f"link{i}")
        link = ET.SubElement(robot, "link", name=f"link{i}")
        inertial = ET.SubElement(link, "inertial")
        ET.SubElement(inertial, "origin", xyz=_row(body.ipos), rpy="0 0 0")
        ET.SubElement(inertial, "mass", value=repr(float(body.mass[0])))
        turn = _matrix(body.iquat)
        tensor = turn @ np.diag(body.inertia) @ turn.T
        names = (("ixx", 0, 0), ("ixy", 0, 1), ("ixz", 0, 2), ("iyy", 1, 1), ("iyz", 1, 2), ("izz", 2, 2))
        ET.SubElement(inertial, "inertia", {name: repr(float(tensor[r, c])) for name, r, c in names})
        if i > 0:
            _add_joint(robot, model, i)
    ET.SubElement(robot, "link", name="link8")
    flange = ET.SubElement(robot, "joint", name="joint8", type="fixed")
    ET.SubElement(flange, "parent", link="link7")
    ET.SubElement(flange, "child", link="link8")
    ET.SubElement(flange, "origin", xyz=f"0 0 {FLANGE_M}", rpy="0 0 0")
    ET.indent(robot)
    return ET.tostring(robot, encoding="unicode", xml_declaration=True)


def _add_joint(robot: ET.Element, model: mujoco.MjModel, i: int) -> None:
    body, name = model.body(f"link{i}"), panda.JOINT_NAMES[i - 1]
    low, high = (float(v) for v in model.joint(name).range)
    joint = ET.SubElement(robot, "joint", name=name, type="revolute")
    ET.SubElement(joint, "parent", link=f"link{i - 1}")
    ET.SubElement(joint, "child", link=f"link{i}")
    ET.SubElement(joint, "origin", xyz=_row(body.pos), rpy=_row(_roll_pitch_yaw(_matrix(body.quat))))
    ET.SubElement(joint, "axis", xyz="0 0 1")
    ET.SubElement(
        joint,
        "limit",
        lower=repr(low),
        upper=repr(high),
        velocity=repr(float(VELOCITY_LIMIT_RAD_S[i - 1])),
        effort=repr(float(panda.TORQUE_LIMIT_NM[i - 1])),
    )
    ET.SubElement(
        joint,
        "position_based_velocity_limits",
        velocity_offset="0.0",
        deceleration_limit=str(DECELERATION_LIMIT_RAD_S2),
    )


def _matrix(quat_wxyz: Array) -> Array:
    out = np.zeros(9)
    mujoco.mju_quat2Mat(out, np.asarray(quat_wxyz, np.float64))
    return out.reshape(3, 3)


def _roll_pitch_yaw(turn: Array) -> Array:
    """Angles of ``Rz(yaw) Ry(pitch) Rx(roll)``, as URDF means them; pitch stays clear of a quarter turn in this arm."""
    roll = np.arctan2(turn[2, 1], turn[2, 2])
    pitch = -np.arcsin(np.clip(turn[2, 0], -1.0, 1.0))
    return np.array([roll, pitch, np.arctan2(turn[1, 0], turn[0, 0])])


def _row(values: Sequence[float] | Array) -> str:
    return " ".join(repr(float(v)) for v in values)
