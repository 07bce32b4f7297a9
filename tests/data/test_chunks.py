"""The first steps of windows, whoever acted; and windows of what the policy proposed instead of what was done."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Batch, ChunkBatch, Source, StepRecord, ViewBatch
from robot_rl.data.replay import MixtureSampler, ReplayBuffer
from tests.data.episodes import CAMERAS, SPEC, episode
from tests.data.reference import Reference, check_everything, gather, gather_chunks, identity
from tests.data.test_replay import filled, interleaved


def drawable(buffer: ReplayBuffer) -> np.ndarray:
    return np.union1d(buffer.online.members, buffer.demo.members)


def check_chunks(buffer: ReplayBuffer, reference: Reference, horizon: int, action: str = "action_executed") -> None:
    """Check the chunk of every window that may be drawn, and that the rest of it is what `gather` gives."""
    slots = drawable(buffer)
    out, ends = gather_chunks(buffer, slots, horizon)
    plain, plain_ends = gather(buffer, slots)
    np.testing.assert_array_equal(ends, plain_ends)
    for got, expected in zip(out.batch, plain, strict=True):
        np.testing.assert_array_equal(got, expected)
    for b in range(len(slots)):
        chunk = ChunkBatch(plain, out.actions[b], out.valid[b], out.guided[b])
        reference.check_chunk(*identity(plain.state[b]), int(ends[b] - slots[b]), chunk, action)
        np.testing.assert_array_equal(chunk.actions[0], plain.action[b])


@given(interleaved(), st.integers(2, 30), st.integers(1, 5), st.integers(0, 8), st.data())
def test_every_chunk_is_right_at_every_moment(
    records: list[StepRecord], capacity: int, n_step: int, max_staged: int, data: st.DataObject
) -> None:
    """Whatever ends a window before its chunk is full: the episode, the ring pointer, a gap, the newest frame."""
    horizon = data.draw(st.integers(1, n_step))
    buffer, reference = filled([], capacity, n_step=n_step, max_staged=max_staged)
    for record in records:
        assert buffer.add(record) == reference.add(record)
        check_chunks(buffer, reference, horizon)
    check_everything(buffer, reference)


@pytest.mark.parametrize("terminated", [False, True])
def test_windows_at_the_end_keep_their_steps_and_the_right_discount(terminated: bool) -> None:
    """Leaving them out would bootstrap from states whose values nothing ever trains."""
    records = episode(0, 6, terminated=terminated, interventions=[4])
    buffer, _ = filled(records, n_step=4)
    slots = buffer.online.members
    out, _ = gather_chunks(buffer, slots, 4)
    batch = out.batch
    assert isinstance(batch, Batch)
    by_step = {identity(state)[1]: b for b, state in enumerate(batch.state)}
    assert sorted(by_step) == [0, 1, 2, 3, 4, 5]
    for step, b in by_step.items():
        k = min(4, 6 - step)
        assert out.valid[b].tolist() == [1.0] * k + [0.0] * (4 - k)
        assert out.guided[b].tolist() == [float(step + i == 4) for i in range(4)]
        ended = terminated and step + k == 6
        assert batch.discount[b] == pytest.approx(0.0 if ended else 0.9**k)
        assert identity(batch.next_state[b]) == (0, step + k)
        for i in range(k, 4):
            np.testing.assert_array_equal(out.actions[b, i], records[5].action_executed)


@pytest.mark.parametrize(
    ("source", "guided"),
    [(Source.POLICY, 0.0), (Source.OPERATOR, 1.0), (Source.DEMO, 1.0), (Source.SCRIPTED, 1.0), (Source.SIM, 1.0)],
)
def test_who_acted_is_drawn_along(source: Source, guided: float) -> None:
    buffer, _ = filled(episode(0, 4, source=source), n_step=2)
    out, _ = gather_chunks(buffer, drawable(buffer), 2)
    np.testing.assert_array_equal(out.guided, guided * out.valid)


def test_chunks_longer_than_windows_are_refused() -> None:
    buffer, _ = filled(episode(0, 4), n_step=2)
    for wrong in (0, 3):
        with pytest.raises(DataError, match=f"chunks of {wrong} steps from windows of at most 2"):
            gather_chunks(buffer, buffer.online.members, wrong)
        with pytest.raises(DataError, match="raise n_step, or choose shorter chunks"):
            MixtureSampler(buffer, 4, 1, chunk=wrong)


def mixed(*, images: bool = False) -> ReplayBuffer:
    buffer = ReplayBuffer(SPEC, 200, pinned=60, n_step=3, camera_shapes=CAMERAS if images else None)
    buffer.add_demos(episode(n, 5, source=Source.DEMO, images=images) for n in range(100, 104))
    for number in range(6):
        for record in episode(number, 7, terminated=number % 2 == 0, interventions=[1, 2], images=images):
            buffer.add(record)
    return buffer


@pytest.mark.parametrize("images", [False, True])
def test_the_sampler_draws_the_same_windows_with_chunks(images: bool) -> None:
    buffer = mixed(images=images)
    plain = MixtureSampler(buffer, 32, 3, rng=np.random.default_rng(5))
    with_chunks = MixtureSampler(buffer, 32, 3, rng=np.random.default_rng(5), chunk=3)
    for _ in range(3):
        expected, out = plain.sample(), with_chunks.sample()
        assert isinstance(out, ChunkBatch)
        rows, got = (b.batch if isinstance(b, ViewBatch) else b for b in (expected, out.batch))
        assert isinstance(rows, Batch) and isinstance(got, Batch)
        for a, b in zip(rows, got, strict=True):
            np.testing.assert_array_equal(a, b)
        assert out.actions.shape == (3, 32, 3, 7) and out.valid.shape == out.guided.shape == (3, 32, 3)
        np.testing.assert_array_equal(out.actions[:, :, 0], got.action)
        if images:
            assert isinstance(expected, ViewBatch) and isinstance(out.batch, ViewBatch)
            for name in CAMERAS:
                np.testing.assert_array_equal(out.batch.views[name], expected.views[name])
                np.testing.assert_array_equal(out.batch.next_views[name], expected.next_views[name])


def test_the_chunks_of_a_slice_belong_to_its_rows() -> None:
    """The flat windows and the slices that are handed out are the same memory, laid out the same way."""
    out = MixtureSampler(mixed(), 64, 2, rng=np.random.default_rng(6), chunk=3).sample()
    assert isinstance(out, ChunkBatch) and isinstance(out.batch, Batch)
    done = {n: episode(n, 5, source=Source.DEMO) for n in range(100, 104)}
    done |= {n: episode(n, 7, interventions=[1, 2]) for n in range(6)}
    for at in np.ndindex(2, 64):
        number, step = identity(out.batch.state[at])
        left = done[number][step : step + 3]
        assert out.valid[at].sum() == len(left)
        np.testing.assert_array_equal(out.actions[at][: len(left)], [r.action_executed for r in left])
        assert out.guided[at][: len(left)].tolist() == [float(number >= 100 or r.intervention) for r in left]


def test_a_chunk_batch_stays_intact_until_the_second_next_call() -> None:
    sampler = MixtureSampler(mixed(), 16, 2, rng=np.random.default_rng(7), chunk=2)
    first = sampler.sample()
    assert isinstance(first, ChunkBatch)
    kept = [first.actions.copy(), first.valid.copy(), first.guided.copy()]
    second = sampler.sample()
    assert isinstance(second, ChunkBatch) and not np.shares_memory(first.actions, second.actions)
    assert all((a == b).all() for a, b in zip(kept, first[1:], strict=True))


def test_returns_come_with_the_same_windows_without_chunks() -> None:
    buffer = mixed()
    one = MixtureSampler(buffer, 16, 2, rng=np.random.default_rng(8)).sample_with_returns(0.0)
    two = MixtureSampler(buffer, 16, 2, rng=np.random.default_rng(8), chunk=2).sample_with_returns(0.0)
    np.testing.assert_array_equal(one.mc_return, two.mc_return)
    assert isinstance(two.batch, Batch)


@given(interleaved(), st.integers(2, 30), st.integers(1, 4), st.integers(0, 8))
def test_proposals_are_drawn_only_where_the_policy_acted(
    records: list[StepRecord], capacity: int, n_step: int, max_staged: int
) -> None:
    """The window behind such a start may run through what anybody did: reward and successor are what happened."""
    buffer, reference = filled([], capacity, n_step=n_step, max_staged=max_staged, action="policy")
    executed, _ = filled([], capacity, n_step=n_step, max_staged=max_staged)
    for record in records:
        assert buffer.add(record) == reference.add(record) == executed.add(record)
        slots = buffer.online.members
        assert len(buffer.demo) == 0 and len(slots) == len(buffer)
        assert set(slots) == {s for s in executed.online.members if by_policy(executed, reference, int(s))}
        out, ends = gather(buffer, slots)
        other, other_ends = gather(executed, slots)
        np.testing.assert_array_equal(ends, other_ends)
        for name in ("state", "reward", "gripper_reward", "discount", "next_state"):
            np.testing.assert_array_equal(getattr(out, name), getattr(other, name))
        check_chunks(buffer, reference, n_step, "action_policy")


def by_policy(buffer: ReplayBuffer, reference: Reference, slot: int) -> bool:
    number, step = identity(buffer._store.rows[slot])
    record = reference.steps[number][step]
    return record.source is Source.POLICY and not record.intervention


def test_proposals_of_demonstrations_are_kept_out_of_both_shares() -> None:
    buffer, _ = filled(episode(0, 6, interventions=[2, 3]), action="policy")
    buffer.add_demos([episode(1, 4, source=Source.DEMO), episode(2, 4)])
    assert len(buffer.demo) == 0
    batch = MixtureSampler(buffer, 64, 2, 0.5, np.random.default_rng(0)).sample()
    assert isinstance(batch, Batch)
    assert {identity(s) for s in batch.state.reshape(-1, 3)} == {(0, i) for i in (0, 1, 4, 5)}
    with pytest.raises(DataError, match="did you mean 'policy'"):
        ReplayBuffer(SPEC, 10, action="polcy")  # type: ignore[arg-type]


def test_a_window_of_proposals_earns_what_the_operator_did_after_them() -> None:
    records = episode(0, 3, interventions=[1, 2], terminated=True)
    records = [replace(r, rewards={**r.rewards, "process": 10.0**r.step_index}) for r in records]
    buffer, reference = filled(records, action="policy", n_step=3)
    out, ends = gather(buffer, buffer.online.members)
    assert len(ends) == 1 and out.discount[0] == 0.0
    np.testing.assert_array_equal(out.action[0], records[0].action_policy)
    executed = out._replace(action=np.array([records[0].action_executed]))
    reference.check(0, 0, 3, Batch(*(array[0] for array in executed)))
