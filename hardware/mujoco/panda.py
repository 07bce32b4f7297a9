"""The Franka Emika Panda with its hand, built procedurally with `mujoco.MjSpec`; no mesh files.

Kinematics: modified Denavit-Hartenberg parameters and limits of the Franka Control Interface manual.
Dynamics: identified by Gaz et al., "Dynamic Identification of the Franka Emika Panda Robot With Retrieval of
Feasible Parameters Using Penalty-Based Optimization", IEEE RA-L 4(4), 2019. Rotor inertia (armature) is not
published; 0.1 kg m^2 is the value in common use, and identification on the own robot should replace it.
Link shapes (`panda_look`) are estimates for looking at, not for clearance checks; the arm itself does not collide.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from robot_rl.hardware.mujoco.panda_look import LINK_SHAPES, PAD, STEEL, base_shape, hand_shape, shape

JOINT_NAMES = tuple(f"joint{i}" for i in range(1, 8))
MOTOR_NAMES = tuple(f"motor{i}" for i in range(1, 8))
Q_HOME_RAD = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
Q_MIN_RAD = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
Q_MAX_RAD = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
TORQUE_LIMIT_NM = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])
GRIPPER_MAX_WIDTH_M = 0.08
GRIPPER_ACTUATOR = "gripper"
TCP_SITE = "tcp"
FORCE_SENSOR = "wrist_force"
TORQUE_SENSOR = "wrist_torque"
HAND_MASS_KG = 0.73
FINGER_MASS_KG = 0.015
FLANGE_TO_TCP_M = 0.1034
FINGER_OFFSET_M = 0.0584
GRASP_FORCE_N = 30.0


@dataclass(frozen=True)
class _Link:
    """a, d, alpha: modified DH to the previous link; mass, centre of mass, inertia xx yy zz xy xz yz about it."""

    a_m: float
    d_m: float
    alpha_rad: float
    mass_kg: float
    com_m: tuple[float, float, float]
    inertia_kg_m2: tuple[float, float, float, float, float, float]


_LINKS = (
    _Link(
        0.0,
        0.333,
        0.0,
        4.970684,
        (3.875e-3, 2.081e-3, -0.04762),
        (0.70337, 0.70661, 9.117e-3, -1.39e-4, 6.772e-3, 0.019169),
    ),
    _Link(
        0.0,
        0.0,
        -np.pi / 2,
        0.646926,
        (-3.141e-3, -0.02872, 3.495e-3),
        (7.962e-3, 0.02811, 0.025995, -3.925e-3, 0.010254, 7.04e-4),
    ),
    _Link(
        0.0,
        0.316,
        np.pi / 2,
        3.228604,
        (0.027518, 0.039252, -0.066502),
        (0.037242, 0.036155, 0.01083, -4.761e-3, -0.011396, -0.012805),
    ),
    _Link(
        0.0825,
        0.0,
        np.pi / 2,
        3.587895,
        (-0.05317, 0.104419, 0.027454),
        (0.025853, 0.019552, 0.028323, 7.796e-3, -1.332e-3, 8.641e-3),
    ),
    _Link(
        -0.0825,
        0.384,
        -np.pi / 2,
        1.225946,
        (-0.011953, 0.041065, -0.038437),
        (0.035549, 0.029474, 8.627e-3, -2.117e-3, -4.037e-3, 2.29e-4),
    ),
    _Link(
        0.0,
        0.0,
        np.pi / 2,
        1.666555,
        (0.060149, -0.014117, -0.010517),
        (1.964e-3, 4.354e-3, 5.433e-3, 1.09e-4, -1.158e-3, 3.41e-4),
    ),
    _Link(
        0.088,
        0.0,
        np.pi / 2,
        0.735522,
        (0.010517, -4.252e-3, 0.061597),
        (0.012516, 0.010027, 4.815e-3, -4.28e-4, -1.196e-3, -7.41e-4),
    ),
)


def add_panda(spec: mujoco.MjSpec, *, armature_kg_m2: float = 0.1, damping_nm_s: float = 0.5) -> mujoco.MjsBody:
    """Add the arm, its base at the world's origin, with motors, hand, sensors and wrist camera.

    Returns:
        The hand body; what is rigidly held is added to it.
    """
    parent = spec.worldbody.add_body(name="link0")
    parent.explicitinertial, parent.mass, parent.ipos = True, 0.629769, [-0.041018, -0.00014, 0.049974]
    parent.fullinertia = [0.00315, 0.00388, 0.004285, 8.2904e-07, 0.00015, 8.2299e-06]
    base_shape(parent)
    for i, link in enumerate(_LINKS):
        parent = _add_link(parent, i, link, armature_kg_m2, damping_nm_s)
        LINK_SHAPES[i](parent)
        spec.add_actuator(
            name=MOTOR_NAMES[i],
            target=JOINT_NAMES[i],
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrlrange=[-TORQUE_LIMIT_NM[i], TORQUE_LIMIT_NM[i]],
            ctrllimited=True,
        )
    return _add_hand(spec, parent)


def _add_link(parent: mujoco.MjsBody, i: int, link: _Link, armature: float, damping: float) -> mujoco.MjsBody:
    s, c = np.sin(link.alpha_rad), np.cos(link.alpha_rad)
    body = parent.add_body(
        name=f"link{i + 1}",
        pos=[link.a_m, -s * link.d_m, c * link.d_m],
        quat=[np.cos(link.alpha_rad / 2), np.sin(link.alpha_rad / 2), 0, 0],
    )
    body.explicitinertial, body.mass, body.ipos, body.fullinertia = True, link.mass_kg, link.com_m, link.inertia_kg_m2
    joint = body.add_joint(name=JOINT_NAMES[i], axis=[0, 0, 1], range=[Q_MIN_RAD[i], Q_MAX_RAD[i]], armature=armature)
    joint.limited = True
    joint.damping = [damping, 0, 0]
    return body


def _add_hand(spec: mujoco.MjSpec, link7: mujoco.MjsBody) -> mujoco.MjsBody:
    """Hand turned by -45 degrees on the flange, two coupled fingers, force/torque sensing between flange and hand."""
    hand = link7.add_body(name="hand", pos=[0, 0, 0.107], quat=[np.cos(-np.pi / 8), 0, 0, np.sin(-np.pi / 8)])
    hand.explicitinertial, hand.mass, hand.ipos, hand.inertia = (
        True,
        HAND_MASS_KG,
        [-0.01, 0, 0.03],
        [1e-3, 2.5e-3, 1.7e-3],
    )
    hand.add_site(name="flange", size=[0.005] * 3, rgba=[0, 0, 0, 0])
    hand.add_site(name=TCP_SITE, pos=[0, 0, FLANGE_TO_TCP_M], size=[0.004] * 3, rgba=[0, 0, 0, 0])
    hand_shape(hand)
    hand.add_camera(name="wrist", pos=[0.07, 0, 0.015], quat=_camera_quat(tilt_rad=0.42), fovy=75)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _add_finger(hand, side, sign)
    equality = spec.add_equality(
        name="fingers", type=mujoco.mjtEq.mjEQ_JOINT, name1="finger_left", name2="finger_right"
    )
    equality.objtype = mujoco.mjtObj.mjOBJ_JOINT
    equality.data[:2] = [0.0, 1.0]
    equality.solref = [0.005, 1]
    tendon = spec.add_tendon(name="fingers")
    tendon.wrap_joint("finger_left", 1.0)
    tendon.wrap_joint("finger_right", 1.0)
    # Position servo on the opening; its force limit is the grasp force.
    stiffness = 2000.0
    servo = spec.add_actuator(name=GRIPPER_ACTUATOR, target="fingers", trntype=mujoco.mjtTrn.mjTRN_TENDON)
    servo.gainprm[0], servo.biasprm[1] = stiffness, -stiffness
    servo.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    servo.ctrlrange, servo.ctrllimited = [0, GRIPPER_MAX_WIDTH_M], True
    servo.forcerange, servo.forcelimited = [-GRASP_FORCE_N, GRASP_FORCE_N], True
    for name, kind in ((FORCE_SENSOR, mujoco.mjtSensor.mjSENS_FORCE), (TORQUE_SENSOR, mujoco.mjtSensor.mjSENS_TORQUE)):
        spec.add_sensor(name=name, type=kind, objtype=mujoco.mjtObj.mjOBJ_SITE, objname="flange")
    return hand


def _add_finger(hand: mujoco.MjsBody, side: str, sign: float) -> None:
    finger = hand.add_body(name=f"{side}_finger", pos=[0, 0, FINGER_OFFSET_M])
    finger.explicitinertial, finger.mass, finger.ipos, finger.inertia = (
        True,
        FINGER_MASS_KG,
        [0, sign * 0.015, 0.02],
        [2.4e-6, 2.4e-6, 1e-6],
    )
    joint = finger.add_joint(
        name=f"finger_{side}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, sign, 0], range=[0, GRIPPER_MAX_WIDTH_M / 2]
    )
    # Damping sets the closing speed: grasp force / damping, about 0.1 m/s a finger.
    joint.limited, joint.damping, joint.armature = True, [250.0, 0, 0], 0.1
    shape(finger, "box", [0.0105, 0.0065, 0.0125], [0, sign * 0.0175, 0.012], STEEL)
    shape(finger, "box", [0.0095, 0.0045, 0.011], [0, sign * 0.0105, 0.0335], STEEL)
    finger.add_geom(
        name=f"{side}_pad",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.0095, 0.004, 0.0105],
        pos=[0, sign * 0.004, 0.0445],
        rgba=PAD,
        contype=1,
        conaffinity=2,
        condim=4,
        friction=[1.2, 0.01, 0.0001],
        solref=[0.004, 1],
        solimp=[0.95, 0.99, 0.001, 0.5, 2],
        mass=0,
    )


def _camera_quat(tilt_rad: float) -> list[float]:
    """Looks along the hand's +z, tilted towards the fingers; the image's up is the hand's +x."""
    # MuJoCo cameras look along -z with y up: turn by 180 degrees about y, then a quarter turn about the view axis.
    out = np.zeros(4)
    flip, roll, tilt = (np.zeros(4) for _ in range(3))
    mujoco.mju_axisAngle2Quat(flip, np.array([0.0, 1.0, 0.0]), np.pi)
    mujoco.mju_axisAngle2Quat(roll, np.array([0.0, 0.0, 1.0]), np.pi / 2)
    mujoco.mju_axisAngle2Quat(tilt, np.array([0.0, 1.0, 0.0]), -tilt_rad)
    mujoco.mju_mulQuat(out, flip, roll)
    mujoco.mju_mulQuat(out, tilt, out.copy())
    return [float(v) for v in out]
