"""The scripted person: takes over when progress stalls, hands back, leaves a good policy alone."""

from __future__ import annotations

import numpy as np

from robot_rl.envs import CellEnv, ScriptedCorrector, make_corrector, make_env, make_expert
from robot_rl.testing import TeleopContract


def episode(env: CellEnv, corrector: ScriptedCorrector, policy: str, seed: int) -> tuple[int, int, bool]:
    """Steps, steps under correction, success."""
    env.reset(seed=seed)
    corrector.reset()
    expert = make_expert(env, np.random.default_rng(seed))
    steps = helped = 0
    done = False
    while not done:
        action = expert.act() if policy == "expert" else np.zeros(7, np.float32)
        teleop = corrector.read()
        if teleop.engaged:
            action = np.append(teleop.twist_tcp, teleop.gripper).astype(np.float32)
            helped += 1
        _, _, terminated, truncated, info = env.step(action)
        steps += 1
        done = terminated or truncated
    return steps, helped, bool(info["success"])


def test_helps_a_policy_that_does_nothing_to_succeed() -> None:
    env = make_env("PickCube")
    corrector = make_corrector(env, np.random.default_rng(0))
    results = [episode(env, corrector, "idle", seed) for seed in range(5)]
    assert sum(success for *_, success in results) >= 4
    for steps, helped, _ in results:
        assert 0 < helped < steps, "takes over, and hands back"
    env.close()


def test_rarely_disturbs_an_expert() -> None:
    env = make_env("PickCube")
    corrector = make_corrector(env, np.random.default_rng(0))
    results = [episode(env, corrector, "expert", seed) for seed in range(5)]
    assert sum(helped for _, helped, _ in results) <= 0.1 * sum(steps for steps, *_ in results)
    env.close()


class TestScriptedCorrector(TeleopContract):
    def make(self) -> ScriptedCorrector:
        env = make_env("Reach")
        env.reset(seed=0)
        return make_corrector(env, np.random.default_rng(0))
