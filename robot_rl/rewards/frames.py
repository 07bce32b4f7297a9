"""Frames for a success classifier from recorded episodes, each with what it shows: success, or which kind of not yet.

Where the statements come from, first that applies: ``frames.jsonl`` of whoever collected (`robot_rl.rewards.spans`);
the simulator's truth in the steps; otherwise how the episode ended, as labelled by people (`robot_rl.data.labels`). A
success that only a classifier has declared is no statement about anything.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.marks import FAILURE, VETOED
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.core.types import Array, Image
from robot_rl.data.demos import episode_files
from robot_rl.data.episode_log import Episode, read_episode
from robot_rl.data.labels import RECORDED, read_labels
from robot_rl.data.labels import UNKNOWN as NOBODY_KNOWS
from robot_rl.rewards.readings import logged_readings
from robot_rl.rewards.spans import NO, UNKNOWN, YES, Span, read_spans

SUCCESS, APPROACH, FAILED, TAIL, MARKED = "success", "approach", "failed", "timeout_tail", "marked"
TAIL_SHARE = 0.25
SETTLE_S = 0.3


@dataclass(frozen=True)
class Clip:
    """One episode as a classifier sees it.

    Attributes:
        path: of its file.
        episode_id: of the episode.
        task: id of its task.
        images: ``uint8[T+1, H, W, 3]`` by camera.
        t_s: time of each frame since the episode began ``[T+1]``.
        readings: of the robot at each frame, by name.
        success: of each frame 1 done, 0 not, -1 nobody can say ``int8[T+1]``.
        bucket: kind of situation of each frame.
    """

    path: Path
    episode_id: str
    task: str
    images: Mapping[str, Image]
    t_s: Array
    readings: tuple[Mapping[str, float], ...]
    success: npt.NDArray[np.int8]
    bucket: tuple[str, ...]

    @property
    def has_success(self) -> bool:
        """Whether some frame shows success."""
        return bool((self.success == YES).any())


def read_clips(
    paths: Sequence[Path],
    cameras: Sequence[str],
    home_base_tcp: Array,
    *,
    settle_s: float = SETTLE_S,
    on_file: Callable[[int, int], None] = lambda done, of: None,
) -> list[Clip]:
    """Every finished episode at some paths.

    Args:
        paths: episode files, or folders of them.
        cameras: whose pictures are wanted; empty for all that the first episode has.
        home_base_tcp: home of the task ``[7]``.
        settle_s: frames this close to where success begins or ends are left out, being what nobody can tell.
        on_file: called with how many files were read, and of how many.

    Raises:
        DataError: nothing is there, a file is broken, or it lacks a camera or is of another task than the first.
    """
    files = [file for path in paths for file in episode_files(path)]
    clips: list[Clip] = []
    for k, file in enumerate(files):
        episode = read_episode(file)
        wanted = tuple(cameras) or tuple(episode.records[0].obs.images)
        clip = make_clip(episode, wanted, home_base_tcp, settle_s=settle_s)
        if clips and clip.task != clips[0].task:
            raise DataError(f"{file} is of the task {clip.task}, the first episode of {clips[0].task}: one at a time")
        cameras = wanted
        clips.append(clip)
        on_file(k + 1, len(files))
    return clips


def make_clip(episode: Episode, cameras: Sequence[str], home_base_tcp: Array, *, settle_s: float = SETTLE_S) -> Clip:
    """One episode.

    Raises:
        DataError: it has no pictures of a camera, or what was said about it does not fit its length.
    """
    records, path = episode.records, episode.path
    seen = _observations(records)
    if not cameras:
        raise DataError(f"{path} has no pictures: record with --cameras")
    for camera in cameras:
        if any(camera not in obs.images for obs in seen):
            there = ", ".join(sorted(seen[0].images)) or "none"
            raise DataError(f"{path} has no pictures of the camera {camera}; it has {there}")
    success, bucket = _statements(episode)
    t_s = np.array([0.0, *(r.t_control_s for r in records)])
    spec = episode.meta.state_spec
    return Clip(
        path,
        records[0].episode_id,
        episode.meta.task,
        {c: np.stack([obs.images[c] for obs in seen]) for c in cameras},
        t_s,
        tuple(logged_readings(spec.unpack(obs.state), home_base_tcp) for obs in seen),
        settled(success, t_s, settle_s),
        bucket,
    )


def settled(success: npt.NDArray[np.int8], t_s: Array, settle_s: float) -> npt.NDArray[np.int8]:
    """Statements without those close to an edge between success and not; success with which an episode ends stays.

    Args:
        success: 1, 0 or -1 of each frame ``[N]``.
        t_s: their times ``[N]``.
        settle_s: how close, seconds.
    """
    out = success.copy()
    edges = np.flatnonzero((success[1:] != success[:-1]) & (np.minimum(success[1:], success[:-1]) >= 0))
    for edge in edges:
        at_s = 0.5 * (t_s[edge] + t_s[edge + 1])
        out[np.abs(t_s - at_s) <= settle_s] = UNKNOWN
    if success[-1] == YES:
        out[-1] = YES
    return out


def split_clips(clips: Sequence[Clip], shares: Sequence[float], seed: int = 0) -> list[list[Clip]]:
    """Whole episodes into groups, those with and those without success apart, by a hash of their ids.

    Args:
        clips: episodes.
        shares: of the groups after the first, which gets the rest.
        seed: of the hash.
    """
    groups: list[list[Clip]] = [[] for _ in range(len(shares) + 1)]
    for kind in (True, False):
        some = [c for c in clips if c.has_success == kind]
        some.sort(key=lambda c: hashlib.sha256(f"{seed} {c.episode_id}".encode()).digest())
        at = 0
        for group, share in enumerate(shares, 1):
            n = round(share * len(some))
            groups[group] += some[at : at + n]
            at += n
        groups[0] += some[at:]
    return groups


def count_frames(clips: Sequence[Clip]) -> dict[str, int]:
    """How many frames there are of success, and of each kind of not yet."""
    counts: Counter[str] = Counter()
    for clip in clips:
        counts.update(SUCCESS if s == YES else b for s, b in zip(clip.success, clip.bucket, strict=True) if s >= 0)
    return dict(sorted(counts.items()))


def _observations(records: Sequence[StepRecord]) -> list[Observation]:
    final = records[-1].final_obs
    assert final is not None
    return [*(r.obs for r in records), final]


def _statements(episode: Episode) -> tuple[npt.NDArray[np.int8], tuple[str, ...]]:
    records, n = episode.records, len(episode.records) + 1
    told = read_spans(episode.path.parent).get(records[0].episode_id)
    if told is not None:
        return _from_spans(episode.path, told, n)
    if all("truth" in r.rewards for r in records):
        success = np.array([NO, *(int(r.rewards["truth"] > 0.5) for r in records)], np.int8)
        return success, _buckets(success)
    success = np.full(n, NO, np.int8)
    label = read_labels(episode.path.parent).get(records[0].episode_id)
    said = label is not None and label.outcome != RECORDED
    if episode.success:
        # The last frame: what a classifier has decided alone proves nothing.
        success[-1] = YES if said or "p_success" not in records[-1].rewards else UNKNOWN
    elif label is not None and label.outcome == NOBODY_KNOWS:
        success[:] = UNKNOWN
    buckets = list(_buckets(success))
    if records[-1].stop_reason in (VETOED, FAILURE):
        buckets[-1] = MARKED
    return success, tuple(buckets)


def _buckets(success: npt.NDArray[np.int8]) -> tuple[str, ...]:
    n = len(success)
    if (success == YES).any() or (success == UNKNOWN).any():
        return tuple(SUCCESS if s == YES else APPROACH for s in success)
    return tuple(TAIL if k >= (1.0 - TAIL_SHARE) * n else FAILED for k in range(n))


def _from_spans(path: Path, spans: Sequence[Span], n: int) -> tuple[npt.NDArray[np.int8], tuple[str, ...]]:
    success, bucket = np.full(n, UNKNOWN, np.int8), [APPROACH] * n
    for span in spans:
        if not 0 <= span.first <= span.last < n or span.success not in (YES, NO, UNKNOWN):
            raise DataError(f"frames {span.first} to {span.last} were labelled in {path}, which has 0 to {n - 1}")
        success[span.first : span.last + 1] = span.success
        bucket[span.first : span.last + 1] = [span.bucket] * (span.last - span.first + 1)
    return success, tuple(bucket)


def relabelled(clip: Clip, frames: Sequence[int], success: int, bucket: str) -> Clip:
    """The clip with other statements about some frames."""
    values, buckets = clip.success.copy(), list(clip.bucket)
    for k in frames:
        values[k], buckets[k] = success, bucket
    return replace(clip, success=values, bucket=tuple(buckets))
