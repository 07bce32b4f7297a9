"""How a base policy is asked over HTTP. Small enough to be served by anything.

``GET /info`` answers JSON: ``schema``, and the fields of `robot_rl.core.base.BaseInfo`.

``POST /propose`` takes and answers safetensors (https://github.com/huggingface/safetensors), arrays by name:

* asked: ``state`` F32 [observations, n], ``noise`` F32 [proposals, steps, dimensions], ``image.CAMERA`` U8
  [observations, h, w, 3];
* answered: ``actions`` F32 [proposals, horizon, 7] in [-1, 1].

The header ``X-Base-Checksum`` names the base that is meant; a server that has another answers 409. A question that does
not fit the base is answered 400, a base that fails 500, both with JSON ``{"error": "one sentence"}``.

With a key, both sides sign (HMAC-SHA256) and the key itself never travels. ``X-Signature`` of a question is over its
method, path (``/info`` or ``/propose``), ``X-Nonce`` (fresh for each question), checksum and body; of an answer over
the question's signature, the status and its body. Pictures and states are not hidden by that: where they must be, use
https through a proxy, or a tunnel.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.types import Float32
from robot_rl.policies.base.adapters.asked import Asked

SCHEMA = 1
KEY_VARIABLE = "ROBOT_RL_BASE_KEY"
MIN_KEY = 16
MAX_BODY_BYTES = 2**28
IMAGE = "image."


def pack_question(asked: Asked) -> bytes:
    """A question as bytes."""
    pictures = {IMAGE + camera: np.ascontiguousarray(p) for camera, p in asked.pictures.items()}
    packed: bytes = save({"state": _plain(asked.state), "noise": _plain(asked.noise), **pictures})
    return packed


def unpack_question(body: bytes) -> Asked:
    """Inverse of `pack_question`; what is in it is to be checked against the base.

    Raises:
        DataError: the bytes are no question.
    """
    arrays = _arrays(body)
    if not {"state", "noise"} <= arrays.keys():
        raise DataError(f"a question with {', '.join(sorted(arrays)) or 'nothing'}, expected state and noise")
    pictures = {name.removeprefix(IMAGE): a for name, a in arrays.items() if name.startswith(IMAGE)}
    if len(pictures) + 2 != len(arrays):
        raise DataError(f"a question with {', '.join(sorted(arrays))}, expected state, noise and {IMAGE}CAMERA")
    return Asked(arrays["state"], arrays["noise"], pictures)


def pack_plans(plans: Float32) -> bytes:
    """An answer as bytes."""
    packed: bytes = save({"actions": _plain(plans)})
    return packed


def unpack_plans(body: bytes) -> npt.NDArray[Any]:
    """Inverse of `pack_plans`; of any shape and type.

    Raises:
        DataError: the bytes are no answer.
    """
    arrays = _arrays(body)
    if set(arrays) != {"actions"}:
        raise DataError(f"an answer with {', '.join(sorted(arrays)) or 'nothing'}, expected actions")
    return arrays["actions"]


def pack_info(info: BaseInfo) -> bytes:
    """What has to be known of a base, as JSON."""
    return json.dumps({"schema": SCHEMA, **vars(info), "cameras": dict(info.cameras)}).encode()


def unpack_info(body: bytes) -> BaseInfo:
    """Inverse of `pack_info`.

    Raises:
        DataError: the bytes do not describe a base.
    """
    try:
        found = json.loads(body)
        if found["schema"] != SCHEMA:
            raise DataError(f"it speaks schema {found['schema']!r}, expected {SCHEMA}")
        steps, dimensions = map(int, found["noise_shape"])
        shapes = {str(camera): tuple(map(int, shape)) for camera, shape in found["cameras"].items()}
        cameras = {camera: (h, w, colours) for camera, (h, w, colours) in shapes.items()}
        info = BaseInfo(
            name=str(found["name"])[:200],
            checksum=str(found["checksum"]),
            horizon=int(found["horizon"]),
            observations=int(found["observations"]),
            noise_shape=(steps, dimensions),
            hz=float(found["hz"]),
            state_checksum=str(found["state_checksum"]),
            cameras=cameras,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise DataError(f"it does not describe a base policy ({type(e).__name__} {e})") from e
    size = info.horizon * ACTION_SIZE
    if not (0 < size <= 2**20 and 1 <= info.observations <= 100 and info.hz > 0 and info.checksum):
        raise DataError(f"it describes a base that cannot be: {info}")
    return info


def sign(key: str, *parts: bytes) -> str:
    """Signature of byte strings in order, which cannot be shifted from one into the next."""
    message = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def key_from_environment() -> str:
    """The key in `KEY_VARIABLE`; empty if there is none.

    Raises:
        ConfigError: it is too short to be one.
    """
    key = os.environ.get(KEY_VARIABLE, "")
    if key and len(key) < MIN_KEY:
        raise ConfigError(f"the key in {KEY_VARIABLE} has {len(key)} characters, expected at least {MIN_KEY}")
    return key


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(array, dtype="<f4")


def _arrays(body: bytes) -> dict[str, npt.NDArray[Any]]:
    try:
        arrays: dict[str, npt.NDArray[Any]] = load(body)
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"not safetensors: {e}") from e
    return arrays
