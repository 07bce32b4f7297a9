"""Topics, services and frames of a cell, relative to its namespace; those that CRISP uses carry CRISP's names."""

from __future__ import annotations

BASE_FRAME = "base"
TCP_FRAME = "tcp"
JOINT_NAMES = tuple(f"fr3_joint{i}" for i in range(1, 8))
GRIPPER_JOINT = "gripper"

# Of the arbiter to the arm, and of the arm's state.
TARGET_POSE = "target_pose"
CURRENT_POSE = "current_pose"
CURRENT_TWIST = "current_twist"
JOINT_STATES = "joint_states"
EXTERNAL_WRENCH = "external_wrench"
ROBOT_MODE = "robot_mode"
ARM_HOME = "arm/home"
ARM_RECOVER = "arm/recover"
HOME_ONCE = "home_once.q_rad"
HOME_ONCE_S = "home_once.duration_s"

# Of the arbiter.
MODE = "safety/mode"
FAULT = "safety/fault"
ESTOP = "estop"
ENABLE = "enable"
RECOVER = "recover"
STOP = "stop"
HOME = "home"

TELEOP_JOY = "teleop/joy"
TELEOP_TWIST = "teleop/twist"

GRIPPER_COMMAND = "gripper/command"
GRIPPER_TARGET = "gripper/target"
GRIPPER_STATES = "gripper/joint_states"
GRIPPER_HOME = "gripper/home"
GRIPPER_OPEN = "gripper/open"
GRIPPER_GRASP = "gripper/grasp"

WORLD_RESET = "world/reset"
WORLD_PLACE = "world/place"
START_POSE = "start.pose_base_tcp"
START_WIDTH = "start.gripper_width_m"

REWARD = "reward"

DIAGNOSTICS = "/diagnostics"


def wish(role: str) -> str:
    """Topic on which a role tells the arbiter where it wants the tool."""
    return f"{role}/{TARGET_POSE}"


def release(role: str) -> str:
    """Service by which a role lets the arm go."""
    return f"{role}/release"


def object_pose(name: str) -> str:
    """Topic of an object's pose in the base frame."""
    return f"objects/{name}/pose"


def start_object(name: str) -> str:
    """Parameter of the world node: where an object stands at the start of the next episode."""
    return f"start.objects.{name}"


def place_object(name: str) -> str:
    """Parameter of the world node: where to place an object now."""
    return f"place.{name}"


def image(camera: str) -> str:
    """Topic of a camera's pictures."""
    return f"{camera}/color/image_raw"


def compressed(camera: str) -> str:
    """Topic of the same as JPEG."""
    return f"{image(camera)}/compressed"


def camera_info(camera: str) -> str:
    """Topic of its calibration."""
    return f"{camera}/color/camera_info"


def optical_frame(camera: str) -> str:
    """Frame of its pictures: z forward, x right, y down (REP 103)."""
    return f"{camera}_color_optical_frame"
