"""Every variant of the agent must solve a small sparse task, in a fixed number of steps, from a few demonstrations.

A point in the unit square has to come to a goal and, in the variants with a gripper, to close there. The reward is 1 on
success and 0 before. The bar is far above what the demonstrator's noise or a random policy reach.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from robot_rl.agents import losses, sac
from robot_rl.agents.config import PRESETS, SacConfig
from robot_rl.core.specs import GRIPPER, ActionSpec, Part, StateSpec
from robot_rl.core.transition import Batch, Observation
from robot_rl.policies.gaussian import GaussianPolicy

STATE = StateSpec((Part("position", 2, "m", scale=0.5), Part("offset", 2, "m", scale=0.5), Part("closed", 1, "1")))
HORIZON, SPEED, RADIUS = 30, 0.15, 0.1
Row = tuple[Any, ...]
Act = Callable[[np.ndarray, np.random.Generator], np.ndarray]

SMALL: dict[str, Any] = {
    "hidden": (64, 64),
    "batch_size": 64,
    "tau": 0.02,
    "actor_average": 0.0,
    "gamma": 0.95,
    **dict.fromkeys(("lr_actor", "lr_critic", "lr_gripper"), 3e-3),
}
VARIANTS = {
    "plain": replace(SacConfig(), **SMALL, n_step=1),
    "n-step": replace(SacConfig(), **SMALL, n_step=3),
    # A smaller discount widens the gap between closing now and closing later, which a greedy gripper lives by.
    "gripper critic": replace(SacConfig(), **SMALL | {"lr_gripper": 1e-3, "gamma": 0.9}, n_step=1, gripper_critic=True),
    "serl_compat": replace(PRESETS["serl_compat"], **SMALL, critics=4),
}


@dataclass
class PointReach:
    """The task; `gripper` demands to be closed at the goal."""

    gripper: bool
    rng: np.random.Generator

    def reset(self) -> np.ndarray:
        self.position, self.goal = self.rng.uniform(-1, 1, (2, 2))
        self.closed, self.t = False, 0
        return self.observe()

    def observe(self) -> np.ndarray:
        return np.array([*self.position, *(self.goal - self.position), self.closed], np.float32)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, float, bool, bool]:
        """Next state, reward, gripper reward, terminated, truncated."""
        self.position = np.clip(self.position + SPEED * action[:2], -1, 1)
        was, self.t = self.closed, self.t + 1
        if abs(action[GRIPPER]) > 0.5:
            self.closed = bool(action[GRIPPER] < 0)
        at_goal = float(np.linalg.norm(self.goal - self.position)) < RADIUS
        success = at_goal and (self.closed or not self.gripper)
        penalty = -0.02 * (was != self.closed)
        return self.observe(), float(success), penalty, success, self.t >= HORIZON and not success


def demonstrator(state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    action = np.zeros(7, np.float32)
    action[:2] = np.clip(state[2:4] / SPEED + 0.3 * rng.standard_normal(2), -1, 1)
    action[GRIPPER] = -1.0 if np.linalg.norm(state[2:4]) < 0.2 else 0.0
    return action


def run_episode(env: PointReach, act: Act, rng: np.random.Generator) -> tuple[list[Row], bool]:
    rows, state = [], env.reset()
    while True:
        action = act(state, rng)
        following, reward, penalty, terminated, truncated = env.step(action)
        rows.append((state, action, reward, penalty, terminated, following))
        state = following
        if terminated or truncated:
            return rows, terminated


def windows(rows: list[Row], config: SacConfig) -> list[Row]:
    """Returns over up to `n_step` steps; the last ones of an episode are shorter."""
    out = []
    for i in range(len(rows)):
        part = rows[i : i + config.n_step]
        g = config.gamma ** np.arange(len(part))
        reward, penalty = (float(g @ [row[k] for row in part]) for k in (2, 3))
        discount = 0.0 if part[-1][4] else config.gamma ** len(part)
        out.append((rows[i][0], rows[i][1], reward, penalty, discount, part[-1][5]))
    return out


def draw(demos: list[Row], online: list[Row], config: SacConfig, rng: np.random.Generator) -> Batch:
    half = config.batch_size // 2
    rows = [
        pool[i]
        for _ in range(config.utd)
        for pool in (demos, online or demos)
        for i in rng.integers(len(pool), size=half)
    ]
    columns = [np.asarray(column, np.float32) for column in zip(*rows, strict=True)]
    return Batch(*(c.reshape(config.utd, config.batch_size, *c.shape[1:]) for c in columns))


def train(config: SacConfig, steps: int = 1500, seed: int = 0) -> float:
    """Success rate of the deterministic policy after this many environment steps."""
    rng = np.random.default_rng(seed)
    env = PointReach(config.gripper_critic, rng)
    spec = ActionSpec(SPEED, 0.0, active=(0, 1, GRIPPER) if config.gripper_critic else (0, 1))
    demos = [w for _ in range(8) for w in windows(run_episode(env, demonstrator, rng)[0], config)]
    agent, update = sac.init(config, STATE, spec, seed), sac.make_update(config, STATE, spec)
    online: list[Row] = []
    done = 0
    while done < steps:
        policy = GaussianPolicy.from_params(sac.actor_params(agent, config), 0)
        rows, _ = run_episode(env, lambda state, source, p=policy: p.act(Observation(state), source), rng)
        online += windows(rows, config)
        done += len(rows)
        for _ in rows:
            agent, _ = update(agent, draw(demos, online, config, rng))
    policy = GaussianPolicy.from_params(sac.actor_params(agent, config), 0)

    def greedy(state: np.ndarray, source: np.random.Generator) -> np.ndarray:
        return policy.act(Observation(state), source, deterministic=True)

    return float(np.mean([run_episode(env, greedy, rng)[1] for _ in range(100)]))


@pytest.mark.parametrize("name", VARIANTS)
def test_learns_to_reach(name: str) -> None:
    assert train(VARIANTS[name]) >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["actor_loss", "td_target"])
def test_a_broken_learner_does_not_pass(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar above has teeth: flipping the sign of one term is enough to miss it."""
    right = getattr(losses, broken)
    monkeypatch.setattr(losses, broken, lambda *args, **kwargs: -right(*args, **kwargs))
    assert train(VARIANTS["plain"]) < 0.5


def test_a_random_policy_does_not_pass() -> None:
    rng = np.random.default_rng(0)
    env = PointReach(False, rng)
    wild = [run_episode(env, lambda _, source: source.uniform(-1, 1, 7), rng)[1] for _ in range(200)]
    assert np.mean(wild) < 0.5
