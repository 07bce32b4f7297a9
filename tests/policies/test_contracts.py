"""What acts in numpy keeps the contract of a policy: actors with and without gripper critic, and on top of a base."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from robot_rl.agents import edit
from robot_rl.agents.config import SacConfig
from robot_rl.agents.edit_config import EDIT_PRESETS
from robot_rl.agents.state import actor_params, init
from robot_rl.core.base import BaseInfo, plan_part
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.policies.edit import EditPolicy
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.testing import PolicyContract

SPEC = StateSpec((Part("position", 3, "m", scale=0.1), Part("width", 1, "m", scale=0.04, center=0.04)))


@cache
def policy(gripper_critic: bool) -> GaussianPolicy:
    config = replace(SacConfig(), hidden=(16, 16), gripper_critic=gripper_critic)
    state = init(config, SPEC, ActionSpec(position_m=0.02, rotation_rad=0.1), seed=0)
    return GaussianPolicy.from_params(actor_params(state, config), version=7)


@pytest.mark.parametrize("gripper_critic", [False, True])
class TestGaussianPolicy(PolicyContract):
    @pytest.fixture(autouse=True)
    def _choose(self, gripper_critic: bool) -> None:
        self.gripper_critic = gripper_critic

    def make(self) -> tuple[Policy, StateSpec]:
        return policy(self.gripper_critic), SPEC


@cache
def on_a_base(preset: str) -> tuple[EditPolicy, StateSpec]:
    """One that has begun to act: before that it is the base."""
    options, config = EDIT_PRESETS[preset], SacConfig(hidden=(16, 16))
    spec = StateSpec((*SPEC.parts, plan_part(BaseInfo("base", "sum", 16), 3, options.chunk)))
    state = edit.init(config, spec, ActionSpec(position_m=0.02, rotation_rad=0.1), 0, options=options)
    state = state._replace(armed=state.armed + 1)
    return EditPolicy.from_params(edit.actor_params(state, config, options=options), version=7), spec


@pytest.mark.parametrize("preset", EDIT_PRESETS)
class TestEditPolicy(PolicyContract):
    @pytest.fixture(autouse=True)
    def _choose(self, preset: str) -> None:
        self.preset = preset

    def make(self) -> tuple[Policy, StateSpec]:
        return on_a_base(self.preset)
