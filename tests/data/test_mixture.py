"""Shares, reproducibility and reuse of the sampler's outputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.data.mixture import interleaved
from robot_rl.data.replay import MixtureSampler, ReplayBuffer
from tests.data.episodes import CAMERAS, SPEC, episode

DEMOS = range(100, 104)


def make_buffer(online: int = 6, demos: int = 4, *, images: bool = False) -> ReplayBuffer:
    buffer = ReplayBuffer(SPEC, 500, pinned=100, n_step=2, camera_shapes=CAMERAS if images else None)
    buffer.add_demos(episode(n, 5, images=images) for n in range(100, 100 + demos))
    for number in range(online):
        for record in episode(number, 5, images=images):
            buffer.add(record)
    return buffer


@given(st.integers(1, 64), st.integers(1, 5), st.floats(0, 1), st.integers(0, 2**32), st.booleans(), st.booleans())
def test_every_slice_holds_exactly_its_share(
    batch_size: int, utd: int, share: float, seed: int, online: bool, demos: bool
) -> None:
    buffer = make_buffer(6 * online, 4 * demos)
    sampler = MixtureSampler(buffer, batch_size, utd, share, np.random.default_rng(seed))
    if not online and not demos:
        with pytest.raises(DataError, match="nothing to draw from"):
            sampler.sample()
        return
    batch = sampler.sample()
    assert batch.state.shape == (utd, batch_size, 3) and batch.reward.shape == (utd, batch_size)
    expected = round(share * batch_size) if online and demos else batch_size * demos
    for row in batch.state:
        assert int((row[:, 0] >= 100).sum()) == expected


@given(st.integers(1, 300), st.data())
def test_every_stretch_of_a_slice_holds_its_share_to_within_one(size: int, data: st.DataObject) -> None:
    marked = data.draw(st.integers(0, size))
    mask = interleaved(size, marked)
    assert mask.sum() == marked and len(mask) == size
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    assert abs(mask[start:stop].sum() - (stop - start) * marked / size) < 1.0 + 1e-9


def test_operator_steps_are_drawn_on_both_sides() -> None:
    buffer = ReplayBuffer(SPEC, 100, pinned=0)
    for record in episode(0, 6, interventions=[2, 3]):
        buffer.add(record)
    sampler = MixtureSampler(buffer, 200, 1, 0.5, np.random.default_rng(0))
    steps = sampler.sample().state[0, :, 1]
    assert set(steps[sampler.is_demo]) == {2.0, 3.0}
    assert set(steps[~sampler.is_demo]) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


def test_draws_are_uniform() -> None:
    buffer = make_buffer(online=2, demos=0)
    sampler = MixtureSampler(buffer, 10_000, 1, 0.5, np.random.default_rng(1))
    counts = np.unique(sampler.draw_slots(), return_counts=True)[1]
    # 10 slots, 1000 expected in each, standard deviation 30
    assert len(counts) == 10 and abs(counts - 1000).max() < 150


def test_a_batch_stays_intact_until_the_second_next_call() -> None:
    sampler = MixtureSampler(make_buffer(images=True), 32, 2, 0.5, np.random.default_rng(2))
    first = sampler.sample()
    kept = [a.copy() for a in (*first.batch, *first.views.values(), *first.next_views.values())]
    second = sampler.sample()
    now = [*first.batch, *first.views.values(), *first.next_views.values()]
    assert all((a == b).all() for a, b in zip(kept, now, strict=True))
    assert not np.shares_memory(first.batch.state, second.batch.state)
    assert np.shares_memory(first.batch.state, sampler.sample().batch.state)


def test_images_belong_to_the_rows() -> None:
    out = MixtureSampler(make_buffer(images=True), 64, 3, 0.5, np.random.default_rng(3)).sample()
    for images, states in ((out.views, out.batch.state), (out.next_views, out.batch.next_state)):
        assert set(images) == set(CAMERAS)
        for image in images.values():
            np.testing.assert_array_equal(image[..., 1, 1, 0], states[..., 0])
            np.testing.assert_array_equal(image[..., 0, 0, 0], states[..., 1])


def test_the_state_of_the_generator_repeats_the_draws() -> None:
    buffer = make_buffer()
    sampler = MixtureSampler(buffer, 16, 2, rng=np.random.default_rng(4))
    sampler.sample()
    state = sampler.state()
    expected = sampler.draw_slots().copy()
    other = MixtureSampler(buffer, 16, 2, rng=np.random.default_rng(99))
    other.restore(state)
    assert (other.draw_slots() == expected).all()
    with pytest.raises(DataError, match="not the state of a PCG64"):
        other.restore({"rng": {"bit_generator": "MT19937"}})


@pytest.mark.parametrize("arguments", [(0, 1, 0.5), (1, 0, 0.5), (1, 1, 1.5), (1, 1, -0.1)])
def test_sizes_out_of_range_are_refused(arguments: tuple) -> None:
    with pytest.raises(DataError, match="expected sizes"):
        MixtureSampler(make_buffer(), *arguments, np.random.default_rng(0))
