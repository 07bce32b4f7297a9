"""Every objective learns from demonstrations that go two ways; only regression goes through the middle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.base.policy import TorchBase
from tests.policies.base.toys import MODE, noise, small, trained

SEEN = [Observation(np.array([0.3, 0.4], np.float32))]


def proposals(**changes: Any) -> Float32:
    base = trained(small(**changes))
    return TorchBase(base).propose(SEEN, noise(base, 300))


@pytest.mark.parametrize(
    ("objective", "backbone", "steps"),
    [
        ("edm", "mlp", 800),
        ("ddpm", "mlp", 600),
        ("flow", "mlp", 600),
        pytest.param("edm", "unet", 200, marks=pytest.mark.slow),
        pytest.param("flow", "transformer", 250, marks=pytest.mark.slow),
    ],
)
def test_both_ways_are_proposed_and_hardly_anything_between(objective: str, backbone: str, steps: int) -> None:
    chunks = proposals(objective=objective, backbone=backbone, fit={"steps": steps})
    way, follows = chunks[:, :, 0].mean(1), chunks[:, :, 2].mean(1)
    near = np.abs(np.abs(way) - MODE) < 0.2
    assert near.mean() > 0.7
    assert 0.25 < (way[near] > 0).mean() < 0.75
    assert abs(follows.mean() - 0.2) < 0.1  # what the state decides is not a matter of luck
    assert (chunks[:, :, [1, 3, 4, 5, 6]] == 0.0).all()


def test_regression_goes_through_the_middle() -> None:
    chunk = proposals(objective="regression", fit={"steps": 200})
    assert abs(chunk[0, :, 0].mean()) < 0.3
    assert abs(chunk[0, :, 2].mean() - 0.2) < 0.1
    assert (chunk == chunk[0]).all()
