"""The recordings that clips are taken from: which there are, their pictures, and what was recorded about a step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from robot_rl.core.errors import DataError, unknown_name
from robot_rl.core.transition import StepRecord
from robot_rl.core.types import Float32, Image
from robot_rl.data.catalog import find_episodes
from robot_rl.data.episode_log import Episode, read_episode
from robot_rl.data.rewards import COMPONENTS
from robot_rl.rewards.labelers import Shown
from robot_rl.rewards.preference_pairs import sample_clips
from robot_rl.rewards.preferences import Clip, Pair, Question
from robot_rl.vision.preprocess import PreprocessSpec, cropped, preprocess

KEPT_EPISODES = 24
THUMBNAIL_PX = 8
RETURN, POTENTIAL = "return", "potential"
GAMMA = 0.98


@dataclass(frozen=True)
class Recorded:
    """One episode that clips can be taken from.

    Attributes:
        path: its file.
        episode_id: its id.
        task: what was done in it.
        steps: how many; there is one observation more.
        success: it ended in success.
    """

    path: Path
    episode_id: str
    task: str
    steps: int
    success: bool


class Recordings:
    """Episodes below some paths, read as they are needed.

    Args:
        paths: runs, folders of episodes, or files.
        cameras: whose pictures make up a clip; empty takes all that the first episode has.
        on_read: told (episodes read, of how many) while the folder is looked through.

    Raises:
        DataError: no episode is whole, or the cameras are not those that were recorded.

    Attributes:
        episodes: whole ones by id.
        cameras: in the order in which they stand in a picture.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        cameras: Sequence[str] = (),
        *,
        on_read: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._open: OrderedDict[str, Episode] = OrderedDict()
        self.episodes: dict[str, Recorded] = {}
        files = find_episodes(*paths)
        for done, path in enumerate(files, 1):
            episode = read_episode(path, strict=False, images=False)
            if episode.complete:
                last = episode.records[-1]
                facts = Recorded(path, last.episode_id, episode.meta.task, len(episode.records), episode.success)
                self.episodes[last.episode_id] = facts
            on_read(done, len(files))
        if not self.episodes:
            raise DataError(f"none of the {len(files)} episode files is whole: robot-rl data repair makes them so")
        there = self.episode(next(iter(self.episodes))).records[0].obs.images
        if not there:
            raise DataError("the episodes hold no pictures: record them with cameras")
        for name in cameras:
            if name not in there:
                raise DataError(unknown_name("camera", name, there))
        self.cameras = tuple(cameras) or tuple(sorted(there))

    def episode(self, episode_id: str) -> Episode:
        """All of an episode, pictures included; the last few stay in memory.

        Raises:
            DataError: it is not among the recordings.
        """
        if episode_id not in self.episodes:
            raise DataError(
                f"episode {episode_id!r} is not among the {len(self.episodes)} recordings: name its folder too"
            )
        if episode_id not in self._open:
            self._open[episode_id] = read_episode(self.episodes[episode_id].path)
            while len(self._open) > KEPT_EPISODES:
                self._open.popitem(last=False)
        self._open.move_to_end(episode_id)
        return self._open[episode_id]

    def pictures(self, clip: Clip) -> dict[str, Image]:
        """Pictures of a clip by camera ``uint8[frames, H, W, 3]``.

        Raises:
            DataError: the episode is shorter, or lacks a camera.
        """
        return pictures_of(self.episode(clip.episode_id).records, clip.steps, self.cameras)

    def show(self, pair: Pair, question: Question) -> Shown:
        """What a labeler sees of a pair: one picture a step, its cameras side by side."""
        spec = PreprocessSpec(crop=question.crop)
        seen = [{n: cropped(x, spec) for n, x in self.pictures(c).items()} for c in (pair.first, pair.second)]
        return Shown(question.goal, side_by_side(seen[0]), side_by_side(seen[1]), pair)

    def clips(self, per_episode: int, frames: int, stride: int, rng: np.random.Generator) -> tuple[list[Clip], Float32]:
        """Candidates from every episode, and what tells their last pictures apart.

        Returns:
            Clips, and ``float32[N, F]``: their last pictures at 8 x 8 pixels.
        """
        clips: list[Clip] = []
        features: list[Float32] = []
        thumbnail = PreprocessSpec(THUMBNAIL_PX)
        for facts in self.episodes.values():
            own = sample_clips(facts.episode_id, facts.steps, frames=frames, stride=stride, count=per_episode, rng=rng)
            if not own:
                continue
            ends = tuple(clip.steps[-1] for clip in own)
            seen = pictures_of(self.episode(facts.episode_id).records, ends, self.cameras)
            small = [preprocess(images, thumbnail).reshape(len(own), -1) for images in seen.values()]
            clips += own
            features.append(np.concatenate(small, axis=1))
        return clips, np.concatenate(features) if features else np.zeros((0, 1), np.float32)

    def scorer(self, what: str) -> Callable[[Clip], float]:
        """A score of clips from what was recorded, for an oracle; see `recorded_score`."""
        check_score(what)

        @cache
        def records(episode_id: str) -> Sequence[StepRecord]:
            return read_episode(self.episodes[episode_id].path, images=False).records

        return lambda clip: recorded_score(records(clip.episode_id), clip.steps[-1], what)


def pictures_of(records: Sequence[StepRecord], steps: Sequence[int], cameras: Sequence[str]) -> dict[str, Image]:
    """Pictures of some steps of an episode by camera ``uint8[n, H, W, 3]``; the number of steps stands for the end.

    Raises:
        DataError: the episode is shorter, or lacks a camera.
    """
    views = [records[s].obs if s < len(records) else records[-1].final_obs for s in steps if s <= len(records)]
    if len(views) < len(steps) or any(v is None for v in views):
        raise DataError(f"episode {records[-1].episode_id!r} has {len(records)} steps, asked for {list(steps)}")
    out = {}
    for name in cameras:
        seen = [v.images.get(name) for v in views if v is not None]
        if any(image is None for image in seen):
            there = next((v.images for v in views if v is not None), {})
            raise DataError(f"episode {records[-1].episode_id!r}: {unknown_name('camera', name, there)}")
        out[name] = np.stack([image for image in seen if image is not None])
    return out


def side_by_side(pictures: dict[str, Image]) -> tuple[Image, ...]:
    """One picture a step: cameras beside each other, smaller ones filled up with black below."""
    height = max(images.shape[1] for images in pictures.values())
    padded = [np.pad(v, ((0, 0), (0, height - v.shape[1]), (0, 0), (0, 0))) for v in pictures.values()]
    return tuple(np.concatenate(padded, axis=2))


def check_score(what: str) -> None:
    """Check the name of a recorded score.

    Raises:
        DataError: there is no such score; the message lists them.
    """
    if what not in (RETURN, POTENTIAL, *COMPONENTS):
        raise DataError(unknown_name("recorded score", what, (RETURN, POTENTIAL, *COMPONENTS)))


def recorded_score(records: Sequence[StepRecord], step: int, what: str) -> float:
    """How good an observation is by what was recorded.

    Args:
        records: the whole episode.
        step: of the observation; the number of steps stands for the end.
        what: ``return``, the discounted success that was still to come, 1 at a successful end and 0 all through a
            failure; ``potential``, the recorded process reward summed up to there, plus 1 at a successful end; or the
            name of a component, its value in the step before.
    """
    success = records[-1].rewards.get("success", 0.0) > 0.5
    if what == RETURN:
        return GAMMA ** (len(records) - step) if success else 0.0
    before = [r.rewards for r in records[:step]]
    if what == POTENTIAL:
        return sum(r.get("process", 0.0) for r in before) + float(success and step == len(records))
    return before[-1].get(what, 0.0) if before else 0.0
