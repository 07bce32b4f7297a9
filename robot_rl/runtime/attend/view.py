"""What there is to see of a cell at a control step, and its way to whoever watches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.core.types import Array, CellReadings, Image
from robot_rl.runtime.attend.messages import SCHEMA, open_message
from robot_rl.runtime.transport.fields import Fields, pack_header

VIEW = "view"
MAX_IMAGE_BYTES = 2**24
_ARRAYS = {"q_rad": 7, "pose_base_tcp": 7, "pose_base_target": 7, "wrench_tcp": 6, "action": 7}


@dataclass(frozen=True)
class View:
    """A cell at a control step.

    Attributes:
        episode_id: of the running episode.
        step_index: steps taken in it.
        q_rad: joint positions ``[7]``.
        pose_base_tcp: measured ``[7]``.
        pose_base_target: where the tool was sent ``[7]``.
        wrench_tcp: on the tool, in its frame ``[6]``.
        gripper_width_m: opening.
        action: executed ``[7]``.
        objects: `pose_base_object` ``[7]`` by name, as far as the cell knows it.
        rewards: components of the step.
        intervention: an operator's step.
        policy_version: that acted.
        images: ``uint8[H, W, 3]`` by camera.
    """

    episode_id: str
    step_index: int
    q_rad: Array
    pose_base_tcp: Array
    pose_base_target: Array
    wrench_tcp: Array
    gripper_width_m: float
    action: Array
    objects: Mapping[str, Array] = field(default_factory=dict)
    rewards: Mapping[str, float] = field(default_factory=dict)
    intervention: bool = False
    policy_version: int = -1
    images: Mapping[str, Image] = field(default_factory=dict)


def view_of(now: CellReadings, record: StepRecord | None, seen: Observation | None) -> View:
    """What there is to see now.

    Args:
        now: readings of the last control tick.
        record: the newest step, None before the first.
        seen: the newest observation.
    """
    return View(
        episode_id="" if record is None else record.episode_id,
        step_index=0 if record is None else record.step_index + 1,
        q_rad=now.arm.q_rad,
        pose_base_tcp=now.arm.pose_base_tcp,
        pose_base_target=now.pose_base_target,
        wrench_tcp=now.arm.wrench_tcp,
        gripper_width_m=now.gripper.width_m,
        action=np.zeros(7) if record is None else record.action_executed.astype(np.float64),
        objects=now.objects,
        rewards={} if record is None else record.rewards,
        intervention=record is not None and record.intervention,
        policy_version=-1 if record is None else record.policy_version,
        images={} if seen is None else seen.images,
    )


def pack_view(view: View, *, pictures: bool) -> list[bytes]:
    """A view as frames: a header, then the pictures if they are wanted."""
    images = dict(view.images) if pictures else {}
    header = pack_header(
        SCHEMA,
        VIEW,
        episode_id=view.episode_id,
        step_index=view.step_index,
        gripper_width_m=float(view.gripper_width_m),
        objects={name: [float(v) for v in pose] for name, pose in view.objects.items()},
        rewards={name: float(v) for name, v in view.rewards.items()},
        intervention=view.intervention,
        policy_version=view.policy_version,
        layout=[[name, "|u1", list(image.shape)] for name, image in images.items()],
        **{name: [float(v) for v in getattr(view, name)] for name in _ARRAYS},
    )
    return [header, *(np.ascontiguousarray(image).tobytes() for image in images.values())]


def read_view(frames: Sequence[bytes]) -> View:
    """The inverse.

    Raises:
        DataError: it is something else, or of another schema.
    """
    fields = open_message(frames[0] if frames else b"", VIEW)
    view = View(
        episode_id=fields.text("episode_id"),
        step_index=fields.count("step_index"),
        gripper_width_m=fields.number("gripper_width_m"),
        objects={name: _numbers(pose, 7) for name, pose in fields.take("objects", dict).items()},
        rewards={name: float(_numbers([value], 1)[0]) for name, value in fields.take("rewards", dict).items()},
        intervention=fields.take("intervention", bool),
        policy_version=fields.take("policy_version", int),
        images=_images(fields, frames[1:]),
        **{name: _numbers(fields.take(name, list), size) for name, size in _ARRAYS.items()},
    )
    fields.finish(VIEW)
    return view


def _numbers(values: Any, size: int) -> Array:
    if not (isinstance(values, list) and len(values) == size and all(type(v) is float for v in values)):
        raise DataError(f"a view with {str(values)[:80]} where {size} numbers belong")
    if not all(map(math.isfinite, values)):
        raise DataError(f"a view with {values} where finite numbers belong")
    return np.array(values)


def _images(fields: Fields, payload: Sequence[bytes]) -> dict[str, Image]:
    layout = fields.layout("layout")
    if len(layout) != len(payload):
        raise DataError(f"a view with {len(payload)} pictures, its header names {len(layout)}")
    images: dict[str, Image] = {}
    for (name, _, shape), data in zip(layout, payload, strict=True):
        if len(shape) != 3 or shape[2] != 3 or math.prod(shape) != len(data) or len(data) > MAX_IMAGE_BYTES:
            raise DataError(f"a view whose picture {name!r} has {len(data)} bytes and the shape {shape}")
        images[name] = np.frombuffer(data, np.uint8).reshape(shape)
    return images
