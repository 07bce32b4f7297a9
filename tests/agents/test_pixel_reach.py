"""The small sparse task of `test_point_reach`, seen by a camera: the state row says nothing of point and goal.

From as few pictures as a dozen demonstrations hold, cloning and critics alike learn the pictures by heart; what they
need is many goals, and shifts that make more of them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from robot_rl.agents import sac
from robot_rl.agents.config import SacConfig
from robot_rl.agents.encoders import encode
from robot_rl.agents.vision_config import VisionConfig
from robot_rl.core.specs import ActionSpec, Part, StateSpec, ViewSpec
from robot_rl.core.transition import Batch, Observation, ViewBatch
from robot_rl.policies.gaussian import GaussianPolicy
from tests.learning.test_point_reach import SMALL, SPEED, PointReach, demonstrator, draw, run_episode, windows

SIDE_PX, BLOB = 16, 0.25
VIEWS = ViewSpec((("top", (SIDE_PX, SIDE_PX, 3)),))
STATE = StateSpec((Part("closed", 1, "1"),))
ACTION = ActionSpec(SPEED, 0.0, active=(0, 1))
CONFIG = replace(
    SacConfig(),
    **SMALL | {"actor_average": 0.9},
    utd=2,
    n_step=3,
    vision=VisionConfig(channels=(8, 16), bottleneck=32, augment_px=16),
)


def picture(state: np.ndarray) -> np.ndarray:
    """The point in red and the goal in green ``uint8[..., 16, 16, 3]`` of states ``[..., 5]``."""
    image = np.zeros((*state.shape[:-1], SIDE_PX, SIDE_PX, 3), np.float32)
    pixels = np.linspace(-1.2, 1.2, SIDE_PX)
    for colour, at in ((0, state[..., :2]), (1, state[..., :2] + state[..., 2:4])):
        x, y = (np.exp(-np.square((pixels - at[..., i, None]) / BLOB)) for i in (0, 1))
        image[..., colour] = 255.0 * x[..., None, :] * y[..., :, None]
    return image.astype(np.uint8)


def seen(batch: Batch) -> ViewBatch:
    """The batch with pictures in the place of what the state says of point and goal."""
    blind = batch._replace(state=batch.state[..., 4:], next_state=batch.next_state[..., 4:])
    return ViewBatch(blind, {"top": picture(batch.state)}, {"top": picture(batch.next_state)})


def train(steps: int = 1800) -> float:
    """Success rate of the deterministic policy after this many environment steps."""
    rng = np.random.default_rng(0)
    env = PointReach(False, rng)
    demos = [w for _ in range(60) for w in windows(run_episode(env, demonstrator, rng)[0], CONFIG)]
    agent = sac.init(CONFIG, STATE, ACTION, 0, VIEWS)
    update = sac.make_update(CONFIG, STATE, ACTION, VIEWS)
    online: list[Any] = []
    done = 0

    def act(
        policy: GaussianPolicy, state: np.ndarray, source: np.random.Generator, *, deterministic: bool = False
    ) -> np.ndarray:
        return policy.act(Observation(state[4:], {"top": picture(state)}), source, deterministic=deterministic)

    while done < steps:
        policy = GaussianPolicy.from_params(sac.actor_params(agent, CONFIG), 0)
        rows, _ = run_episode(env, partial(act, policy), rng)
        online += windows(rows, CONFIG)
        done += len(rows)
        for _ in rows:
            agent, _ = update(agent, seen(draw(demos, online, CONFIG, rng)))
    policy = GaussianPolicy.from_params(sac.actor_params(agent, CONFIG), 0)
    return float(np.mean([run_episode(env, partial(act, policy, deterministic=True), rng)[1] for _ in range(100)]))


@pytest.mark.slow
def test_learns_to_reach_what_only_a_camera_shows() -> None:
    assert train() >= 0.7


@pytest.mark.slow
def test_without_a_gradient_to_the_encoder_it_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar above has teeth: critics that do not train the encoder miss it."""
    monkeypatch.setattr(sac, "encode", lambda *args: jax.lax.stop_gradient(encode(*args)))
    assert train(900) < 0.4
