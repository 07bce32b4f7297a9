"""The contract of `robot_rl.core.protocols.Policy`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ACTION_SIZE, StateSpec, ViewSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32


class PolicyContract(ABC):
    """Actions are bounded, repeatable and never made from nonsense.

    A policy that remembers is told with its ``reset()`` that an episode begins, as those who run one do.
    """

    @abstractmethod
    def make(self) -> tuple[Policy, StateSpec]:
        """A policy and the layout of the rows it takes."""

    def views(self) -> ViewSpec:
        """What it sees of each camera; none unless overridden."""
        return ViewSpec()

    @pytest.fixture
    def policy(self) -> Policy:
        """The policy under test."""
        return self.make()[0]

    @pytest.fixture
    def observations(self) -> list[Observation]:
        """32 rows around the centre of the layout, near and absurdly far, with random views."""
        spec, views = self.make()[1], self.views()
        rng = np.random.default_rng(0)
        spread = np.repeat([1.0, 1e3], 16)[:, None]
        rows: Float32 = (spec.center + spec.scale * spread * rng.standard_normal((32, spec.size))).astype(np.float32)
        return [_observation(row, views, rng) for row in rows]

    def test_is_a_policy(self, policy: Policy) -> None:
        """All methods are there, and the version is a number."""
        assert isinstance(policy, Policy)
        assert isinstance(policy.version, int)

    @pytest.mark.parametrize("deterministic", [False, True])
    def test_actions_are_bounded(self, policy: Policy, observations: list[Observation], deterministic: bool) -> None:
        """Also far away from anything it has seen."""
        rng = np.random.default_rng(1)
        for obs in observations:
            action = policy.act(obs, rng, deterministic=deterministic)
            assert action.shape == (ACTION_SIZE,)
            assert action.dtype == np.float32
            assert (np.abs(action) <= 1.0).all()

    def test_deterministic_actions_need_no_luck(self, policy: Policy, observations: list[Observation]) -> None:
        """The generator makes no difference, and is not advanced."""
        a, b = np.random.default_rng(1), np.random.default_rng(2)
        _begin(policy)
        first = [policy.act(obs, a, deterministic=True) for obs in observations]
        _begin(policy)
        second = [policy.act(obs, b, deterministic=True) for obs in observations]
        np.testing.assert_array_equal(first, second)
        assert a.random() == np.random.default_rng(1).random()

    def test_same_seed_same_actions(self, policy: Policy, observations: list[Observation]) -> None:
        """All randomness comes from the generator it is given."""
        a, b = np.random.default_rng(3), np.random.default_rng(3)
        _begin(policy)
        first = [policy.act(obs, a) for obs in observations]
        _begin(policy)
        second = [policy.act(obs, b) for obs in observations]
        np.testing.assert_array_equal(first, second)

    def test_observation_is_not_touched_and_actions_are_kept(
        self, policy: Policy, observations: list[Observation]
    ) -> None:
        """Observations are stored elsewhere, and an action stays what it was when the next one is made."""
        rng = np.random.default_rng(4)
        before = [array.copy() for array in _arrays(observations[0])]
        first = policy.act(observations[0], rng)
        kept = first.copy()
        policy.act(observations[1], rng)
        for was, array in zip(before, _arrays(observations[0]), strict=True):
            np.testing.assert_array_equal(was, array)
        np.testing.assert_array_equal(first, kept)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_refuses_a_state_that_is_not_finite(
        self, policy: Policy, observations: list[Observation], value: float
    ) -> None:
        """A broken reading must not move the robot."""
        bad = observations[0].state.copy()
        bad[-1] = value
        with pytest.raises(DataError):
            policy.act(replace(observations[0], state=bad), np.random.default_rng(5))

    def test_refuses_to_act_without_a_view(self, policy: Policy, observations: list[Observation]) -> None:
        """A camera that is not there is no black picture; the message names it."""
        for camera in self.views().cameras:
            images = {k: v for k, v in observations[0].images.items() if k != camera}
            features = {k: v for k, v in observations[0].features.items() if k != camera}
            with pytest.raises(DataError, match=camera):
                policy.act(replace(observations[0], images=images, features=features), np.random.default_rng(6))

    def test_refuses_a_view_of_another_shape(self, policy: Policy, observations: list[Observation]) -> None:
        """Also when it could be cut or scaled to fit; the message names the camera."""
        for camera in self.views().cameras:
            images: dict[str, Any] = dict(observations[0].images)
            features: dict[str, Any] = dict(observations[0].features)
            for arrays in (images, features):
                if camera in arrays:
                    arrays[camera] = arrays[camera].repeat(2, axis=-3)
            with pytest.raises(DataError, match=camera):
                policy.act(replace(observations[0], images=images, features=features), np.random.default_rng(7))


def _begin(policy: Policy) -> None:
    reset = getattr(policy, "reset", None)
    if reset is not None:
        reset()


def _observation(row: Float32, views: ViewSpec, rng: np.random.Generator) -> Observation:
    if views.encoder:
        drawn = {name: rng.standard_normal((1, *shape)).astype(np.float16) for name, shape in views.shapes}
        return Observation(row, features=drawn)
    return Observation(row, {name: rng.integers(0, 256, shape, np.uint8) for name, shape in views.shapes})


def _arrays(obs: Observation) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    return [obs.state, *obs.images.values(), *obs.features.values()]
