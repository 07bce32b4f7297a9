"""From labelled episodes to a calibrated success classifier with its gate, its data card and its first evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import DataError
from robot_rl.core.types import Array, Float32, Image
from robot_rl.rewards.calibrate import FLOOR, calibrated, fit_temperature, sigmoid, threshold_at
from robot_rl.rewards.classifier import Classifier, network_inputs
from robot_rl.rewards.drift import make_watch
from robot_rl.rewards.evaluate import evaluate_scorer
from robot_rl.rewards.fit import FitConfig, Samples, fit_member
from robot_rl.rewards.frames import Clip, count_frames, split_clips
from robot_rl.rewards.gate import Bound, GateSpec
from robot_rl.rewards.model_file import CameraInfo, ModelInfo
from robot_rl.rewards.spans import NO, YES
from robot_rl.vision.frozen import FrozenEncoder
from robot_rl.vision.preprocess import PreprocessSpec

LEAST_RECALL = 0.5
WATCHED_FRAMES = 600
MARGIN_M = {"gripper_width_m": 0.004, "tcp_z_m": 0.01}
FAR_M = 10.0
Crop = tuple[float, float, float, float]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrainSpec:
    """How a success classifier is made.

    Attributes:
        size: side of the pictures that the networks see, pixels.
        crops: part of each camera's picture that they see, (left, top, right, bottom) in [0, 1]; all of it by default.
        members: networks a view, whose disagreement counts against success.
        fit: how each is trained.
        target_fpr: false-positive rate over frames that the threshold is set for.
        floor: least threshold, of a probability at even odds.
        k_on: looks in a row that the gate wants.
        require: ask the gate to check the gripper's opening and the tool's height against those of the successes.
        seed: of split, weights and batches.
    """

    size: Annotated[int, Range(16, 512)] = 64
    crops: Mapping[str, Crop] = field(default_factory=dict)
    members: Annotated[int, Range(1, 20)] = 3
    fit: FitConfig = field(default_factory=FitConfig)
    target_fpr: Annotated[float, Range(1e-4, 0.5)] = 0.01
    floor: Annotated[float, Range(0.01, 0.99)] = FLOOR
    k_on: Annotated[int, Range(1, 100)] = 3
    require: bool = True
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def train_classifier(
    clips: Sequence[Clip],
    spec: TrainSpec,
    home_base_tcp: Array,
    *,
    encoder: tuple[str, FrozenEncoder] | None = None,
    on_progress: Progress = lambda what, done, of: None,
) -> tuple[ModelInfo, dict[str, npt.NDArray[Any]]]:
    """Train on three fifths of the episodes, calibrate on one fifth, evaluate on the last.

    Args:
        clips: labelled episodes of one task with the same cameras.
        spec: see there.
        home_base_tcp: home of the task ``[7]``.
        encoder: name and instance of a frozen encoder whose features are used, or None for pictures.
        on_progress: called with what is done, how much of it, and of how much.

    Returns:
        What is known about the model, and its arrays; for `robot_rl.rewards.model_file.write_model`.

    Raises:
        DataError: too few episodes with or without success, or too few frames for the false-positive rate.
    """
    groups = split_clips(clips, (0.2, 0.2), spec.seed)
    train, held, test = groups
    _check_groups(train, held)
    cameras = _cameras(train[0], spec)
    arrays: dict[str, npt.NDArray[Any]] = {}
    started_s, processor_s = time.time(), time.process_time()
    for number, (name, camera) in enumerate(cameras.items(), 1):
        data = _samples(train, name, camera, encoder), _samples(held, name, camera, encoder)
        what = f"view {number} of {len(cameras)}"
        fitted = _fit_view(data, camera, spec, encoder is None, partial(on_progress, what))
        watch = make_watch(_some_frames(train, name, spec.seed), np.random.default_rng(spec.seed))
        arrays |= {f"{name}/{key}": value for key, value in fitted.items()} | watch.to_arrays(f"{name}/")
    info = ModelInfo(
        kind="cnn" if encoder is None else "head",
        task=train[0].task,
        cameras=cameras,
        home_base_tcp=tuple(map(float, home_base_tcp)),
        settings=_settings(spec, train, encoder, dict.fromkeys(cameras, 1.0)),
    )
    info, raw_held, labels = _useful_views(info, arrays, held, encoder, spec.target_fpr)
    info = _calibrated(info, raw_held, labels, spec, train)
    arrays = {key: value for key, value in arrays.items() if key.split("/")[0] in info.cameras}
    card = {
        "made_s": started_s,
        "took_s": round(time.time() - started_s, 1),
        "processor_s": round(time.process_time() - processor_s, 1),
        "episodes": sorted(c.episode_id for c in (*train, *held)),
        "train": {"episodes": len(train), "frames": count_frames(train)},
        "calibration": {"episodes": len(held), "frames": count_frames(held)},
        "held_out": {"episodes": len(test), "frames": count_frames(test)},
        "spec": {k: v for k, v in asdict(spec).items() if k != "crops"},
        "left_out": sorted(set(cameras) - set(info.cameras)),
    }
    info = replace(info, card=card)
    if test:
        scorer = Classifier(info, arrays, None if encoder is None else encoder[1])
        info = replace(info, evaluation=evaluate_scorer(scorer, test).to_dict(held_out=True))
    return info, arrays


def _check_groups(train: Sequence[Clip], held: Sequence[Clip]) -> None:
    for what, group in (("train", train), ("calibrate", held)):
        counts = count_frames(group)
        yes = counts.get("success", 0)
        if not yes or not sum(counts.values()) - yes:
            raise DataError(
                f"there are {len(train) + len(held)} episodes to train and calibrate on, and those to {what} on hold "
                f"{yes} frames of success and {sum(counts.values()) - yes} others: collect at least five episodes with "
                "success and five without"
            )


def _cameras(clip: Clip, spec: TrainSpec) -> dict[str, CameraInfo]:
    unknown = sorted(set(spec.crops) - set(clip.images))
    if unknown:
        raise DataError(f"there is a crop for the cameras {', '.join(unknown)}, which the episodes lack")
    return {
        name: CameraInfo(
            (images.shape[1], images.shape[2]),
            PreprocessSpec(spec.size, crop=spec.crops.get(name, (0.0, 0.0, 1.0, 1.0))),
        )
        for name, images in clip.images.items()
    }


def _samples(
    clips: Sequence[Clip], name: str, camera: CameraInfo, encoder: tuple[str, FrozenEncoder] | None
) -> Samples:
    kinds = {kind: k for k, kind in enumerate(sorted({b for c in clips for b in c.bucket}))}
    inputs, success, bucket, episode = [], [], [], []
    for number, clip in enumerate(clips):
        rows = np.flatnonzero(clip.success >= 0)
        if rows.size:
            made = network_inputs(clip.images[name][rows], camera.preprocess, None if encoder is None else encoder[1])
            inputs.append(made)
            success.append(clip.success[rows] == YES)
            bucket.append(np.array([kinds[clip.bucket[k]] for k in rows], np.intp))
            episode.append(np.full(rows.size, number, np.intp))
    return Samples(*(np.concatenate(v) for v in (inputs, success, bucket, episode)))


def _fit_view(
    data: tuple[Samples, Samples],
    camera: CameraInfo,
    spec: TrainSpec,
    pictures: bool,
    on_update: Callable[[int, int], None],
) -> dict[str, Float32]:
    mean_std = np.array(camera.preprocess.mean, np.float32), np.array(camera.preprocess.std, np.float32)
    out: dict[str, Float32] = {}
    updates = spec.fit.updates
    for member in range(spec.members):

        def tell(done: int, loss: float, before: int = member * updates) -> None:
            on_update(before + done, spec.members * updates)

        weights = fit_member(
            *data,
            spec.fit,
            seed=1000 * spec.seed + member,
            pictures=pictures,
            mean_std=mean_std,
            on_update=tell,
        )
        out |= {f"{member}/{key}": value for key, value in weights.items()}
    return out


def _settings(
    spec: TrainSpec,
    train: Sequence[Clip],
    encoder: tuple[str, FrozenEncoder] | None,
    temperature: Mapping[str, float],
) -> dict[str, Any]:
    """Half of each batch were successes; the offset takes the logits back to how frequent they are."""
    counts = count_frames(train)
    share = counts["success"] / sum(counts.values())
    out: dict[str, Any] = {
        "members": spec.members,
        "offset": float(np.log(share / (1.0 - share))),
        "temperature": dict(temperature),
    }
    if encoder is not None:
        out |= {"encoder": encoder[0], "encoder_checksum": encoder[1].checksum}
    return out


def _useful_views(
    info: ModelInfo,
    arrays: Mapping[str, Any],
    held: Sequence[Clip],
    encoder: tuple[str, FrozenEncoder] | None,
    target_fpr: float,
) -> tuple[ModelInfo, dict[str, Array], npt.NDArray[np.int8]]:
    """The model without the views that cannot tell: the least convinced decides, so that they would veto everything."""
    scorer = Classifier(info, arrays, None if encoder is None else encoder[1])
    raw = [scorer.raw_logits(clip.images) for clip in held]
    told = [clip.success >= 0 for clip in held]
    logits = {c: np.concatenate([r[c][t] for r, t in zip(raw, told, strict=True)]) for c in info.cameras}
    labels = np.concatenate([clip.success[t] for clip, t in zip(held, told, strict=True)])
    skill = {c: _recall_alone(x, labels, target_fpr) for c, x in logits.items()}
    kept = [c for c in info.cameras if skill[c] >= LEAST_RECALL] or [max(skill, key=lambda c: skill[c])]
    return replace(info, cameras={c: info.cameras[c] for c in kept}), {c: logits[c] for c in kept}, labels


def _recall_alone(logits: Array, labels: npt.NDArray[np.int8], target_fpr: float) -> float:
    """Share of the successes that a view finds by itself, with no more false positives than wanted."""
    bar = np.quantile(logits[labels == NO], 1.0 - target_fpr)
    return float((logits[labels == YES] > bar).mean())


def _calibrated(
    info: ModelInfo,
    raw: Mapping[str, Array],
    labels: npt.NDArray[np.int8],
    spec: TrainSpec,
    train: Sequence[Clip],
) -> ModelInfo:
    offset = float(info.settings["offset"])
    temperature = {c: fit_temperature(x + offset, labels == YES) for c, x in raw.items()}
    p = np.min(list(calibrated(raw, offset, temperature).values()), axis=0)
    even = np.log(spec.floor / (1.0 - spec.floor))
    floor = max(float(sigmoid((even + offset) / t)) for t in temperature.values())
    on = threshold_at(p[labels == NO], spec.target_fpr, floor)
    require = _bounds(train) if spec.require else ()
    gate = GateSpec(on=on, off=0.5 * on, k_on=spec.k_on, require=require)
    return replace(info, gate=gate, settings={**info.settings, "temperature": temperature})


def _bounds(train: Sequence[Clip]) -> tuple[Bound, ...]:
    """What the robot felt of itself whenever the task was done, and a little more."""
    done = [clip.readings[k] for clip in train for k in np.flatnonzero(clip.success == YES)]
    out = []
    for name, margin in MARGIN_M.items():
        values = [r[name] for r in done if name in r]
        if len(values) == len(done):
            high = max(values) + margin if name.startswith("gripper") else FAR_M
            out.append(Bound(name, round(min(values) - margin, 4), round(high, 4)))
    return tuple(out)


def _some_frames(clips: Sequence[Clip], camera: str, seed: int) -> Image:
    """Pictures of all episodes, evenly, as many as a watch can be learnt from in a second."""
    total = sum(len(c.t_s) for c in clips)
    stride = max(1, total // WATCHED_FRAMES)
    return np.concatenate([c.images[camera][seed % stride :: stride] for c in clips])
