"""Networks, condition and guidance."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from robot_rl.core.errors import ConfigError
from robot_rl.policies.base.config import SightConfig
from robot_rl.policies.base.model import BaseModel
from robot_rl.policies.base.networks import LevelEmbedding, make_network
from robot_rl.policies.base.unet import UNet
from robot_rl.policies.base.vision import Eye, spatial_softmax
from tests.policies.base.toys import SMALL, small

BACKBONES = ["mlp", "unet", "transformer"]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("horizon", [1, 4, 7])
def test_networks_keep_the_shape_and_use_all_they_are_told(backbone: str, horizon: int) -> None:
    """Also a horizon that the halvings of the U-Net do not divide."""
    network = make_network(small(backbone=backbone, horizon=horizon, network={"channels": [8, 8, 8]}), 3, 5)
    x, level, told = (t.requires_grad_() for t in (torch.randn(2, horizon, 3), torch.rand(2), torch.randn(2, 5)))
    out = network(x, level, told)
    assert out.shape == x.shape
    (out * torch.randn_like(out)).sum().backward()
    for given in (x, level, told, *network.parameters()):
        assert given.grad is not None
        assert float(given.grad.abs().max()) > 0.0


@pytest.mark.parametrize("backbone", BACKBONES)
def test_rows_do_not_see_each_other(backbone: str) -> None:
    network = make_network(small(backbone=backbone), 3, 5).eval()
    x, level, told = torch.randn(4, 4, 3), torch.rand(4), torch.randn(4, 5)
    with torch.inference_mode():
        together = network(x, level, told)
        for i in range(4):
            alone = network(x[i : i + 1], level[i : i + 1], told[i : i + 1])
            torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)


def test_the_unet_lengthens_inside_only_what_it_must() -> None:
    assert [UNet(SMALL.network, h, 1, 1).extra for h in (4, 5, 6)] == [0, 1, 0]


def test_neighbouring_noise_levels_can_be_told_apart() -> None:
    levels = torch.arange(100) / 100
    embedding = LevelEmbedding(32)
    angles = levels[:, None] * embedding.frequencies
    told = torch.cat([angles.sin(), angles.cos()], 1)
    assert min(float((b - a).norm()) for a, b in pairwise(told)) > 0.5


def model(**changes: object) -> BaseModel:
    return BaseModel(small(**changes), 3, 2, {"eye": (20, 24, 3)}).eval()


def test_guidance_of_scale_one_is_the_conditional_policy_and_of_zero_the_other() -> None:
    states, goal, z = torch.randn(6, 1, 3), torch.randn(6, 3), torch.randn(6, 4, 2)
    made = {s: model(guidance={"on": "goal", "scale": s}) for s in (0.0, 1.0, 1.5)}
    for other in made.values():
        other.load_state_dict(made[1.0].state_dict())
    with torch.inference_mode():
        told, blank = made[1.0].condition(states, goal=goal), made[1.0].condition(states)
        given, without = made[1.0].decode(told, z), made[1.0].decode(blank, z)
        assert float((given - without).abs().max()) > 1e-4
        torch.testing.assert_close(made[1.0].decode(told, z, blank), given, atol=0.0, rtol=0.0)
        torch.testing.assert_close(made[0.0].decode(told, z, blank), without, atol=0.0, rtol=0.0)


def test_guidance_exaggerates_linearly_in_one_step() -> None:
    states, z = torch.randn(6, 1, 3), torch.randn(6, 4, 2)

    def decoded(scale: float) -> Tensor:
        torch.manual_seed(1)
        made = model(objective="flow", flow={"steps": 1}, guidance={"on": "observation", "scale": scale})
        with torch.inference_mode():
            return made.decode(made.condition(states), z, made.condition(states, keep=torch.zeros(6)))

    torch.testing.assert_close(decoded(2.0), 2.0 * decoded(1.0) - decoded(0.0), atol=1e-5, rtol=1e-5)


def test_what_is_small_is_also_seen_magnified() -> None:
    """A ten-thousandth of the range is far from nothing in one of the values that the network gets."""
    made = model(scale={"magnify": [8.0, 256.0]})
    made.median.fill_(0.3)
    here = torch.full((1, 1, 3), 0.3)
    there = here + 1e-3
    moved = (made.condition(there) - made.condition(here)).reshape(3, 3).mean(1)
    np.testing.assert_allclose(moved.numpy(), [1e-3, np.tanh(8e-3), np.tanh(0.256)], rtol=1e-3)
    plain = model(scale={"magnify": []})
    torch.testing.assert_close(plain.condition(there), there[:, 0], atol=0.0, rtol=0.0)


def test_a_left_out_condition_says_nothing() -> None:
    """Of the goal, or of everything observed, not even a trace; and a goal of zeros is still a goal."""
    none = torch.zeros(2)
    by_goal, by_all = model(guidance={"on": "goal"}), model(guidance={"on": "observation"})
    states = torch.randn(2, 1, 3)
    with_goal = by_goal.condition(states, goal=torch.randn(2, 3), keep=none)
    torch.testing.assert_close(with_goal, by_goal.condition(states), atol=0.0, rtol=0.0)
    zero = by_goal.condition(states, goal=torch.zeros(2, 3))
    assert float((zero - by_goal.condition(states)).abs().max()) == 1.0
    assert float(by_all.condition(states, keep=none).abs().max()) == 0.0


@pytest.mark.parametrize("encoder", ["small", "resnet18"])
def test_eyes_see(encoder: str) -> None:
    eye = Eye(SightConfig(("eye",), encoder, features=8, crop=0.8), (80, 100))  # type: ignore[arg-type]
    assert eye.size == (64, 80)
    out = eye(torch.randint(0, 256, (3, 80, 100, 3), dtype=torch.uint8))
    assert out.shape == (3, 8)
    out.square().sum().backward()
    assert all(p.grad is not None for p in eye.parameters())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in eye.modules())


def test_crops_move_in_training_only() -> None:
    eye = Eye(SightConfig(("eye",), features=4, crop=0.5), (64, 64))
    one = torch.arange(64 * 64 * 3).remainder(251).to(torch.uint8).reshape(1, 64, 64, 3)
    same = one.expand(8, -1, -1, -1)
    with torch.inference_mode():
        assert float(eye.eval()(same).std(0).max()) < 1e-6
        assert float(eye.train()(same).std(0).max()) > 1e-3


def test_spatial_softmax_says_where() -> None:
    x = torch.zeros(1, 1, 5, 9)
    x[0, 0, 1, 8] = 50.0
    np.testing.assert_allclose(spatial_softmax(x)[0].numpy(), [1.0, -0.5], atol=1e-5)


def test_pictures_in_which_nothing_has_a_place() -> None:
    with pytest.raises(ConfigError, match="larger pictures"):
        Eye(SightConfig(("eye",)), (34, 64))


def test_a_camera_without_pictures() -> None:
    with pytest.raises(ConfigError, match="wrist"):
        model(sight={"cameras": ["wrist"]})
