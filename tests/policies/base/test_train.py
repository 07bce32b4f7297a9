"""The training loop: repeatable, careful with its data, and what acts is the average of the weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.base.config import FitConfig
from robot_rl.policies.base.model import OBJECTIVES
from robot_rl.policies.base.policy import TorchBase
from robot_rl.policies.base.train import Average, Report, average_decay, learning_rate, train_base
from robot_rl.policies.base.windows import Demonstration
from tests.policies.base.toys import ACTION, SMALL, STATE, noise, small, trained, two_ways

FEW: dict[str, Any] = {"steps": 12, "batch": 16, "report_every": 5}


def reports(
    demos: list[Demonstration] | None = None, held: list[Demonstration] | None = None, seed: int = 0, **changes: Any
) -> list[Report]:
    return list(
        train_base(
            small(**{"fit": FEW, **changes}),
            two_ways(6) if demos is None else demos,
            held or (),
            state_spec=STATE,
            action_spec=ACTION,
            hz=10.0,
            seed=seed,
        )
    )


@pytest.mark.parametrize("backbone", ["mlp", "transformer"])
def test_equal_seeds_give_equal_weights(backbone: str) -> None:
    """With dropout, and whatever the consumer does with torch's random numbers in between."""
    sums = []
    for seed in (0, 0, 1):
        torch.rand(seed + 3)
        *_, last = reports(seed=seed, backbone=backbone, network={"dropout": 0.3})
        sums.append(last.snapshot().checksum)
    assert sums[0] == sums[1] != sums[2]


def test_random_numbers_of_the_consumer_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    reports(held=two_ways(2))
    torch.testing.assert_close(torch.rand(3), expected, atol=0.0, rtol=0.0)


def test_reports_say_how_far_it_is() -> None:
    got = reports(held=two_ways(2, seed=1))
    assert [(r.step, r.steps) for r in got] == [(5, 12), (10, 12), (12, 12)]
    assert all(np.isfinite(r.loss) and r.held_loss is not None and np.isfinite(r.held_loss) for r in got)
    assert got[-1].snapshot().card["steps"] == 12
    assert [r.held_loss for r in reports()] == [None] * 3


def test_learning_by_heart_shows_in_the_held_out_loss() -> None:
    rng = np.random.default_rng(0)

    def nonsense(seed: int) -> list[Demonstration]:
        return [
            replace(d, actions=rng.uniform(-1, 1, d.actions.shape).astype(np.float32)) for d in two_ways(2, 6, seed)
        ]

    fit = {"steps": 400, "batch": 32, "report_every": 400}
    *_, last = reports(nonsense(0), nonsense(1), objective="regression", fit=fit)
    assert last.held_loss is not None
    assert last.loss < 0.3 * last.held_loss


def test_what_acts_is_the_average() -> None:
    """With a decay that never forgets, the weights stay near those that it began with."""
    slow, fast = (trained(small(fit={**FEW, "average": a})) for a in (0.9999, 0.0))
    assert slow.checksum != fast.checksum


def test_decay_of_the_average_rises() -> None:
    assert average_decay(0, 0.9999) == 0.0
    assert average_decay(15, 0.9999) == pytest.approx(1.0 - 16**-0.75)
    assert average_decay(10**7, 0.9999) == 0.9999


def test_average_of_weights_and_batch_norm_do_not_go_together() -> None:
    with pytest.raises(ConfigError, match="GroupNorm"):
        Average(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 0.99)


def test_average_follows_the_weights() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = Average(model, 0.5)
    nn.init.ones_(model.weight)
    values = []
    for _ in range(3):
        average.update(model)
        values.append(float(average.model.weight))
    decays = [average_decay(t, 0.5) for t in range(3)]
    np.testing.assert_allclose(values, [1.0 - np.prod(decays[: k + 1]) for k in range(3)])


def test_learning_rate_rises_and_falls() -> None:
    fit = FitConfig(steps=1000, warmup=100, learning_rate=1e-3)
    rates = [learning_rate(k, fit) for k in range(1000)]
    assert rates[0] > 0.0
    assert max(rates) == rates[100] == 1e-3
    assert rates == sorted(rates[:100]) + sorted(rates[100:], reverse=True)
    assert rates[-1] < 1e-8
    assert learning_rate(1, replace(fit, steps=10)) == 1e-3  # a short training is not all warm-up


def test_what_follows_the_end_of_an_episode_is_not_learned() -> None:
    """Of episodes of one step a perceptron never changes the outputs of the other steps of a chunk."""
    demos = two_ways(4, steps=1)
    early, late = (
        reports(demos, objective="regression", fit={**FEW, "steps": steps, "weight_decay": 0.0})[-1].snapshot().weights
        for steps in (1, 30)
    )
    before, after = (w["network.leave.weight"].reshape(4, 2, -1) for w in (early, late))
    assert np.abs(before[0] - after[0]).max() > 1e-3
    np.testing.assert_array_equal(before[1:], after[1:])


def test_no_demonstrations() -> None:
    with pytest.raises(DataError, match="no demonstrations"):
        reports([])


def _with(demo: Demonstration, name: str, value: float) -> Demonstration:
    array: Float32 = getattr(demo, name).copy()
    array[1, 1] = value
    return replace(demo, states=array) if name == "states" else replace(demo, actions=array)


@pytest.mark.parametrize("name", ["states", "actions"])
def test_refuses_numbers_that_are_not_finite(name: str) -> None:
    good = two_ways(3)
    bad = [*good[:2], _with(good[2], name, np.nan)]
    with pytest.raises(DataError, match="demonstration 2"):
        reports(bad)
    with pytest.raises(DataError, match="demonstration 2"):
        reports(good, bad)


def test_refuses_states_of_another_layout() -> None:
    with pytest.raises(DataError, match="values"):
        reports([replace(d, states=d.states[:, :1]) for d in two_ways(2)])


def test_a_loss_that_runs_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer norms and bounded steps make it rare, so the objective itself is made to overflow here."""
    edm = OBJECTIVES["edm"]
    monkeypatch.setitem(OBJECTIVES, "edm", edm._replace(errors=lambda *given: edm.errors(*given) * 1e38 * 1e38))
    with pytest.raises(DataError, match="learning rate"):
        reports()


def test_pictures_are_learned_from() -> None:
    """The way to go is written in the picture alone."""
    rng = np.random.default_rng(0)
    demos = []
    for demo in two_ways(20):
        images = rng.integers(0, 60, (demo.steps, 36, 36, 3)).astype(np.uint8)
        column = slice(24, 30) if demo.actions[0, 0] > 0 else slice(6, 12)
        images[:, 15:21, column] = 255
        demos.append(replace(demo, images={"eye": images}))
    fit = {"steps": 60, "batch": 32, "learning_rate": 3e-3, "average": 0.8}
    config = small(objective="regression", fit=fit, sight={"cameras": ["eye"], "features": 8})
    base = TorchBase(trained(config, demos))
    assert base.info.cameras == {"eye": (36, 36, 3)}
    for demo in demos[:6]:
        chunk = base.propose([Observation(demo.states[0], {"eye": demo.images["eye"][0]})], noise(base.trained, 1))
        assert np.sign(chunk[0, 0, 0]) == np.sign(demo.actions[0, 0])


def test_a_camera_that_was_not_recorded() -> None:
    with pytest.raises(ConfigError, match="eye"):
        reports(sight={"cameras": ["eye"]})


def test_goals_are_later_states_of_the_same_episode() -> None:
    """Episodes go where their second value says they will end; a goal decides between the two."""
    demos = []
    for k in range(20):
        way = 1.0 if k % 2 else -1.0
        states = np.zeros((7, 2), np.float32)
        states[:, 0] = 0.1 * way * np.arange(7)
        actions = np.zeros((6, 7), np.float32)
        actions[:, 0] = 0.5 * way
        demos.append(Demonstration(states, actions))
    fit = {"steps": 300, "batch": 64, "learning_rate": 3e-3, "average": 0.98}
    base = TorchBase(trained(small(objective="flow", guidance={"on": "goal"}, fit=fit), demos))
    start, z = [Observation(np.zeros(2, np.float32))], noise(base.trained, 40)
    right, left = (base.towards(np.array([0.5 * w, 0.0], np.float32)) for w in (1.0, -1.0))
    assert right.propose(start, z)[:, 0, 0].mean() > 0.3
    assert left.propose(start, z)[:, 0, 0].mean() < -0.3
    assert abs(base.propose(start, z)[:, 0, 0].mean()) < 0.3
    assert len({b.info.checksum for b in (base, right, left)}) == 3


def test_small_config_is_as_documented() -> None:
    assert SMALL.evaluations == SMALL.edm.steps
    assert small(objective="ddpm", ddpm={"sampler": "ddpm"}).evaluations == 100
