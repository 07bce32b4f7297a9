"""The contract of `robot_rl.core.base.BasePolicy`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_SIZE, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32


class BasePolicyContract(ABC):
    """Plans are bounded, repeatable to the bit, independent of each other, and never made from nonsense."""

    batch_tolerance = 1e-5
    """How far a plan made among others may be from the same plan made alone, because sums are ordered differently."""

    @abstractmethod
    def make(self) -> tuple[BasePolicy, StateSpec]:
        """The base, opened anew, and the layout of the rows it takes."""

    @abstractmethod
    def make_other(self) -> BasePolicy:
        """The same kind of base with other weights."""

    @pytest.fixture
    def base(self) -> Iterator[BasePolicy]:
        """The base under test."""
        base = self.make()[0]
        yield base
        base.close()

    @pytest.fixture
    def situations(self, base: BasePolicy) -> list[list[Observation]]:
        """What was seen in eight situations, near the centre of the layout and far from it."""
        spec, info = self.make_spec(), base.info
        rng = np.random.default_rng(0)
        spreads = [1.0] * 4 + [100.0] * 4
        return [[_observation(spec, base, spread, rng) for _ in range(info.observations)] for spread in spreads]

    def make_spec(self) -> StateSpec:
        """The layout alone."""
        base, spec = self.make()
        base.close()
        return spec

    def test_is_a_base_policy(self, base: BasePolicy) -> None:
        """All methods are there, and what it says of itself can be."""
        info = base.info
        assert isinstance(base, BasePolicy)
        assert info.name and info.checksum
        assert info.horizon >= 1
        assert info.observations >= 1
        assert info.hz > 0
        assert info.noise_shape == (0, 0) or min(info.noise_shape) >= 1
        assert info.state_checksum in ("", self.make_spec().checksum)

    @pytest.mark.parametrize("proposals", [1, 3])
    def test_plans_are_bounded(self, base: BasePolicy, situations: list[list[Observation]], proposals: int) -> None:
        """Also far away from anything it has seen, and for noise that is no draw of a normal."""
        for seen in situations:
            for scale in (1.0, 10.0):
                plans = base.propose(seen, scale * _noise(base, proposals))
                assert plans.shape == (proposals, base.info.horizon, ACTION_SIZE)
                assert plans.dtype == np.float32
                assert (np.abs(plans) <= 1.0).all()

    def test_equal_questions_have_equal_answers(self, base: BasePolicy, situations: list[list[Observation]]) -> None:
        """To the bit, also after other questions: there is no memory and no randomness but the noise."""
        noise = _noise(base, 2)
        first = [base.propose(seen, noise).copy() for seen in situations]
        for seen, plans in reversed(list(zip(situations, first, strict=True))):
            np.testing.assert_array_equal(base.propose(seen, noise), plans)

    def test_noise_matters_if_it_is_asked_for(self, base: BasePolicy, situations: list[list[Observation]]) -> None:
        """Other noise gives another plan; a base without noise gives the same one again and again."""
        plans = np.concatenate([base.propose(seen, _noise(base, 4)) for seen in situations[:4]]).reshape(4, 4, -1)
        if base.info.noise_shape == (0, 0):
            np.testing.assert_allclose(plans, plans[:, :1].repeat(4, axis=1), atol=self.batch_tolerance)
        else:
            assert np.abs(plans - plans[:, :1])[:, 1:].max() > 1e-3

    def test_proposals_are_independent(self, base: BasePolicy, situations: list[list[Observation]]) -> None:
        """Each is what its own noise alone would have given."""
        noise = _noise(base, 3)
        for seen in situations[:4]:
            together = base.propose(seen, noise)
            for i in range(3):
                alone = base.propose(seen, noise[i : i + 1])
                np.testing.assert_allclose(together[i : i + 1], alone, rtol=0, atol=self.batch_tolerance)

    def test_what_was_given_is_not_touched_and_plans_are_kept(
        self, base: BasePolicy, situations: list[list[Observation]]
    ) -> None:
        """Observations are stored elsewhere, and a plan stays what it was when the next one is made."""
        seen, noise = situations[0], _noise(base, 2)
        before = [array.copy() for array in _arrays(seen)]
        noise_before = noise.copy()
        plans = base.propose(seen, noise)
        kept = plans.copy()
        base.propose(situations[1], -noise)
        for was, now in zip(before, _arrays(seen), strict=True):
            np.testing.assert_array_equal(was, now)
        np.testing.assert_array_equal(noise, noise_before)
        np.testing.assert_array_equal(plans, kept)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_refuses_what_is_not_finite(
        self, base: BasePolicy, situations: list[list[Observation]], value: float
    ) -> None:
        """A broken reading must not move the robot, nor broken noise."""
        seen, noise = situations[0], _noise(base, 1)
        bad = seen[-1].state.copy()
        bad[-1] = value
        with pytest.raises(DataError):
            base.propose([*seen[:-1], replace(seen[-1], state=bad)], noise)
        if noise.size:
            noise[0, -1, -1] = value
            with pytest.raises(DataError):
                base.propose(seen, noise)

    def test_refuses_other_shapes(self, base: BasePolicy, situations: list[list[Observation]]) -> None:
        """Too many observations, too short a state, noise of another shape."""
        seen, noise = situations[0], _noise(base, 1)
        steps, dimensions = base.info.noise_shape
        short = [replace(obs, state=obs.state[:-1]) for obs in seen]
        for wrong_seen, wrong_noise in (
            ([*seen, seen[-1]], noise),
            (seen[1:], noise),
            (short, noise),
            (seen, np.zeros((1, steps + 1, dimensions + 1), np.float32)),
            (seen, np.zeros((steps, dimensions), np.float32)),
            (seen, np.zeros((0, steps, dimensions), np.float32)),
        ):
            with pytest.raises(DataError):
                base.propose(wrong_seen, wrong_noise)

    def test_refuses_pictures_that_are_missing_or_of_another_shape(
        self, base: BasePolicy, situations: list[list[Observation]]
    ) -> None:
        """A camera that is not there is no black picture; the message names it."""
        seen, noise = situations[0], _noise(base, 1)
        for camera in base.info.cameras:
            without = {k: v for k, v in seen[-1].images.items() if k != camera}
            larger = {**seen[-1].images, camera: seen[-1].images[camera].repeat(2, axis=0)}
            for images in (without, larger):
                with pytest.raises(DataError, match=camera):
                    base.propose([*seen[:-1], replace(seen[-1], images=images)], noise)

    def test_checksum_tells_bases_apart(self, base: BasePolicy) -> None:
        """The same when opened again; another one for other weights."""
        again, other = self.make()[0], self.make_other()
        try:
            assert again.info == base.info
            assert other.info.checksum != base.info.checksum
        finally:
            again.close()
            other.close()

    def test_other_weights_answer_differently(self, base: BasePolicy, situations: list[list[Observation]]) -> None:
        """Otherwise the test above would not say anything."""
        other = self.make_other()
        noise = _noise(base, 1)
        try:
            assert any((base.propose(seen, noise) != other.propose(seen, noise)).any() for seen in situations)
        finally:
            other.close()

    def test_can_be_closed_twice(self, base: BasePolicy) -> None:
        """And a third time by the fixture."""
        base.close()
        base.close()


def _noise(base: BasePolicy, proposals: int) -> Float32:
    return np.random.default_rng(1).standard_normal((proposals, *base.info.noise_shape)).astype(np.float32)


def _arrays(seen: list[Observation]) -> list[npt.NDArray[Any]]:
    arrays: list[npt.NDArray[Any]] = []
    for obs in seen:
        arrays.append(obs.state)
        arrays.extend(obs.images.values())
    return arrays


def _observation(spec: StateSpec, base: BasePolicy, spread: float, rng: np.random.Generator) -> Observation:
    row = spec.center + spec.scale * np.float32(spread) * rng.standard_normal(spec.size)
    pictures = {camera: rng.integers(0, 256, shape, np.uint8) for camera, shape in base.info.cameras.items()}
    return Observation(row.astype(np.float32), pictures)
