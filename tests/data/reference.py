"""The slow, obviously right replay: a dictionary of whole episodes, and every window spelled out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from robot_rl.core.transition import Batch, ChunkBatch, Observation, Source, StepRecord
from robot_rl.data.replay import ReplayBuffer, RewardWeights
from robot_rl.data.windows import Slots
from tests.data.episodes import SPEC


@dataclass
class Reference:
    """Every record ever accepted, by episode number and step."""

    weights: RewardWeights
    gamma: float
    n_step: int
    steps: dict[int, dict[int, StepRecord]] = field(default_factory=dict)

    def add(self, record: StepRecord) -> bool:
        episode = self.steps.setdefault(number_of(record), {})
        if episode and (record.step_index <= max(episode) or episode[max(episode)].last):
            return False
        episode[record.step_index] = record
        return True

    def successor(self, number: int, step: int) -> Observation | None:
        """What followed a step, as far as it is known."""
        record = self.steps[number][step]
        if record.last:
            return record.final_obs
        after = self.steps[number].get(step + 1)
        return None if after is None else after.obs

    def known(self) -> set[tuple[int, int]]:
        """Every step whose successor is known."""
        return {(n, i) for n, episode in self.steps.items() for i in episode if self.successor(n, i) is not None}

    def longest(self, number: int, step: int) -> int:
        """Steps of the longest window from here."""
        k = 0
        while k < self.n_step and step + k in self.steps[number] and self.successor(number, step + k) is not None:
            k += 1
        return k

    def check(self, number: int, step: int, k: int, row: Batch) -> None:
        """Compare one drawn window of k steps with what it should be."""
        window = [self.steps[number][step + i] for i in range(k)]
        w = self.weights
        plain = [
            w.success * r.rewards["success"]
            + w.process * r.rewards["process"]
            + w.force_penalty * r.rewards["force_penalty"]
            for r in window
        ]
        grasp = [w.grasp_penalty * r.rewards["grasp_penalty"] for r in window]
        reward = sum(self.gamma**i * r for i, r in enumerate(plain))
        successor = self.successor(number, step + k - 1)
        assert successor is not None
        np.testing.assert_array_equal(row.state, window[0].obs.state)
        np.testing.assert_array_equal(row.action, window[0].action_executed)
        np.testing.assert_array_equal(row.next_state, successor.state)
        np.testing.assert_allclose(row.reward, reward, rtol=1e-5, atol=1e-6)
        total = sum(self.gamma**i * r for i, r in enumerate(grasp))
        np.testing.assert_allclose(row.gripper_reward, total, rtol=1e-5, atol=1e-6)
        discount = 0.0 if window[-1].terminated else self.gamma**k
        np.testing.assert_allclose(row.discount, discount, rtol=1e-6)

    def check_chunk(self, number: int, step: int, k: int, chunk: ChunkBatch, action: str = "action_executed") -> None:
        """Compare the chunk of one drawn window of k steps with what it should be."""
        for i, got in enumerate(chunk.actions):
            record = self.steps[number][step + min(i, k - 1)]
            by_policy = record.source == Source.POLICY and not record.intervention
            np.testing.assert_array_equal(got, getattr(record, action))
            assert chunk.valid[i] == (1.0 if i < k else 0.0)
            assert chunk.guided[i] == (1.0 if i < k and not by_policy else 0.0)


def number_of(record: StepRecord) -> int:
    return int(record.episode_id.removeprefix("episode-"))


def gather(buffer: ReplayBuffer, slots: Slots) -> tuple[Batch, Slots]:
    """Windows at these slots in fresh arrays filled with rubbish, and the slots of their successors."""
    shapes = [(SPEC.size,), (7,), (), (), (), (SPEC.size,)]
    out = Batch(*(np.full((len(slots), *shape), np.nan, np.float32) for shape in shapes))
    ends = np.full(len(slots), -1, np.int64)
    buffer.gather(np.asarray(slots), out, ends)
    return out, ends


def gather_chunks(buffer: ReplayBuffer, slots: Slots, horizon: int) -> tuple[ChunkBatch, Slots]:
    """As `gather`, with the first steps of each window."""
    shapes = [(SPEC.size,), (7,), (), (), (), (SPEC.size,)]
    rows = Batch(*(np.full((len(slots), *shape), np.nan, np.float32) for shape in shapes))
    steps = [(horizon, 7), (horizon,), (horizon,)]
    out = ChunkBatch(rows, *(np.full((len(slots), *shape), np.nan, np.float32) for shape in steps))
    ends = np.full(len(slots), -1, np.int64)
    buffer.gather_chunks(np.asarray(slots), out, ends)
    return out, ends


def identity(state: np.ndarray) -> tuple[int, int]:
    """Episode number and step of a state row."""
    return int(state[0]), int(state[1])


def check_everything(buffer: ReplayBuffer, reference: Reference) -> dict[tuple[int, int], int]:
    """Check every window that may be drawn; returns the length of each, by episode number and step."""
    slots = np.union1d(buffer.online.members, buffer.demo.members)
    assert len(slots) == len(buffer)
    out, ends = gather(buffer, slots)
    lengths: dict[tuple[int, int], int] = {}
    for b in range(len(slots)):
        row = Batch(*(array[b] for array in out))
        at = identity(row.state)
        k = int(ends[b] - slots[b])
        assert at not in lengths, "a transition may be drawn from one slot only"
        assert 1 <= k <= reference.longest(*at)
        reference.check(*at, k, row)
        lengths[at] = k
    return lengths
