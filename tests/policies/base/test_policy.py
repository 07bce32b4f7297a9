"""A trained base as it is asked: the contract of all bases, and many situations at once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Observation
from robot_rl.policies.base.checkpoint import TrainedBase
from robot_rl.policies.base.policy import TorchBase
from robot_rl.testing.base import BasePolicyContract
from tests.policies.base.toys import STATE, noise, trained, two_ways, untrained

KINDS: dict[str, dict[str, Any]] = {
    "edm": {},
    "two observations": {"objective": "edm", "backbone": "unet", "observations": 2, "horizon": 5},
    "ddim": {"objective": "ddpm", "backbone": "transformer"},
    "ddpm": {"objective": "ddpm", "ddpm": {"sampler": "ddpm"}},
    "flow": {"objective": "flow", "guidance": {"on": "observation", "scale": 1.5}},
    "regression": {"objective": "regression"},
}


@cache
def made(kind: str) -> TrainedBase:
    return untrained(**KINDS[kind])


@pytest.mark.parametrize("kind", list(KINDS))
class TestTorchBase(BasePolicyContract):
    @pytest.fixture(autouse=True)
    def _choose(self, kind: str) -> None:
        torch.set_num_threads(1)
        self.kind = kind

    def make(self) -> tuple[BasePolicy, StateSpec]:
        return TorchBase(made(self.kind)), STATE

    def make_other(self) -> BasePolicy:
        base = made(self.kind)
        return TorchBase(replace(base, weights={k: v * np.float32(1.1) for k, v in base.weights.items()}))


def with_camera(camera: str = "eye.1") -> TrainedBase:
    rng = np.random.default_rng(0)
    demos = [
        replace(d, images={camera: rng.integers(0, 256, (d.steps, 36, 40, 3)).astype(np.uint8)}) for d in two_ways(3)
    ]
    config = untrained().config
    sight = replace(config.sight, cameras=(camera,), features=8)
    return trained(replace(config, sight=sight, observations=2, fit=replace(config.fit, steps=2)), demos)


class TestTorchBaseThatSees(BasePolicyContract):
    def make(self) -> tuple[BasePolicy, StateSpec]:
        return TorchBase(with_camera()), STATE

    def make_other(self) -> BasePolicy:
        base = with_camera()
        return TorchBase(replace(base, weights={k: v * np.float32(1.1) for k, v in base.weights.items()}))


@pytest.mark.parametrize("kind", list(KINDS))
def test_many_situations_at_once_get_what_each_gets_alone(kind: str) -> None:
    base = TorchBase(made(kind))
    states = np.random.default_rng(0).uniform(-1, 1, (5, base.info.observations, 2)).astype(np.float32)
    z = noise(base.trained, 5)
    together = base.propose_many(states, z)
    for i in range(5):
        alone = base.propose([Observation(s) for s in states[i]], z[i : i + 1])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)
        np.testing.assert_array_equal(base.propose_many(states[i : i + 1], z[i : i + 1]), alone)


def test_many_situations_with_pictures() -> None:
    base = TorchBase(with_camera())
    rng = np.random.default_rng(1)
    states = rng.uniform(-1, 1, (3, 2, 2)).astype(np.float32)
    images = rng.integers(0, 256, (3, 2, 36, 40, 3)).astype(np.uint8)
    z = noise(base.trained, 3)
    together = base.propose_many(states, z, {"eye.1": images})
    for i in range(3):
        seen = [Observation(s, {"eye.1": p}) for s, p in zip(states[i], images[i], strict=True)]
        np.testing.assert_allclose(together[i], base.propose(seen, z[i : i + 1])[0], atol=1e-5)
    with pytest.raises(DataError, match=r"eye\.1"):
        base.propose_many(states, z)
    with pytest.raises(DataError, match=r"eye\.1"):
        base.propose_many(states, z, {"eye.1": images[:, :, ::2]})


@pytest.mark.parametrize("shape", [(5, 2), (5, 2, 2), (4, 1, 2)])
def test_many_situations_of_another_shape(shape: tuple[int, ...]) -> None:
    base = TorchBase(made("edm"))
    with pytest.raises(DataError, match=r"expected \[B, 1, 2\]"):
        base.propose_many(np.zeros(shape, np.float32), noise(base.trained, 5))


def test_actions_nobody_models_are_zero() -> None:
    chunks = TorchBase(made("edm")).propose([Observation(np.zeros(2, np.float32))], noise(made("edm"), 4))
    assert (chunks[..., [1, 3, 4, 5, 6]] == 0.0).all()
    assert (chunks[..., [0, 2]] != 0.0).any()


def test_opening_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    TorchBase(made("edm"))
    torch.testing.assert_close(torch.rand(2), expected, atol=0.0, rtol=0.0)


def test_weights_of_another_network() -> None:
    base = made("edm")
    with pytest.raises(DataError, match="do not fit"):
        TorchBase(replace(base, weights={k: v[..., :1] for k, v in base.weights.items()}))


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="cannot compute on 'nonsense'"):
        TorchBase(made("edm"), "nonsense")


def test_goals_need_a_base_trained_with_goals() -> None:
    with pytest.raises(DataError, match="not trained with goals"):
        TorchBase(made("edm")).towards(np.zeros(2, np.float32))
    guided = TorchBase(untrained(guidance={"on": "goal"}))
    for goal in (np.zeros(3, np.float32), np.array([np.nan, 0.0], np.float32)):
        with pytest.raises(DataError, match="2 finite values"):
            guided.towards(goal)
    assert guided.towards(None).info == guided.info


def test_weights_stay_what_they_were() -> None:
    """The arrays of the value are not the network's memory."""
    base = untrained()
    before = base.checksum
    opened = TorchBase(base)
    opened.propose([Observation(np.zeros(2, np.float32))], noise(base, 1))
    assert replace(base).checksum == before
