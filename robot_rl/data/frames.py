"""Storage of single frames in slots: state rows, pictures, and what a frozen encoder made of the pictures.

An episode of T steps occupies T + 1 consecutive slots, the last of which holds its final observation. A slot is
*linked* once the frame after it is known; only linked slots belong to the sets that are drawn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.core.types import Features, Image
from robot_rl.data.index_set import IndexSet, RecencySet
from robot_rl.data.rewards import STORED, check_components, component_index, component_row
from robot_rl.data.windows import BOOTSTRAPS, NO_LINK, TERMINATES, Slots

NO_STEP = -1
StoredAction = Literal["executed", "policy"]


class Frame(NamedTuple):
    """What goes into a slot: an observation, and the step that was taken on it unless it is final.

    Attributes:
        obs: what was seen.
        record: the step taken on it, or None.
    """

    obs: Observation
    record: StepRecord | None


class FrameStore:
    """Packed rows and images of all slots.

    Args:
        slots: how many.
        state_size: values of a state row.
        camera_shapes: ``(H, W, 3)`` by camera name.
        feature_shapes: ``(K, h, w, C)`` by camera name, of K crops.
        corrections_in_demos: steps under an operator's command belong to the demonstration share too.
        half_life_steps: age at which an online step is drawn half as often as the newest; None draws uniformly.
        action: what is stored as a step's action: what was executed, or what the policy proposed. The latter exists
            only where the policy acted, so no other step is then drawn.

    Raises:
        DataError: so much memory cannot be had, or the half-life is too short.

    Attributes:
        rows: ``float32[slots, n + 7 + components + 2]``, see `robot_rl.data.windows`.
        images: ``uint8[slots, H, W, 3]`` by camera name. Pages are touched only when a frame is written.
        features: ``float16[slots, K, h, w, C]`` by camera name; likewise.
        episode: number of the episode in each slot, -1 if never written.
        step: step index in each slot, -1 in final frames.
        online: linked slots of the robot's own experience.
        demo: linked slots of demonstrations and, unless they are left out, of steps under an operator's command.
    """

    def __init__(
        self,
        slots: int,
        state_size: int,
        camera_shapes: Mapping[str, tuple[int, int, int]],
        *,
        feature_shapes: Mapping[str, tuple[int, int, int, int]] | None = None,
        corrections_in_demos: bool = True,
        half_life_steps: float | None = None,
        action: StoredAction = "executed",
    ) -> None:
        self.state_size = state_size
        self._corrections_in_demos = corrections_in_demos
        self._executed = action == "executed"
        self._components = state_size + ACTION_SIZE
        width = self._components + len(STORED) + 2
        crops = feature_shapes or {}
        try:
            self.rows = np.zeros((slots, width), np.float32)
            self.images: dict[str, Image] = {
                name: np.empty((slots, *shape), np.uint8) for name, shape in camera_shapes.items()
            }
            self.features: dict[str, Features] = {
                name: np.empty((slots, *shape), np.float16) for name, shape in crops.items()
            }
        except MemoryError as e:
            total = slots * (4 * width + frame_bytes(camera_shapes, crops)) / 2**30
            raise DataError(f"a replay of {slots} frames needs {total:.1f} GiB of memory: choose a smaller one") from e
        self.episode = np.full(slots, -1, np.int64)
        self.step = np.full(slots, NO_STEP, np.int64)
        self.online = IndexSet(slots) if half_life_steps is None else RecencySet(slots, half_life_steps)
        self.demo = IndexSet(slots)

    def put(self, slot: int, frame: Frame, episode: int) -> bool:
        """Overwrite a slot; it has no link until `link` is called.

        Returns:
            Whether a linked transition was lost.
        """
        lost = bool(self.rows[slot, -1] != NO_LINK)
        self.online.discard(slot)
        self.demo.discard(slot)
        row = self.rows[slot]
        row[:] = 0.0
        row[: self.state_size] = frame.obs.state
        for name, images in self.images.items():
            images[slot] = frame.obs.images[name]
        for name, features in self.features.items():
            features[slot] = frame.obs.features[name]
        self.episode[slot] = episode
        self.step[slot] = NO_STEP
        if frame.record is not None:
            record = frame.record
            row[self.state_size : self._components] = record.action_executed if self._executed else record.action_policy
            row[self._components : -2] = component_row(record.rewards)
            row[-2] = record.guided
            self.step[slot] = record.step_index
        return lost

    def link(self, slot: int, record: StepRecord, *, pinned: bool) -> None:
        """Declare that the next slot holds what followed this step; from now on windows may run through it.

        It may also be drawn, unless the actions stored are the policy's and somebody else acted.

        Args:
            slot: where the step is.
            record: the step.
            pinned: it is a demonstration, and not part of the online share.
        """
        self.rows[slot, -1] = TERMINATES if record.terminated else BOOTSTRAPS
        if not self._executed:
            if not pinned and not record.guided:
                self.online.add(slot)
            return
        if not pinned:
            self.online.add(slot)
        if pinned or (record.intervention and self._corrections_in_demos):
            self.demo.add(slot)

    def gather_images(self, slots: Slots, out: Mapping[str, Image]) -> None:
        """Write the pictures in `slots` ``[B]`` into `out`: ``uint8[..., H, W, 3]`` by camera, B frames in all."""
        for name, images in self.images.items():
            # mode "clip" writes straight into the output, "raise" would go through a copy; the slots are our own
            np.take(images, slots, axis=0, out=out[name].reshape(-1, *images.shape[1:]), mode="clip")

    def gather_features(self, slots: Slots, out: Mapping[str, Features], rng: np.random.Generator) -> None:
        """Likewise ``float16[..., h, w, C]``, of one crop each, drawn for every camera and row by itself."""
        for name, features in self.features.items():
            crops = features.shape[1]
            chosen = slots * crops + rng.integers(crops, size=slots.shape)
            flat = features.reshape(-1, *features.shape[2:])
            np.take(flat, chosen, axis=0, out=out[name].reshape(-1, *flat.shape[1:]), mode="clip")

    def forget(self, episode: int) -> None:
        """Let no step of an episode be drawn any more; its frames stay until they are overwritten."""
        linked = (self.episode == episode) & (self.rows[:, -1] != NO_LINK)
        for slot in np.flatnonzero(linked).tolist():
            self.online.discard(slot)
            self.demo.discard(slot)
            self.rows[slot, -1] = NO_LINK

    def drop_pinned(self, start: int) -> None:
        """Let nothing from the slot `start` on be drawn as a demonstration."""
        for slot in self.demo.members[self.demo.members >= start].tolist():
            self.demo.discard(slot)

    def relabel(self, episode: int, component: str, values: npt.NDArray[np.float32]) -> None:
        """Replace one reward component of every stored step of an episode; `values` is indexed by step."""
        slots = np.flatnonzero((self.episode == episode) & (self.step != NO_STEP))
        self.rows[slots, self._components + component_index(component)] = values[self.step[slots]]


def frame_bytes(
    camera_shapes: Mapping[str, tuple[int, ...]], feature_shapes: Mapping[str, tuple[int, ...]] | None = None
) -> int:
    """Memory of one frame's pictures and features."""
    pixels = sum(int(np.prod(shape)) for shape in camera_shapes.values())
    return pixels + 2 * sum(int(np.prod(shape)) for shape in (feature_shapes or {}).values())


def check_fits(
    record: StepRecord,
    state_size: int,
    camera_shapes: Mapping[str, tuple[int, int, int]],
    feature_shapes: Mapping[str, tuple[int, int, int, int]] | None = None,
) -> None:
    """Check a record before anything of it is stored.

    Raises:
        DataError: it is invalid, has an unknown reward component, or its state, images or features have another
            layout.
    """
    record.validate()
    check_components(record.rewards)
    where = f"step {record.step_index} of episode {record.episode_id!r}"
    for obs in (record.obs, record.final_obs):
        if obs is None:
            continue
        if obs.state.shape != (state_size,):
            raise DataError(f"{where}: state of shape {list(obs.state.shape)}, expected [{state_size}]")
        for name, shape in camera_shapes.items():
            image = obs.images.get(name)
            if image is None:
                raise DataError(f"{where}: {unknown_name('camera', name, obs.images)}")
            if image.shape != tuple(shape) or image.dtype != np.uint8:
                got = f"{image.dtype}{list(image.shape)}"
                raise DataError(f"{where}: image {name!r} is {got}, expected uint8{list(shape)}")
        for name, crops in (feature_shapes or {}).items():
            features = obs.features.get(name)
            if features is None or features.shape != tuple(crops) or features.dtype != np.float16:
                got = "none" if features is None else f"{features.dtype}{list(features.shape)}"
                raise DataError(f"{where}: features of {name!r} are {got}, expected float16{list(crops)}")


class Region:
    """A range of slots that is written front to back in contiguous segments, each of one episode.

    Args:
        store: the storage.
        start: first slot.
        stop: behind the last slot; the region starts over there, in a new segment.
        pinned: holds demonstrations.

    Attributes:
        tip: slot that is written next.
        owner: number of the episode whose segment ends at the tip, -1 for none.
        overwritten: transitions lost to newer ones.
    """

    def __init__(self, store: FrameStore, start: int, stop: int, *, pinned: bool) -> None:
        self._store = store
        self.start, self.stop = start, stop
        self._pinned = pinned
        self.tip = start
        self.owner = -1
        self.overwritten = 0

    @property
    def room(self) -> int:
        """Slots left before the region starts over."""
        return self.stop - self.tip

    def append(self, episode: int, pending: StepRecord | None, frame: Frame) -> None:
        """Write a frame of an episode and link the step before it.

        Args:
            episode: number of the episode.
            pending: the step that led to this frame, or None at the start or after a gap.
            frame: the frame.
        """
        if pending is None or self.owner != episode or self.tip == self.stop:
            self._begin_segment(episode, pending)
        self._put(frame, episode)
        if pending is not None:
            self._store.link(self.tip - 2, pending, pinned=self._pinned)

    def _begin_segment(self, episode: int, pending: StepRecord | None) -> None:
        # two frames make a transition: in a single last slot a segment could hold none
        if self.stop - self.tip < 2:
            self.tip = self.start
        self.owner = episode
        if pending is not None:
            self._put(Frame(pending.obs, pending), episode)

    def _put(self, frame: Frame, episode: int) -> None:
        self.overwritten += self._store.put(self.tip, frame, episode)
        self.tip += 1
