"""What a cell offers: its topics and services with their types, as `robot-rl cell check` lists them."""

from __future__ import annotations

from dataclasses import dataclass

from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros import names


@dataclass(frozen=True)
class Endpoint:
    """A topic or a service.

    Attributes:
        name: relative to the cell's namespace, or absolute.
        type: of its messages, in short.
        by: who publishes it or offers it.
        kind: ``topic`` or ``service``.
    """

    name: str
    type: str
    by: str
    kind: str = "topic"


def endpoints(config: CellConfig) -> list[Endpoint]:
    """Topics and services of a cell, in the order in which a command travels."""
    found = [
        *(Endpoint(names.wish(role), "PoseStamped", role) for role in config.limits.roles),
        Endpoint(names.TARGET_POSE, "PoseStamped", "arbiter"),
        Endpoint(names.MODE, "String, latched", "arbiter"),
        Endpoint(names.FAULT, "String, latched", "arbiter"),
        Endpoint(names.ESTOP, "Bool, latched", "anybody"),
        Endpoint(names.CURRENT_POSE, "PoseStamped", "arm"),
        Endpoint(names.CURRENT_TWIST, "TwistStamped", "arm"),
        Endpoint(names.JOINT_STATES, "JointState", "arm"),
        Endpoint(names.EXTERNAL_WRENCH, "WrenchStamped", "arm"),
        Endpoint(names.ROBOT_MODE, "String, latched", "arm"),
    ]
    if config.gripper.provider != "none":
        found += [
            Endpoint(names.GRIPPER_COMMAND, "Float64MultiArray", "policy"),
            Endpoint(names.GRIPPER_TARGET, "Float64MultiArray, latched", "gripper"),
            Endpoint(names.GRIPPER_STATES, "JointState", "gripper"),
        ]
    for camera in config.cameras:
        found.append(Endpoint(names.image(camera), "Image", f"camera:{camera}"))
        found.append(Endpoint(names.camera_info(camera), "CameraInfo", f"camera:{camera}"))
        if config.cameras[camera].compressed:
            found.append(Endpoint(names.compressed(camera), "CompressedImage", f"camera:{camera}"))
    found.append(Endpoint(names.object_pose("NAME"), "PoseStamped", "world"))
    if config.teleop.provider != "none":
        by = "a node of yours" if config.teleop.provider == "joy" else "teleop"
        found += [Endpoint(names.TELEOP_JOY, "Joy", by), Endpoint(names.TELEOP_TWIST, "TwistStamped", "teleop")]
    if config.reward:
        found.append(Endpoint(names.REWARD, "Float64MultiArray", "reward"))
    found.append(Endpoint(names.DIAGNOSTICS, "DiagnosticArray", "every node"))
    return found + _services(config)


def _services(config: CellConfig) -> list[Endpoint]:
    offered = [
        (names.ENABLE, "SetBool", "arbiter"),
        *((name, "Trigger", "arbiter") for name in (names.RECOVER, names.STOP, names.HOME)),
        *((names.release(role), "Trigger", "arbiter") for role in config.limits.roles),
        *((name, "Trigger", "arm, for the arbiter only") for name in (names.ARM_HOME, names.ARM_RECOVER)),
    ]
    if config.gripper.provider != "none":
        verbs = (names.GRIPPER_HOME, names.GRIPPER_OPEN, names.GRIPPER_GRASP)
        offered += [(name, "Trigger", "gripper") for name in verbs]
    offered += [(name, "Trigger", "world") for name in (names.WORLD_RESET, names.WORLD_PLACE)]
    return [Endpoint(name, kind, by, "service") for name, kind, by in offered]
