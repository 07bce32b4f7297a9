"""The contract of `robot_rl.core.protocols.Policy`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ACTION_SIZE, StateSpec
from robot_rl.core.types import Float32


class PolicyContract(ABC):
    """Actions are bounded, repeatable and never made from nonsense."""

    @abstractmethod
    def make(self) -> tuple[Policy, StateSpec]:
        """A policy and the layout of the rows it takes."""

    @pytest.fixture
    def policy(self) -> Policy:
        """The policy under test."""
        return self.make()[0]

    @pytest.fixture
    def states(self) -> Float32:
        """Rows around the centre of the layout, near and absurdly far ``[32, n]``."""
        spec = self.make()[1]
        rng = np.random.default_rng(0)
        spread = np.repeat([1.0, 1e3], 16)[:, None]
        rows: Float32 = (spec.center + spec.scale * spread * rng.standard_normal((32, spec.size))).astype(np.float32)
        return rows

    def test_is_a_policy(self, policy: Policy) -> None:
        """All methods are there, and the version is a number."""
        assert isinstance(policy, Policy)
        assert isinstance(policy.version, int)

    @pytest.mark.parametrize("deterministic", [False, True])
    def test_actions_are_bounded(self, policy: Policy, states: Float32, deterministic: bool) -> None:
        """Also far away from anything it has seen."""
        rng = np.random.default_rng(1)
        for state in states:
            action = policy.act(state, rng, deterministic=deterministic)
            assert action.shape == (ACTION_SIZE,)
            assert action.dtype == np.float32
            assert (np.abs(action) <= 1.0).all()

    def test_deterministic_actions_need_no_luck(self, policy: Policy, states: Float32) -> None:
        """The generator makes no difference, and is not advanced."""
        a, b = np.random.default_rng(1), np.random.default_rng(2)
        for state in states:
            first = policy.act(state, a, deterministic=True)
            np.testing.assert_array_equal(first, policy.act(state, b, deterministic=True))
        assert a.random() == np.random.default_rng(1).random()

    def test_same_seed_same_actions(self, policy: Policy, states: Float32) -> None:
        """All randomness comes from the generator it is given."""
        a, b = np.random.default_rng(3), np.random.default_rng(3)
        first = [policy.act(s, a) for s in states]
        second = [policy.act(s, b) for s in states]
        np.testing.assert_array_equal(first, second)

    def test_state_is_not_touched_and_actions_are_kept(self, policy: Policy, states: Float32) -> None:
        """Rows are stored elsewhere, and an action stays what it was when the next one is made."""
        rng = np.random.default_rng(4)
        before = states.copy()
        first = policy.act(states[0], rng)
        kept = first.copy()
        policy.act(states[1], rng)
        np.testing.assert_array_equal(states, before)
        np.testing.assert_array_equal(first, kept)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_refuses_a_state_that_is_not_finite(self, policy: Policy, states: Float32, value: float) -> None:
        """A broken reading must not move the robot."""
        bad = states[0].copy()
        bad[-1] = value
        with pytest.raises(DataError):
            policy.act(bad, np.random.default_rng(5))
