"""A reward that was learnt from preferences, as a reward model: the file kind ``preference``.

Its answer is a number in (0, 1): the probability that the frame would be preferred to an average frame of the
recordings it was made from. It is no probability of success and its gate never opens: it orders frames, and is there to
relabel recordings.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.types import Array, Float32, Image
from robot_rl.rewards.calibrate import off_edges, sigmoid
from robot_rl.rewards.classifier import check_encoder, network_inputs
from robot_rl.rewards.cnn import logits
from robot_rl.rewards.gate import NEVER
from robot_rl.rewards.model_file import CameraInfo, ModelInfo, checked_pictures
from robot_rl.rewards.preference_frames import Recordings
from robot_rl.rewards.preferences import Clip, Labelled
from robot_rl.vision.frozen import FrozenEncoder, open_encoder
from robot_rl.vision.preprocess import PreprocessSpec

KIND = "preference"
PESSIMISM = 1.0


class PreferenceReward:
    """`robot_rl.rewards.model_file.Scorer` of an ensemble trained on preferences.

    Args:
        info: of the model.
        arrays: its weights, named ``<camera>/<member>/<layer>``.
        encoder: makes the features that its networks are fed, or None for pictures.

    Raises:
        DataError: weights are missing, or the encoder is another than the model was trained on.
    """

    def __init__(self, info: ModelInfo, arrays: Mapping[str, Any], encoder: FrozenEncoder | None = None) -> None:
        self._info, self._arrays, self._encoder = info, arrays, encoder
        if any(f"{c}/{m}/dense0.weight" not in arrays for c in info.cameras for m in range(self._members)):
            raise DataError(f"the preference model lacks weights of a camera: expected {', '.join(info.cameras)}")
        check_encoder(info, encoder)

    @property
    def info(self) -> ModelInfo:
        """What is known about it."""
        return self._info

    @property
    def _members(self) -> int:
        return int(self._info.settings["members"])

    def score(self, images: Mapping[str, Image]) -> dict[str, Array]:
        """As `robot_rl.rewards.model_file.Scorer.score`; every camera has the same answer, they are judged together.

        What the members do not agree about does not count: their standard deviation is taken off.
        """
        each = self.rewards(images)
        p = off_edges(sigmoid(each.mean(0) - PESSIMISM * each.std(0)))
        return dict.fromkeys(self._info.cameras, p)

    def rewards(self, images: Mapping[str, Image]) -> Array:
        """Normalised reward of each frame by each member ``float64[M, N]``.

        Raises:
            DataError: a camera is missing or its pictures have another size.
        """
        pictures = checked_pictures(self._info, images)
        inputs = {
            name: network_inputs(x, self._info.cameras[name].preprocess, self._encoder) for name, x in pictures.items()
        }
        raw = member_rewards(self._arrays, inputs, self._members)
        center, scale = (np.array(self._info.settings[k], np.float64)[:, None] for k in ("center", "scale"))
        return np.asarray((raw - center) / scale)

    def close(self) -> None:
        """Release the encoder. May be called twice."""
        if self._encoder is not None:
            self._encoder.close()


def open_preference(info: ModelInfo, arrays: Mapping[str, Any]) -> PreferenceReward:
    """Open a model file of the kind ``preference``.

    Raises:
        ConfigError: the encoder's library or weight file is not on this machine.
        DataError: it is another encoder than the model was trained on.
    """
    name = str(info.settings.get("encoder", ""))
    return PreferenceReward(info, arrays, open_encoder(name) if name else None)


def member_rewards(arrays: Mapping[str, Any], inputs: Mapping[str, Float32], members: int) -> Float32:
    """Reward of each frame by each member before it is normalised ``float32[M, N]``: the sum over the cameras."""
    return np.stack([sum(logits(arrays, f"{name}/{m}/", x) for name, x in inputs.items()) for m in range(members)])


def train_preferences(
    labelled: Sequence[Labelled],
    recordings: Recordings,
    *,
    spec: PreprocessSpec,
    encoder: str = "",
    fit: Any = None,
    held_out: float = 0.12,
    seed: int = 0,
    on_update: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> tuple[ModelInfo, dict[str, Float32]]:
    """Make a reward model of preferences.

    Args:
        labelled: see `robot_rl.rewards.preferences.PreferenceStore.usable`.
        recordings: that the clips were taken from.
        spec: what is done to the pictures of every camera.
        encoder: name of a frozen encoder whose features are judged; empty judges the pictures.
        fit: `robot_rl.rewards.bradley_terry.PreferenceFit`; None for its defaults.
        held_out: share of the episodes whose pairs are not trained on but tell how good the rewards are.
        seed: of everything random.
        on_update: told of each gradient step (done, of how many, loss).

    Returns:
        What is known about the model, and its weights.

    Raises:
        DataError: too few preferences, or a recording of one is missing.
    """
    from robot_rl.rewards.bradley_terry import Comparisons, PreferenceFit, fit_ensemble

    config = fit or PreferenceFit()
    frozen = open_encoder(encoder) if encoder else None
    try:
        inputs, clips, shapes = _inputs(labelled, recordings, spec, frozen)
    finally:
        if frozen is not None:
            frozen.close()
    p_second = np.array([x.answer.p_second for x in labelled], np.float32)
    held = held_pairs(labelled, held_out, seed)
    if held.all() or not len(held):
        raise DataError(f"{len(labelled)} preferences over {len(recordings.episodes)} episodes are too few: label more")
    arrays = fit_ensemble(
        Comparisons(inputs, clips[~held], p_second[~held], frozen is None), config, seed=seed, on_update=on_update
    )
    raw = member_rewards(arrays, inputs, config.members)
    used = np.unique(clips[~held])
    center, scale = raw[:, used].mean(1), raw[:, used].std(1) + 1e-6
    settings = {
        "members": config.members,
        "center": center.astype(float).tolist(),
        "scale": scale.astype(float).tolist(),
        "encoder": encoder,
        "encoder_checksum": "" if frozen is None else frozen.checksum,
    }
    gap = _clip_gap((raw - center[:, None]) / scale[:, None], clips)
    card = {
        "made_s": time.time(),
        "episodes": sorted({c.episode_id for x in labelled for c in (x.pair.first, x.pair.second)}),
        "labelers": sorted({x.by for x in labelled}),
        "preferences": int((p_second != 0.5).sum()),
        "equal": int((p_second == 0.5).sum()),
        "trained": accuracy(gap[~held], p_second[~held]),
        "held_out": accuracy(gap[held], p_second[held]),
        "fit": asdict(config),
    }
    cameras = {name: CameraInfo(shape, spec) for name, shape in shapes.items()}
    task = next(iter(recordings.episodes.values())).task
    return ModelInfo(KIND, task, cameras, NEVER, settings=settings, card=card), arrays


def held_pairs(labelled: Sequence[Labelled], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Pairs that are not trained on: those with a clip of an episode that is held out.

    Args:
        labelled: preferences.
        share: of the episodes that are held out, at least one of two or more.
        seed: chooses them.
    """
    names = sorted({c.episode_id for x in labelled for c in (x.pair.first, x.pair.second)})
    count = min(max(1, round(share * len(names))), len(names) - 1) if share > 0 else 0
    chosen = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    return np.array([bool({x.pair.first.episode_id, x.pair.second.episode_id} & chosen) for x in labelled], bool)


def accuracy(gap: Array, p_second: npt.NDArray[np.floating]) -> dict[str, Any]:
    """How many preferences the rewards order as they were labelled, with the 95 % interval of Wilson 1927.

    Args:
        gap: reward of the second clip less that of the first ``[P]``.
        p_second: labels ``[P]``; those of 1/2 are left out.
    """
    clear = p_second != 0.5
    n, right = int(clear.sum()), int(((gap > 0) == (p_second > 0.5))[clear].sum())
    if not n:
        return {"pairs": 0}
    z = NormalDist().inv_cdf(0.975)
    centre, spread = right + z * z / 2.0, z * math.sqrt(right * (n - right) / n + z * z / 4.0)
    low, high = ((centre + sign * spread) / (n + z * z) for sign in (-1.0, 1.0))
    return {"pairs": n, "accuracy": right / n, "low": max(low, 0.0), "high": min(high, 1.0)}


def _clip_gap(rewards: Array, clips: npt.NDArray[np.intp]) -> Array:
    worth = rewards.mean(0)[clips].mean(2)
    return np.asarray(worth[:, 1] - worth[:, 0])


def _inputs(
    labelled: Sequence[Labelled], recordings: Recordings, spec: PreprocessSpec, encoder: FrozenEncoder | None
) -> tuple[dict[str, Float32], npt.NDArray[np.intp], dict[str, tuple[int, int]]]:
    """What the networks are fed of every different frame, the rows of each pair's frames, and the pictures' sizes."""
    pairs = [(x.pair.first, x.pair.second) for x in labelled]
    frames = sorted({(c.episode_id, step) for pair in pairs for c in pair for step in c.steps})
    if not frames or len({len(c.steps) for pair in pairs for c in pair}) != 1:
        raise DataError(f"got {len(pairs)} preferences, expected some, all of clips with equally many pictures")
    rows = {frame: i for i, frame in enumerate(frames)}
    parts: dict[str, list[Float32]] = {name: [] for name in recordings.cameras}
    shapes: dict[str, tuple[int, int]] = {}
    for episode in sorted({name for name, _ in frames}):
        steps = tuple(step for name, step in frames if name == episode)
        for name, images in recordings.pictures(Clip(episode, steps)).items():
            parts[name].append(network_inputs(images, spec, encoder))
            if shapes.setdefault(name, (images.shape[1], images.shape[2])) != images.shape[1:3]:
                raise DataError(f"pictures of {name} differ in size between episodes: use those of one size")
    index = [[[rows[c.episode_id, step] for step in c.steps] for c in pair] for pair in pairs]
    return {name: np.concatenate(x) for name, x in parts.items()}, np.array(index, np.intp), shapes
