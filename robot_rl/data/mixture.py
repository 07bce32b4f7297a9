"""Batches that hold demonstrations and online experience in a fixed share, in every gradient step's slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Batch, ChunkBatch, ReturnsBatch, ViewBatch
from robot_rl.data.windows import Slots, check_chunk

if TYPE_CHECKING:
    from robot_rl.data.replay import ReplayBuffer


class _Buffers(NamedTuple):
    """One set of preallocated outputs."""

    batch: Batch
    flat: Batch
    ends: Slots
    views: dict[str, npt.NDArray[Any]]
    next_views: dict[str, npt.NDArray[Any]]
    chunks: tuple[npt.NDArray[np.float32], ...]
    flat_chunks: tuple[npt.NDArray[np.float32], ...]


class MixtureSampler:
    """Draws ``[utd, batch_size]`` windows, each slice with exactly the same share of demonstrations (RLPD).

    Rows are interleaved, so that a shard of a slice holds the share, too. When one side is empty the other fills it.
    Results alternate between two preallocated sets: a batch stays intact until the second next call.
    Symmetric sampling is Ball et al. 2023 (arXiv 2302.02948), section 4.1.

    Args:
        buffer: what to draw from.
        batch_size: rows of a slice.
        utd: slices, one for each gradient step.
        demo_share: in [0, 1].
        rng: source of randomness, by default seeded with 0; its state is what `state` returns.
        chunk: h, steps of each window to draw along; None draws none.

    Raises:
        DataError: a size is below 1, the share is not in [0, 1], or chunks are longer than the buffer's windows.
    """

    def __init__(
        self,
        buffer: ReplayBuffer,
        batch_size: int,
        utd: int,
        demo_share: float = 0.5,
        rng: np.random.Generator | None = None,
        *,
        chunk: int | None = None,
    ) -> None:
        if chunk is not None:
            check_chunk(chunk, buffer.n_step)
        if batch_size < 1 or utd < 1 or not 0.0 <= demo_share <= 1.0:
            raise DataError(
                f"got batch size {batch_size}, utd {utd}, demo share {demo_share}; expected sizes >= 1, share in [0, 1]"
            )
        self.rng = np.random.default_rng(0) if rng is None else rng
        self._buffer = buffer
        self._shape = (utd, batch_size)
        self._chunk = chunk
        self.is_demo = interleaved(batch_size, round(demo_share * batch_size))
        self._sets: list[_Buffers] = []
        self._turn = 0
        self._slots = np.empty(self._shape, np.int64)

    def draw_slots(self) -> Slots:
        """First slots of the next windows ``[utd, batch_size]``; the array is reused by the next call.

        Raises:
            DataError: the buffer holds no transition.
        """
        online, demo = self._buffer.online, self._buffer.demo
        is_demo = self.is_demo
        if not len(demo) or not len(online):
            is_demo = np.full(len(is_demo), len(demo) > 0)
        utd, batch_size = self._shape
        demos = int(is_demo.sum())
        if demos < batch_size:
            self._slots[:, ~is_demo] = online.draw((utd, batch_size - demos), self.rng)
        if demos:
            self._slots[:, is_demo] = demo.draw((utd, demos), self.rng)
        return self._slots

    def sample(self) -> Batch | ViewBatch | ChunkBatch:
        """The next windows ``[utd, batch_size, ...]``, with what the networks see where the buffer holds views.

        Returns:
            A `ChunkBatch` of them where chunks are drawn.

        Raises:
            DataError: the buffer holds no transition.
        """
        out = self._next_set()
        windows = self._draw(out)
        return ChunkBatch(windows, *out.chunks) if out.chunks else windows

    def sample_with_returns(self, floor: float) -> ReturnsBatch:
        """The draws that `sample` makes, without chunks, with the discounted return of the stored episode from each on.

        Args:
            floor: what an episode that was cut or is under way earns after what is stored of it.

        Raises:
            DataError: the buffer holds no transition.
        """
        batch, returns = self._draw(self._next_set()), np.empty(self._shape, np.float32)
        self._buffer.gather_returns(self._slots.reshape(-1), returns.reshape(-1), floor)
        return ReturnsBatch(batch, returns)

    def _draw(self, out: _Buffers) -> Batch | ViewBatch:
        slots = self.draw_slots().reshape(-1)
        if out.flat_chunks:
            self._buffer.gather_chunks(slots, ChunkBatch(out.flat, *out.flat_chunks), out.ends)
        else:
            self._buffer.gather(slots, out.flat, out.ends)
        if not out.views:
            return out.batch
        for where, views in ((slots, out.views), (out.ends, out.next_views)):
            self._buffer.gather_views(where, views, self.rng)
        return ViewBatch(out.batch, out.views, out.next_views)

    def _next_set(self) -> _Buffers:
        if not self._sets:
            self._sets = [self._allocate(), self._allocate()]
        self._turn = 1 - self._turn
        return self._sets[self._turn]

    def _allocate(self) -> _Buffers:
        lead, n = self._shape, self._buffer.state_spec.size
        rows = (*lead, n), (*lead, ACTION_SIZE), lead, lead, lead, (*lead, n)
        batch = Batch(*(np.empty(shape, np.float32) for shape in rows))
        flat = Batch(*(_flat(array) for array in batch))
        steps = () if self._chunk is None else ((self._chunk, ACTION_SIZE), (self._chunk,), (self._chunk,))
        chunks = tuple(np.empty((*lead, *shape), np.float32) for shape in steps)
        views, next_views = (
            {name: np.empty((*lead, *shape), self._buffer.views.dtype) for name, shape in self._buffer.views.shapes}
            for _ in range(2)
        )
        ends = np.empty(lead[0] * lead[1], np.int64)
        return _Buffers(batch, flat, ends, views, next_views, chunks, tuple(_flat(array) for array in chunks))

    def state(self) -> dict[str, Any]:
        """The random generator's state, plain data for JSON."""
        return {"rng": dict(self.rng.bit_generator.state)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue the draws of the sampler that gave this `state`.

        Raises:
            DataError: it is the state of another kind of generator.
        """
        try:
            self.rng.bit_generator.state = state["rng"]
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"not the state of a {type(self.rng.bit_generator).__name__} generator: {e}") from e


def _flat(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return array.reshape(-1, *array.shape[2:])


def interleaved(size: int, marked: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """A mask ``[size]`` with `marked` entries spread evenly."""
    at = np.arange(size + 1) * marked // size
    return np.diff(at) > 0
