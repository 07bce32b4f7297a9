"""The scripted stand-in for a person keeps the contract of an operator's device."""

from __future__ import annotations

import numpy as np

from robot_rl.core.protocols import Teleop
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.envs import make_corrector, make_env
from robot_rl.testing import TeleopContract


class TestScriptedCorrector(TeleopContract):
    """Over a policy that does nothing, so that it takes over."""

    readings = 40

    def make(self) -> Teleop:
        self.env = make_env("PickCube")
        self.env.reset(seed=0)
        return make_corrector(self.env, np.random.default_rng(0))

    def wait(self, seconds: float) -> None:
        self.env.step(np.zeros(ACTION_SIZE, np.float32))

    def test_takes_over_when_nothing_happens(self, device: Teleop) -> None:
        engaged = []
        for _ in range(self.readings):
            engaged.append(device.read().engaged)
            self.wait(0.1)
        assert not engaged[0]
        assert any(engaged)
