"""The replay buffer: frames stored once, windows right by construction, demonstrations never overwritten.

Not thread-safe: one thread adds and draws. `robot_rl.data.windows` says what a window is, `robot_rl.data.frames` how
slots are laid out, `robot_rl.data.streams` how several actors share the ring. A buffer is not saved: given the same
records in the same order it is the same to the bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.marks import DISCARDED
from robot_rl.core.specs import StateSpec, ViewSpec
from robot_rl.core.transition import Batch, ChunkBatch, Source, StepRecord, ViewBatch
from robot_rl.core.types import Float32
from robot_rl.data.frames import Frame, FrameStore, Region, StoredAction, check_fits
from robot_rl.data.index_set import IndexSet
from robot_rl.data.mixture import MixtureSampler
from robot_rl.data.rewards import RewardWeights, check_values, component_index
from robot_rl.data.streams import Known, Open, Turns
from robot_rl.data.windows import NO_CHUNKS, Chunks, Slots, check_chunk, gather, gather_returns

__all__ = ["MixtureSampler", "ReplayBuffer", "ReplayCounters", "RewardWeights"]


@dataclass(frozen=True)
class ReplayCounters:
    """What happened to the records given to a buffer.

    Attributes:
        added: accepted steps.
        duplicates: steps that had been seen before (or came after a later one of their episode) and were ignored.
        gaps: places where a step of an episode was missing; no window crosses them.
        overwritten: transitions that the ring has dropped.
        episodes: episodes seen.
        discarded: of them, those that their operator discarded; nothing of them is kept.
    """

    added: int = 0
    duplicates: int = 0
    gaps: int = 0
    overwritten: int = 0
    episodes: int = 0
    discarded: int = 0


class ReplayBuffer:
    """Experience of one task, drawn as n-step windows.

    Args:
        state_spec: layout of the state rows.
        capacity: frames of online experience in the ring (an episode of T steps needs T + 1), at least 2.
        camera_shapes: ``(H, W, 3)`` of the cameras to keep, by name; other images are dropped.
        feature_shapes: ``(K, h, w, C)`` by camera name of the features to keep, of K crops of each picture.
        encoder: checksum of the frozen encoder that makes them; they are then what is drawn, not the pictures.
        pinned: frames of room for demonstrations, which the ring never overwrites.
        gamma: discount per step, in [0, 1].
        n_step: longest window, at least 1.
        weights: reward composition; may be replaced at any time and holds from the next draw on.
        max_staged: steps held back for several actors, see `robot_rl.data.streams`.
        corrections_in_demos: draw steps under an operator's command among the demonstrations too.
        half_life_steps: age at which a step is drawn half as often in the online share as the newest, in environment
            steps, at least 1; None draws uniformly. Demonstrations do not age.
        action: what windows hold as actions: ``executed``, or what the ``policy`` proposed, for noise steering
            (Wagenmaker et al. 2025, arXiv 2506.15799), where that is the noise a base policy decoded. Windows then
            begin only where the policy acted, though they run through what others did, and demonstrations are not
            drawn.

    Example:
        >>> buffer = ReplayBuffer(spec, 100_000)  # doctest: +SKIP
        >>> buffer.add(record)  # doctest: +SKIP
        >>> batch = MixtureSampler(buffer, 256, utd=4, rng=rng).sample()  # doctest: +SKIP

    Attributes:
        views: what is drawn of each camera: features, else pictures.

    Raises:
        DataError: a size is out of range or the memory cannot be had.
    """

    def __init__(
        self,
        state_spec: StateSpec,
        capacity: int,
        *,
        camera_shapes: Mapping[str, tuple[int, int, int]] | None = None,
        feature_shapes: Mapping[str, tuple[int, int, int, int]] | None = None,
        encoder: str = "",
        pinned: int = 20_000,
        gamma: float = 0.97,
        n_step: int = 1,
        weights: RewardWeights | None = None,
        max_staged: int = 1_000,
        corrections_in_demos: bool = True,
        half_life_steps: float | None = None,
        action: StoredAction = "executed",
    ) -> None:
        if action not in get_args(StoredAction):
            raise DataError(unknown_name("kind of stored action", action, get_args(StoredAction)))
        if capacity < 2 or pinned < 0 or n_step < 1 or not 0.0 <= gamma <= 1.0 or max_staged < 0:
            raise DataError(
                f"replay with capacity {capacity}, pinned {pinned}, n_step {n_step}, gamma {gamma}, max_staged "
                f"{max_staged}; expected capacity >= 2, pinned >= 0, n_step >= 1, gamma in [0, 1], max_staged >= 0"
            )
        self.state_spec = state_spec
        self.capacity, self.pinned = capacity, pinned
        self.camera_shapes, self.feature_shapes = dict(camera_shapes or {}), dict(feature_shapes or {})
        if bool(encoder) != bool(self.feature_shapes):
            raise DataError(
                f"replay with features of {sorted(self.feature_shapes)} of the encoder {encoder!r}: name both"
            )
        drawn = {name: shape[1:] for name, shape in self.feature_shapes.items()} if encoder else self.camera_shapes
        self.views = ViewSpec(tuple(drawn.items()), encoder)
        self.gamma, self.n_step = gamma, n_step
        self.weights = weights if weights is not None else RewardWeights()
        self._store = FrameStore(
            capacity + pinned,
            state_spec.size,
            self.camera_shapes,
            feature_shapes=self.feature_shapes,
            corrections_in_demos=corrections_in_demos,
            half_life_steps=half_life_steps,
            action=action,
        )
        self._ring = Region(self._store, 0, capacity, pinned=False)
        self._demos = Region(self._store, capacity, capacity + pinned, pinned=True)
        self._turns = Turns(self._write, max_staged)
        self._held: dict[str, Open] = {}
        self._known: dict[str, Known] = {}
        self._counters = ReplayCounters()

    @property
    def online(self) -> IndexSet:
        """Slots of the online share: everything the robot experienced outside demonstrations."""
        return self._store.online

    @property
    def demo(self) -> IndexSet:
        """Slots of the demonstration share: demonstrations, and as a rule steps under an operator's command."""
        return self._store.demo

    @property
    def counters(self) -> ReplayCounters:
        """What happened so far."""
        return dataclasses.replace(self._counters, overwritten=self._ring.overwritten, episodes=len(self._known))

    def __len__(self) -> int:
        """Transitions that may be drawn, each counted once."""
        return len(self.online) + int(np.count_nonzero(self.demo.members >= self.capacity))

    def add(self, record: StepRecord, *, demo: bool = False) -> bool:
        """Take the next step of an episode; it can be drawn as soon as the frame after it is known.

        Steps of one episode come in order; episodes may be interleaved. A step seen before is ignored. A missing step
        leaves a gap that no window crosses. An episode that its operator discards is forgotten when its last step says
        so; what was drawn of it before is not undone.

        Args:
            record: the step.
            demo: keep the episode among the demonstrations, also when its source is not `Source.DEMO`.

        Returns:
            Whether it was new.

        Raises:
            DataError: the record is invalid, does not fit this buffer, or there is no room for the demonstration;
                nothing is stored.
        """
        known = self._known.get(record.episode_id)
        if known is not None and (known.ended or record.step_index < known.next_step):
            self._count(duplicates=1)
            return False
        check_fits(record, self.state_spec.size, self.camera_shapes, self.feature_shapes)
        known = known or Known(number=len(self._known))
        episode = self._turns.open.get(record.episode_id) or self._held.get(record.episode_id)
        episode = episode or Open(known, pinned=demo or record.source is Source.DEMO)
        if episode.pinned:
            self._check_room(record.episode_id)
        self._count(added=1, gaps=int(record.step_index != known.next_step))
        self._known[record.episode_id] = known
        known.next_step, known.ended = record.step_index + 1, record.last
        if record.last and record.stop_reason == DISCARDED:
            self._forget(record.episode_id, known)
        else:
            episode.staged.append(record)
            self._place(record.episode_id, episode)
        return True

    def add_demos(self, episodes: Iterable[Sequence[StepRecord]]) -> int:
        """Take whole demonstrations, whoever gave them.

        Returns:
            Number of new steps.

        Raises:
            DataError: as for `add`.
        """
        return sum(self.add(record, demo=True) for records in episodes for record in records)

    def drop_demos(self) -> None:
        """Draw no demonstration any more; what they were stays known, and their room taken."""
        self._store.drop_pinned(self.capacity)

    def abandon(self, episode_id: str) -> None:
        """Declare that no further step of an episode will come, for example because its actor died.

        What is in the buffer stays; later steps of the episode are ignored.
        """
        if episode_id in self._known:
            self._known[episode_id].ended = True
            self._held.pop(episode_id, None)
            self._turns.abandon(episode_id)

    def relabel(self, episode_id: str, component: str, values: npt.ArrayLike) -> int:
        """Replace one reward component of an episode, wherever its steps are kept. Logs on disk are not edited.

        Args:
            episode_id: which episode.
            component: name in `robot_rl.data.rewards.STORED`.
            values: one finite value for every step seen so far ``[T]``; for steps the ring dropped they are ignored.

        Returns:
            The new reward version of the episode.

        Raises:
            DataError: unknown episode or component, or not one finite value per step.
        """
        known = self._known.get(episode_id)
        if known is None:
            raise DataError(unknown_name("episode", episode_id, list(self._known)[-10:]))
        component_index(component)
        array = check_values(values, known.next_step)
        known.reward_version += 1
        self._store.relabel(known.number, component, array)
        for episode in (self._turns.open.get(episode_id), self._held.get(episode_id)):
            if episode is not None:
                episode.relabel(component, array, known.reward_version)
        return known.reward_version

    def reward_version(self, episode_id: str) -> int:
        """How often an episode was relabelled.

        Raises:
            DataError: the episode is unknown.
        """
        if episode_id not in self._known:
            raise DataError(unknown_name("episode", episode_id, list(self._known)[-10:]))
        return self._known[episode_id].reward_version

    def gather(self, slots: Slots, out: Batch, ends: Slots) -> None:
        """Write the windows that begin at `slots` ``[B]`` into `out`, and the slots of their successors into `ends`.

        Rewards are composed here, with the weights of this moment.
        """
        self._gather(slots, out, ends, NO_CHUNKS)

    def gather_chunks(self, slots: Slots, out: ChunkBatch, ends: Slots) -> None:
        """As `gather`, with the first h steps of each window; of views nothing is written.

        Raises:
            DataError: h is more than the longest window.
        """
        check_chunk(out.valid.shape[-1], self.n_step)
        batch = out.batch.batch if isinstance(out.batch, ViewBatch) else out.batch
        self._gather(slots, batch, ends, Chunks(out.actions, out.valid, out.guided))

    def _gather(self, slots: Slots, out: Batch, ends: Slots, chunks: Chunks) -> None:
        weights = self.weights.motion(), self.weights.gripper()
        gather(self._store.rows, slots, out, ends, weights, self.gamma, self.n_step, chunks)

    def gather_returns(self, slots: Slots, out: Float32, floor: float) -> None:
        """Write the discounted return of the stored episodes from `slots` ``[B]`` on into `out` ``[B]``.

        Rewards are composed as in `gather`; `floor` is what an episode that was cut or is under way earns after what is
        stored of it.
        """
        gather_returns(self._store.rows, slots, out, self.state_spec.size, self.weights.motion(), self.gamma, floor)

    def gather_views(self, slots: Slots, out: Mapping[str, npt.NDArray[Any]], rng: np.random.Generator) -> None:
        """Write what the networks see of the frames in `slots` ``[B]`` into `out`, arrays ``[..., h, w, c]`` by camera.

        Of features one crop each, drawn with `rng` for every camera and row by itself.
        """
        if self.views.encoder:
            self._store.gather_features(slots, out, rng)
        else:
            self._store.gather_images(slots, out)

    def _forget(self, episode_id: str, known: Known) -> None:
        self._count(discarded=1)
        self._held.pop(episode_id, None)
        self._store.forget(known.number)
        self._turns.abandon(episode_id)

    def _check_room(self, episode_id: str) -> None:
        others = sum(len(e.staged) + 1 for name, e in self._held.items() if name != episode_id)
        own = len(self._held[episode_id].staged) if episode_id in self._held else 0
        if others + own + 2 > self._demos.room:
            raise DataError(
                f"no room for demonstration {episode_id!r}: {self.pinned} frames are pinned, {self._demos.room} are "
                "free; raise demos.capacity, or create the replay with a larger `pinned`"
            )

    def _place(self, episode_id: str, episode: Open) -> None:
        if not episode.pinned:
            self._turns.open[episode_id] = episode
            self._turns.settle()
        elif episode.known.ended:
            # whole or not at all: a demonstration is written when its last step is there
            self._held.pop(episode_id, None)
            self._write(episode)
        else:
            self._held[episode_id] = episode

    def _write(self, episode: Open) -> None:
        region = self._demos if episode.pinned else self._ring
        for record in episode.staged:
            pending = episode.pending
            if pending is not None and record.step_index != pending.step_index + 1:
                pending = None
            region.append(episode.known.number, pending, Frame(record.obs, record))
            if record.final_obs is not None:
                region.append(episode.known.number, record, Frame(record.final_obs, None))
            episode.pending = None if record.last else record
        episode.staged = []

    def _count(self, added: int = 0, duplicates: int = 0, gaps: int = 0, discarded: int = 0) -> None:
        c = self._counters
        self._counters = dataclasses.replace(
            c,
            added=c.added + added,
            duplicates=c.duplicates + duplicates,
            gaps=c.gaps + gaps,
            discarded=c.discarded + discarded,
        )
