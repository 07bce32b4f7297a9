"""The samplers with networks that know the answer: what they must give follows from the equations alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from robot_rl.core.config import merge
from robot_rl.core.errors import ConfigError
from robot_rl.policies.base import ddpm, edm, flow, regression
from robot_rl.policies.base.config import BaseConfig, DdpmConfig, EdmConfig, GuidanceConfig, NetworkConfig

CONFIG = BaseConfig()
SPREAD = 0.2
"""Of normally distributed actions, for which the best answer of every network is a multiple of what it sees."""


def noise(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 4, 2)).astype(np.float32))


def spread_of(x: Tensor) -> float:
    return float(x.std())


@given(st.floats(1e-3, 10.0), st.floats(0.1, 2.0))
def test_edm_factors_keep_unit_variance(sigma: float, sigma_data: float) -> None:
    """Input and target of the network have variance 1 at every noise level if the actions have that of sigma_data."""
    s = torch.tensor([sigma], dtype=torch.float64)
    skip, out, into = edm.preconditioning(s, sigma_data)
    total = sigma**2 + sigma_data**2
    assert float(into) ** 2 * total == pytest.approx(1.0)
    target = ((1.0 - float(skip)) ** 2 * sigma_data**2 + float(skip) ** 2 * sigma**2) / float(out) ** 2
    assert target == pytest.approx(1.0)


def test_edm_schedules() -> None:
    np.testing.assert_allclose(edm.schedule(EdmConfig(steps=3, sigma_min=0.01)), [1.0, 0.1, 0.01, 0.0])
    karras = edm.schedule(EdmConfig(steps=3, sigma_min=0.01, schedule="karras", rho=5.0))
    middle = ((1.0 + 0.01**0.2) / 2.0) ** 5
    np.testing.assert_allclose(karras, [1.0, middle, 0.01, 0.0])
    assert edm.schedule(EdmConfig(steps=1)) == [1.0, 0.0]


@given(st.lists(st.floats(0.0, 1.0, exclude_max=True, width=32), min_size=1, max_size=20))
def test_edm_trains_between_its_limits(uniform: list[float]) -> None:
    config = EdmConfig()
    sigma = edm.training_sigma(torch.tensor(uniform, dtype=torch.float32), config)
    assert (sigma >= config.sigma_min).all()
    assert (sigma <= config.sigma_max).all()


def test_edm_trains_on_a_log_logistic_distribution() -> None:
    """Its function is 1 / (1 + (sigma / median) ** (-1 / spread)), cut at both ends."""
    config = EdmConfig(sigma_min=0.005, sigma_max=1.0)
    shares = torch.linspace(0.01, 0.99, 25)
    sigma = edm.training_sigma(shares, config).double()

    def function(s: Tensor | float) -> Tensor:
        return 1.0 / (1.0 + (torch.as_tensor(s, dtype=torch.float64) / 0.5) ** -2.0)

    low, high = function(0.005), function(1.0)
    torch.testing.assert_close((function(sigma) - low) / (high - low), shares.double(), atol=1e-4, rtol=1e-4)


def test_edm_error_is_zero_for_the_network_that_knows() -> None:
    """And D then gives the actions back, whatever the noise."""
    actions, z, u = 0.5 * noise(32), noise(32, 1), torch.rand(32)
    sigma = edm.training_sigma(u, CONFIG.edm)[:, None, None]
    skip, out, _ = edm.preconditioning(sigma, CONFIG.edm.sigma_data)

    def knows(x: Tensor, level: Tensor) -> Tensor:
        return (actions - skip * (actions + sigma * z)) / out

    assert float(edm.errors(knows, actions, z, u, CONFIG).max()) == pytest.approx(0.0, abs=1e-9)
    guess = edm.denoised(knows, actions + sigma * z, sigma[:, 0, 0], CONFIG.edm.sigma_data)
    torch.testing.assert_close(guess, actions, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("schedule", ["exponential", "karras"])
def test_edm_follows_the_flow_of_a_normal_distribution(schedule: str) -> None:
    """x(0) = x(sigma_max) s / sqrt(s^2 + sigma_max^2) for actions of spread s, in the limit of many steps."""
    config = merge(CONFIG, {"edm": {"steps": 300, "schedule": schedule, "sigma_min": 1e-4}})

    def best(x: Tensor, level: Tensor) -> Tensor:
        sigma = (4.0 * level).exp()[:, None, None]
        skip, out, into = edm.preconditioning(sigma, config.edm.sigma_data)
        noisy = x / into
        return (SPREAD**2 / (SPREAD**2 + sigma**2) * noisy - skip * noisy) / out

    z = noise(16)
    expected = z * SPREAD / math.sqrt(SPREAD**2 + 1.0)
    torch.testing.assert_close(edm.sample(best, z, config), expected, atol=2e-2 * SPREAD, rtol=2e-2)


def test_ddpm_schedule_is_the_cosine() -> None:
    left = np.array(ddpm.remaining(100))
    assert (np.diff(left) < 0).all()
    t = (np.arange(100) + 1) / 100

    def function(t: np.ndarray) -> np.ndarray:
        return np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2

    start = math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    np.testing.assert_allclose(left[:-1], function(t)[:-1] / start, rtol=1e-9)
    assert 0 < left[-1] < 1e-6


@given(st.integers(2, 200), st.data())
def test_ddim_visits_distinct_levels_down_to_the_first(levels: int, data: st.DataObject) -> None:
    steps = data.draw(st.integers(2, levels))
    visited = ddpm.sampled_levels(levels, steps)
    assert len(set(visited)) == steps
    assert visited == sorted(visited, reverse=True)
    assert visited[0] >= levels - 1 - levels // steps
    assert visited[-1] == 0


def _best_noise(x: Tensor, level: Tensor) -> Tensor:
    """E[eps | x] for normally distributed actions."""
    left = torch.tensor(ddpm.remaining(100))[(level * 100).round().long()][:, None, None].to(x)
    return (1.0 - left).sqrt() * x / (left * SPREAD**2 + 1.0 - left)


@pytest.mark.parametrize(("sampler", "steps", "off"), [("ddim", 16, 0.2), ("ddim", 100, 0.05), ("ddpm", 16, 0.1)])
def test_ddpm_gives_the_distribution_it_was_trained_on(sampler: str, steps: int, off: float) -> None:
    """Few steps of DDIM draw it together; by how much is in its equations."""
    config = merge(CONFIG, {"objective": "ddpm", "ddpm": {"sampler": sampler, "steps": steps}})
    x = ddpm.sample(_best_noise, noise(2000), config)
    assert spread_of(x) == pytest.approx(SPREAD, rel=off)
    assert abs(float(x.mean())) < 0.02


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_ddpm_clips_its_guesses(sampler: str) -> None:
    """A network that is wrong everywhere still gives actions."""
    config = merge(CONFIG, {"objective": "ddpm", "ddpm": {"sampler": sampler}})
    x = ddpm.sample(lambda x, level: torch.full_like(x, 1e6), noise(4), config)
    assert float(x.abs().max()) <= 1.0 + 1e-6


def test_further_noise_of_ddpm_follows_from_the_noise_alone() -> None:
    z = noise(3).numpy()
    more = ddpm.step_noise(z, 50)
    np.testing.assert_array_equal(ddpm.step_noise(z[1:], 50), more[1:])
    assert np.abs(more[0] - more[1]).max() > 1.0
    assert more.std() == pytest.approx(1.0, rel=0.1)
    zero = np.zeros((1, 4, 2), np.float32)
    np.testing.assert_array_equal(ddpm.step_noise(zero, 5), ddpm.step_noise(-zero, 5))


def test_flow_arrives_at_a_single_answer_in_one_step() -> None:
    """Towards one point every flow line is straight, so that the number of steps makes no difference."""
    goal = noise(5, 3)
    z = noise(5)

    def straight(x: Tensor, level: Tensor) -> Tensor:
        return (goal - x) / (1.0 - level[:, None, None])

    for steps in (1, 2, 10):
        config = merge(CONFIG, {"objective": "flow", "flow": {"steps": steps}})
        torch.testing.assert_close(flow.sample(straight, z, config), goal, atol=1e-5, rtol=1e-5)


def test_flow_error_is_zero_for_the_network_that_knows() -> None:
    actions, z, u = noise(8), noise(8, 1), torch.rand(8)
    errors = flow.errors(lambda x, level: actions - z, actions, z, u, CONFIG)
    assert float(errors.max()) == 0.0


def test_regression_shows_the_network_neither_actions_nor_noise() -> None:
    """Else it would learn to copy them."""
    shown: list[Tensor] = []

    def network(x: Tensor, level: Tensor) -> Tensor:
        shown.extend([x, level])
        return x

    regression.errors(network, noise(4), noise(4, 1), torch.rand(4), CONFIG)
    regression.sample(network, noise(4), CONFIG)
    assert all(float(t.abs().max()) == 0.0 for t in shown)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: EdmConfig(sigma_min=1.0, sigma_max=0.5),
        lambda: DdpmConfig(levels=10, steps=11),
        lambda: GuidanceConfig(scale=1.5),
        lambda: GuidanceConfig(on="goal", dropout=0.0, scale=2.0),
        lambda: NetworkConfig(channels=(12,)),
        lambda: NetworkConfig(channels=()),
        lambda: NetworkConfig(kernel=4),
        lambda: NetworkConfig(tokens=10, heads=4),
        lambda: BaseConfig(horizon=0),
    ],
)
def test_configurations_that_cannot_be(wrong: object) -> None:
    with pytest.raises(ConfigError):
        wrong()  # type: ignore[operator]
