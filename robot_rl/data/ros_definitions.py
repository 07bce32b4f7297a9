"""Topics and message definitions of an episode file.

A file carries these definitions with it, so that a viewer needs no package of ours. The layout of ``State`` follows the
state specification, so every part of the state appears under its own name.

Topics, all messages numbered by the step they belong to:
    ``/step``: `STEP`, one a step, written after everything else of that step.
    ``/camera/<name>/image_raw``: `IMAGE`, what the step's observation saw.
    ``/final_state``: `FINAL_STATE`, once, what was seen after the last step; numbered last step + 1, its pictures too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_SIZE, StateSpec

STEP = "robot_rl_msgs/msg/Step"
FINAL_STATE = "robot_rl_msgs/msg/FinalState"
IMAGE = "sensor_msgs/msg/Image"
STEP_TOPIC = "/step"
FINAL_TOPIC = "/final_state"
_IMAGE_TOPIC = re.compile(r"/camera/(\w+)/image_raw")
_NAME = re.compile(r"(?!.*__)(?!.*_$)[A-Za-z][A-Za-z0-9_]*")
STATE = "robot_rl_msgs/msg/State"
REWARDS = "robot_rl_msgs/msg/Rewards"
HEADER = "std_msgs/msg/Header"
TIME = "builtin_interfaces/msg/Time"
_MAX_STAMP_S = 2**31 - 1

HEADER_TEXT = "builtin_interfaces/Time stamp\nstring frame_id\n"
IMAGE_TEXT = """std_msgs/Header header
uint32 height
uint32 width
string encoding
uint8 is_bigendian
uint32 step
uint8[] data
"""
STEP_TEXT = f"""std_msgs/Header header
string episode_id
uint32 step_index
robot_rl_msgs/State state
float32[{ACTION_SIZE}] action_executed
float32[{ACTION_SIZE}] action_policy
float32[] action_base
robot_rl_msgs/Rewards rewards
bool terminated
bool truncated
string stop_reason
bool intervention
uint8 source
int64 policy_version
int64 reward_version
float64 t_wall_s
float64 t_control_s
float64 latency_ms
string[] cameras
"""
FINAL_STATE_TEXT = "std_msgs/Header header\nrobot_rl_msgs/State state\nstring[] cameras\n"


def image_topic(camera: str) -> str:
    """Topic of a camera's pictures.

    Raises:
        DataError: the camera's name cannot be part of a topic.
    """
    if not _NAME.fullmatch(camera):
        raise DataError(f"camera {camera!r} cannot name a topic: use letters, digits and single underscores")
    return f"/camera/{camera}/image_raw"


def camera_of(topic: str) -> str | None:
    """Inverse of `image_topic`; None for other topics."""
    found = _IMAGE_TOPIC.fullmatch(topic)
    return found[1] if found else None


def stamp_ns(t_wall_s: float) -> int:
    """Unix time in ns as a ROS stamp can hold it: what is before 1970, after 2038 or not finite becomes the nearest."""
    if not t_wall_s > 0.0:
        return 0
    return _MAX_STAMP_S * 10**9 if t_wall_s >= _MAX_STAMP_S else int(t_wall_s * 1e9)


def state_text(spec: StateSpec) -> str:
    """Definition of ``State``: a field for every part.

    Raises:
        DataError: a part's name cannot name a field, or the layout is empty.
    """
    # a layout may come from a file, and message code is generated from it
    if not spec.parts or not all(type(p.name) is str and type(p.size) is int and p.size > 0 for p in spec.parts):
        layout = [(p.name, p.size) for p in spec.parts]
        raise DataError(f"a state of parts {layout} cannot be logged: each needs a name and at least one value")
    names: Sequence[str] = [part.name for part in spec.parts]
    wrong = [name for name in names if not _NAME.fullmatch(name) or name != name.lower()]
    if wrong or len(set(names)) < len(names):
        named = wrong or sorted({n for n in names if names.count(n) > 1})
        raise DataError(
            f"state parts {named} cannot be fields of a message: use different names of lower-case letters, digits and"
            " single underscores"
        )
    return "".join(f"float32[{part.size}] {part.name}\n" for part in spec.parts)
