"""The point on a line with two cameras that show where it is; also its actor process, as ``point_actor`` is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from robot_rl.core.transition import Observation
from robot_rl.runtime.actor import process as actor
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.pictures import PictureConfig
from tests.runtime.fakes import PointEnv, tiny_config

CAMERAS = ("wrist", "side")
SIZE_PX = 16
ENCODER = "random:small"


def pictures_of(state: np.ndarray) -> dict[str, np.ndarray]:
    """A gradient that no other camera has, with a bright column where the point is and a dark row at the goal."""
    x, goal = (int(np.clip((v + 1.5) / 3.0, 0.0, 1.0) * (SIZE_PX - 1)) for v in np.nan_to_num(state[:2]))
    out = {}
    for number, name in enumerate(CAMERAS):
        ramp = np.linspace(60, 160, SIZE_PX).astype(np.uint8)
        image = np.repeat(
            np.broadcast_to(ramp if number else ramp[:, None], (SIZE_PX, SIZE_PX))[..., None], 3, 2
        ).copy()
        image[:, x] = 250
        image[goal, :, 0] = 30
        # sensors are noisy: no two exposures are equal
        image[0, 0] = np.frombuffer(np.float32(state[0]).tobytes()[:3], np.uint8)
        out[name] = image
    return out


class SeenPoint(PointEnv):
    """`PointEnv` with pictures, which a test may spoil."""

    spoil: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = staticmethod(lambda images: images)

    def _observe(self) -> dict[str, Any]:
        out = super()._observe()
        return {**out, "images": self.spoil(pictures_of(out["state"]))}


def seen_config(**changes: Any) -> TrainConfig:
    """A short run that learns from both cameras."""
    chosen = PictureConfig(cameras=CAMERAS, image_size=SIZE_PX, encoder=ENCODER, crops=2)
    return tiny_config(**{"pictures": chosen, "env_steps": 80, "checkpoint_every": 30, **changes})


def with_pictures(obs: Observation) -> Observation:
    """A recorded observation as the cameras would have seen it."""
    return Observation(obs.state, pictures_of(obs.state))


actor.open_env = lambda config: SeenPoint(limit=12)  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(actor.main())
