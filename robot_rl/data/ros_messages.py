"""Step records as CDR, the bytes of ROS 2 messages, and back, bit for bit; pictures apart, as in the file."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from robot_rl.core.errors import DataError
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import Float32, Image
from robot_rl.data.rewards import COMPONENTS, check_components
from robot_rl.data.ros_definitions import (
    FINAL_STATE,
    FINAL_STATE_TEXT,
    HEADER,
    HEADER_TEXT,
    IMAGE,
    IMAGE_TEXT,
    REWARDS,
    STATE,
    STEP,
    STEP_TEXT,
    TIME,
    stamp_ns,
    state_text,
)


@lru_cache(maxsize=16)
def messages_for(spec: StateSpec) -> EpisodeMessages:
    """The messages of a state layout; made once per layout because their code is generated."""
    return EpisodeMessages(spec)


class EpisodeMessages:
    """Encodes and decodes the messages of one state layout.

    Args:
        spec: layout of the state rows.

    Raises:
        DataError: a part's name cannot name a field of a message, or the layout is empty.

    Attributes:
        definitions: text of each message type with the types it uses, as ROS 2 tools expect it (``ros2msg``).
    """

    def __init__(self, spec: StateSpec) -> None:
        self._store = get_typestore(Stores.EMPTY)
        texts = {
            HEADER: HEADER_TEXT,
            IMAGE: IMAGE_TEXT,
            STATE: state_text(spec),
            REWARDS: "".join(f"float64 {name}\n" for name in COMPONENTS),
            STEP: STEP_TEXT,
            FINAL_STATE: FINAL_STATE_TEXT,
        }
        for name, text in texts.items():
            self._store.register(get_types_from_msg(text, name))
        self.definitions = {
            name: self._store.generate_msgdef(name, ros_version=2)[0] for name in (STEP, FINAL_STATE, IMAGE)
        }
        self._slices = tuple(spec.slices.values())
        # the attributes of a decoded state: a part called like a word of Python gets another name there
        generated: Any = self._store.types[STATE]
        self._parts = tuple(f.name for f in fields(generated))[: len(spec.parts)]

    def step(self, record: StepRecord) -> bytes:
        """A record without its pictures and final observation, as CDR.

        Raises:
            DataError: an unknown reward component, or a value outside the range of its field.
        """
        check_components(record.rewards)
        message = self._new(
            STEP,
            self._header(stamp_ns(record.t_wall_s), ""),
            record.episode_id,
            int(record.step_index),
            self._state(record.obs),
            record.action_executed,
            record.action_policy,
            _base_values(record.action_base),
            self._new(REWARDS, *(float(record.rewards.get(name, math.nan)) for name in COMPONENTS)),
            bool(record.terminated),
            bool(record.truncated),
            record.stop_reason,
            bool(record.intervention),
            int(record.source),
            int(record.policy_version),
            int(record.reward_version),
            float(record.t_wall_s),
            float(record.t_control_s),
            float(record.latency_ms),
            list(record.obs.images),
        )
        return self._encode(message, STEP)

    def final_state(self, obs: Observation, time_ns: int) -> bytes:
        """An observation without its pictures, as CDR."""
        message = self._new(FINAL_STATE, self._header(time_ns, ""), self._state(obs), list(obs.images))
        return self._encode(message, FINAL_STATE)

    def image(self, camera: str, image: Image, time_ns: int) -> bytes:
        """A picture ``uint8[H, W, 3]`` as CDR.

        Raises:
            DataError: it is no such array.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise DataError(
                f"picture of camera {camera!r} is {image.dtype}{list(image.shape)}, expected uint8[H, W, 3]"
            )
        height, width, _ = image.shape
        pixels = np.ascontiguousarray(image).reshape(-1)
        message = self._new(IMAGE, self._header(time_ns, camera), height, width, "rgb8", 0, 3 * width, pixels)
        return self._encode(message, IMAGE)

    def read_step(self, data: bytes) -> Any:
        """Decode `STEP`; its fields are those of the definition.

        Raises:
            DataError: the bytes are no such message.
        """
        return self._decode(data, STEP)

    def read_final_state(self, data: bytes) -> Any:
        """Decode `FINAL_STATE`.

        Raises:
            DataError: the bytes are no such message.
        """
        return self._decode(data, FINAL_STATE)

    def read_image(self, data: bytes) -> Image:
        """Decode a picture to a read-only ``uint8[H, W, 3]``.

        Raises:
            DataError: the bytes are no such message, or not an ``rgb8`` picture.
        """
        message = self._decode(data, IMAGE)
        height, width = message.height, message.width
        if message.encoding != "rgb8" or message.step != 3 * width or len(message.data) != 3 * width * height:
            raise DataError(f"picture of {len(message.data)} bytes, {message.encoding!r}, {height} x {width}")
        pixels: Image = message.data.reshape(height, width, 3)
        return pixels

    def row(self, state: Any) -> Float32:
        """The state row ``float32[n]``, read-only, of a decoded ``State``."""
        row: Float32 = np.concatenate([getattr(state, name) for name in self._parts])
        row.flags.writeable = False
        return row

    def record(self, step: Any, task: str, images: Mapping[str, Image], final_obs: Observation | None) -> StepRecord:
        """The record of a decoded `STEP`, validated.

        Raises:
            DataError: it breaks the schema of `StepRecord`.
        """
        if step.source not in Source.__members__.values():
            raise DataError(f"step record from source {step.source}, expected one of {[int(s) for s in Source]}")
        values = ((name, getattr(step.rewards, name)) for name in COMPONENTS)
        record = StepRecord(
            episode_id=step.episode_id,
            step_index=step.step_index,
            obs=Observation(self.row(step.state), images),
            action_executed=step.action_executed,
            action_policy=step.action_policy,
            rewards={name: value for name, value in values if not math.isnan(value)},
            terminated=step.terminated,
            truncated=step.truncated,
            stop_reason=step.stop_reason,
            intervention=step.intervention,
            source=Source(step.source),
            policy_version=step.policy_version,
            task=task,
            t_wall_s=step.t_wall_s,
            t_control_s=step.t_control_s,
            latency_ms=step.latency_ms,
            reward_version=step.reward_version,
            final_obs=final_obs,
            action_base=step.action_base if len(step.action_base) else None,
        )
        record.validate()
        return record

    def _state(self, obs: Observation) -> Any:
        return self._new(STATE, *(obs.state[where] for where in self._slices))

    def _header(self, time_ns: int, frame_id: str) -> Any:
        return self._new(HEADER, self._new(TIME, *divmod(time_ns, 10**9)), frame_id)

    def _new(self, name: str, *values: object) -> Any:
        return self._store.types[name](*values)  # type: ignore[arg-type]

    def _encode(self, message: object, name: str) -> bytes:
        try:
            return bytes(self._store.serialize_cdr(message, name))
        except (SerdeError, struct.error, ValueError, TypeError, OverflowError) as e:
            raise DataError(f"a step with a value that {name} cannot hold: {e}") from e

    def _decode(self, data: bytes, name: str) -> Any:
        try:
            return self._store.deserialize_cdr(data, name)
        except (SerdeError, struct.error, ValueError, IndexError, OverflowError, MemoryError, AssertionError) as e:
            raise DataError(f"not a {name}: {e}") from e


def _base_values(action: Float32 | None) -> Float32:
    if action is None:
        return np.empty(0, np.float32)
    if action.dtype != np.float32 or action.ndim != 1 or not action.size:
        raise DataError(f"action_base is {action.dtype}{list(action.shape)}, expected float32[n] or None")
    return action
