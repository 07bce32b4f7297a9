"""Training a head, or adapters and a head, on a CLIP: "is the task done?" answered from one's own frames.

A vision-language model is hardly ever good enough as it is; RoboFuME (Yang et al. 2023, arXiv 2310.15145) fine-tunes
one on tens of labelled episodes to answer yes or no, and rewards with that. This is the same for a CLIP.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import DataError
from robot_rl.core.types import Array, Float32, Image
from robot_rl.rewards.calibrate import calibrated, fit_temperature, sigmoid, threshold_at
from robot_rl.rewards.clip_backbone import ClipBackbone, embed, open_backbone, unit
from robot_rl.rewards.clip_head import HEAD, LORA, HeadReward, block_layers
from robot_rl.rewards.evaluate import evaluate_scorer
from robot_rl.rewards.frames import Clip, count_frames, split_clips
from robot_rl.rewards.gate import GateSpec
from robot_rl.rewards.model_file import CameraInfo, ModelInfo
from robot_rl.rewards.spans import NO, YES
from robot_rl.vision.preprocess import PreprocessSpec, preprocess

LORA_FRAMES = 300
"""Labelled frames that adapters need; with fewer they learn the frames by heart."""
Update = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ClipFit:
    """How heads and adapters are trained.

    Attributes:
        l2: charge on the squares of a probe's weights over standardised embeddings.
        rank: of an adapter; 0 trains the head alone.
        blocks: in how many of the last blocks there are adapters.
        updates: gradient steps of the adapters.
        batch: frames of a step, half of them successes.
        learning_rate: of the adapters.
        target_fpr: false-positive rate over frames that the threshold is set for.
        k_on: looks in a row that the gate wants.
        seed: of split, weights and batches.
    """

    l2: Annotated[float, Range(1e-6, 1e3)] = 1e-2
    rank: Annotated[int, Range(0, 64)] = 0
    blocks: Annotated[int, Range(1, 48)] = 4
    updates: Annotated[int, Range(1, 100_000)] = 200
    batch: Annotated[int, Range(2, 512)] = 16
    learning_rate: Annotated[float, Range(1e-6, 1.0)] = 1e-3
    target_fpr: Annotated[float, Range(1e-4, 0.5)] = 0.01
    k_on: Annotated[int, Range(1, 100)] = 3
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def train_head(
    backbone: ClipBackbone,
    clips: Sequence[Clip],
    home_base_tcp: Array,
    config: ClipFit,
    *,
    specs: Mapping[str, PreprocessSpec],
    on_update: Update = lambda what, done, of: None,
) -> tuple[ModelInfo, dict[str, npt.NDArray[Any]]]:
    """Train on three fifths of the episodes, calibrate on one fifth, evaluate on the last.

    Args:
        backbone: stays open and unchanged.
        clips: labelled episodes of one task with the same cameras.
        home_base_tcp: home of the task ``[7]``.
        config: how.
        specs: what is done to the pictures, by camera.
        on_update: told what is done, how much of it, and of how much.

    Returns:
        What is known about the model, and its arrays.

    Raises:
        DataError: too few episodes or frames of a kind, or too few for adapters.
        ConfigError: the image tower has no blocks for adapters.
    """
    train, held, test = split_clips(clips, (0.2, 0.2), config.seed)
    data = {name: _labelled(train, name) for name in train[0].images} if train else {}
    if not data or any(not y.any() or y.all() for _, y in data.values()):
        raise DataError("a head needs episodes with success and without: collect at least five of each")
    arrays: dict[str, npt.NDArray[Any]] = {}
    share = 0.0
    for number, (name, (images, success)) in enumerate(data.items(), 1):
        weight, bias = probe(backbone.encode_images(images, specs[name]), success, config.l2)
        arrays |= {f"{name}/weight": weight, f"{name}/bias": bias}
        share = float(success.mean())
        on_update("probe", number, len(data))
    if config.rank:
        arrays |= _adapt(backbone, data, arrays, config, specs, on_update)
    cameras = {n: CameraInfo((x.shape[1], x.shape[2]), specs[n]) for n, (x, _) in data.items()}
    settings = {
        "backbone": str(backbone.folder.absolute()),
        "backbone_checksum": backbone.checksum,
        "blocks": config.blocks,
        "offset": float(np.log(share / (1.0 - share))),
        "temperature": dict.fromkeys(cameras, 1.0),
    }
    kind = LORA if config.rank else HEAD
    info = ModelInfo(kind, train[0].task, cameras, home_base_tcp=tuple(map(float, home_base_tcp)), settings=settings)
    scorer = HeadReward(info, arrays, open_backbone(backbone.folder) if config.rank else backbone)
    info = _calibrated(info, scorer, held, config)
    card = {
        "made_s": time.time(),
        "episodes": sorted(c.episode_id for c in (*train, *held)),
        "train": count_frames(train),
        "calibration": count_frames(held),
        "held_out": count_frames(test),
        "fit": asdict(config),
    }
    info = replace(info, card=card)
    if test:
        judged = HeadReward(info, arrays, open_backbone(backbone.folder) if config.rank else backbone)
        info = replace(info, evaluation=evaluate_scorer(judged, test).to_dict(held_out=True))
    return info, arrays


def probe(x: Float32, success: npt.NDArray[np.bool_], l2: float) -> tuple[Float32, Float32]:
    """Logistic regression on standardised embeddings, both kinds weighing alike (Newton).

    Args:
        x: embeddings ``[N, D]``.
        success: ``[N]``, some and not all.
        l2: charge on the squares of the weights.

    Returns:
        Weight ``float32[D]`` and bias ``float32[1]`` for the embeddings as they are.
    """
    mean, gain = x.mean(0).astype(np.float64), 1.0 / (x.std(0).astype(np.float64) + 1e-3)
    z = np.concatenate([(x - mean) * gain, np.ones((len(x), 1))], 1)
    weight = np.where(success, 0.5 / success.mean(), 0.5 / (1.0 - success.mean())) / len(x)
    charge = np.append(np.full(x.shape[1], l2), 1e-9)
    w = np.zeros(z.shape[1])
    for _ in range(30):
        p = sigmoid(z @ w)
        gradient = z.T @ (weight * (p - success)) + charge * w
        curvature = (z * (weight * np.maximum(p * (1.0 - p), 1e-6))[:, None]).T @ z + np.diag(charge)
        w = w - np.linalg.solve(curvature, gradient)
    scaled = w[:-1] * gain
    return scaled.astype(np.float32), np.array([w[-1] - mean @ scaled], np.float32)


class _Adapted(nn.Module):
    """A linear layer with a low-rank product beside it, which is zero at first."""

    def __init__(self, base: Any, rank: int) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.base(x) + x @ self.down.T @ self.up.T
        return out


def _adapt(
    backbone: ClipBackbone,
    data: Mapping[str, tuple[Image, npt.NDArray[np.bool_]]],
    heads: Mapping[str, npt.NDArray[Any]],
    config: ClipFit,
    specs: Mapping[str, PreprocessSpec],
    on_update: Update,
) -> dict[str, npt.NDArray[Any]]:
    """Adapters, and the heads that were trained along with them."""
    frames = sum(len(y) for _, y in data.values())
    if frames < LORA_FRAMES:
        raise DataError(f"adapters need at least {LORA_FRAMES} labelled frames, there are {frames}: train a head alone")
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    visual = open_backbone(backbone.folder, backbone.checksum).visual
    layers = {name: _Adapted(layer, config.rank) for name, layer in block_layers(visual, config.blocks).items()}
    for name, layer in layers.items():
        block, _, part = name.partition(".")
        setattr(visual.transformer.resblocks[int(block)].mlp, part, layer)
    probes = {n: [nn.Parameter(torch.from_numpy(heads[f"{n}/{k}"].copy())) for k in ("weight", "bias")] for n in data}
    trained = [p for layer in layers.values() for p in (layer.down, layer.up)]
    optimiser = torch.optim.Adam(
        [
            {"params": trained, "lr": config.learning_rate},
            {"params": [p for v in probes.values() for p in v], "lr": 1e-2},
        ]
    )
    names = list(data)
    for update in range(config.updates):
        name = names[update % len(names)]
        images, success = data[name]
        rows = _balanced(success, config.batch, rng)
        x = unit(embed(visual, preprocess(images[rows], specs[name])))
        logits = x @ probes[name][0] + probes[name][1]
        target = torch.from_numpy(success[rows].astype(np.float32)) * 0.96 + 0.02
        loss = functional.binary_cross_entropy_with_logits(logits, target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        on_update("adapters", update + 1, config.updates)
    out = {
        f"{n}/{k}": p.detach().numpy()
        for n, both in probes.items()
        for k, p in zip(("weight", "bias"), both, strict=True)
    }
    for name, layer in layers.items():
        out |= {f"lora/{name}/down": layer.down.detach().numpy(), f"lora/{name}/up": layer.up.detach().numpy()}
    return out


def _balanced(success: npt.NDArray[np.bool_], batch: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    half = batch // 2
    yes, no = np.flatnonzero(success), np.flatnonzero(~success)
    return np.concatenate([rng.choice(yes, half), rng.choice(no, batch - half)])


def _labelled(clips: Sequence[Clip], camera: str) -> tuple[Image, npt.NDArray[np.bool_]]:
    told = [clip.success >= 0 for clip in clips]
    images = np.concatenate([clip.images[camera][t] for clip, t in zip(clips, told, strict=True)])
    return images, np.concatenate([clip.success[t] == YES for clip, t in zip(clips, told, strict=True)])


def _calibrated(info: ModelInfo, scorer: HeadReward, held: Sequence[Clip], config: ClipFit) -> ModelInfo:
    """With temperatures and a threshold from episodes that were not trained on."""
    told = [clip.success >= 0 for clip in held]
    if not held:
        raise DataError("there are too few episodes to calibrate on: collect at least five of each kind")
    raw = [scorer.raw_logits(clip.images) for clip in held]
    x = {c: np.concatenate([r[c][t] for r, t in zip(raw, told, strict=True)]) for c in info.cameras}
    labels = np.concatenate([clip.success[t] for clip, t in zip(held, told, strict=True)])
    offset = float(info.settings["offset"])
    temperature = {c: fit_temperature(v + offset, labels == YES) for c, v in x.items()}
    p = np.min(list(calibrated(x, offset, temperature).values()), axis=0)
    on = min(threshold_at(p[labels == NO], config.target_fpr), 1.0)
    gate = GateSpec(on=on, off=min(0.5, on), k_on=config.k_on)
    return replace(info, gate=gate, settings={**info.settings, "temperature": temperature})
