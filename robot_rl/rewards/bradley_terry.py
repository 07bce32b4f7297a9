"""From preferences to a reward: an ensemble of small networks, trained so that preferred clips are worth more.

Source: Bradley and Terry 1952 by way of Christiano et al. 2017 (arXiv 1706.03741) and RL-VLM-F (Wang et al. 2024,
arXiv 2402.03681): ``P(second better) = sigmoid((R(second) - R(first)) / tau)`` with ``R`` the mean of ``r`` over the
frames of a clip. Smoothed labels keep a judge who errs from driving rewards to infinity; a small charge on ``r^2``
fixes their scale, and they are normalised at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import DataError
from robot_rl.core.types import Float32
from robot_rl.rewards.cnn_torch import export, feature_scale, jittered, view_network

EQUAL_WEIGHT = 0.5


@dataclass(frozen=True)
class PreferenceFit:
    """How a reward is made of preferences.

    Attributes:
        members: networks of the ensemble.
        updates: gradient steps of each.
        batch: pairs of a step.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        tau: difference of rewards at which a preference is clear; a larger one spreads rewards further.
        smoothing: share by which labels are drawn towards 1/2, about twice the share of labels that are wrong.
        l2: charge on the square of the rewards.
        shift_px: greatest shift of the pictures, pixels of the network.
        brightness: greatest relative change of brightness.
    """

    members: Annotated[int, Range(1, 16)] = 3
    updates: Annotated[int, Range(1, 100_000)] = 250
    batch: Annotated[int, Range(2, 4096)] = 32
    learning_rate: Annotated[float, Range(1e-6, 1.0)] = 1e-3
    weight_decay: Annotated[float, Range(0.0, 1.0)] = 1e-3
    tau: Annotated[float, Range(1e-3, 1e3)] = 1.0
    smoothing: Annotated[float, Range(0.0, 0.4)] = 0.05
    l2: Annotated[float, Range(0.0, 1.0)] = 1e-3
    shift_px: Annotated[int, Range(0, 32)] = 3
    brightness: Annotated[float, Range(0.0, 0.9)] = 0.1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class Comparisons:
    """Preferences as arrays.

    Attributes:
        inputs: what the networks are fed, by camera ``float32[N, h, w, c]``, one row for each different frame.
        clips: rows of the frames of both clips ``int[P, 2, frames]``.
        p_second: probability that the second clip is better ``[P]``.
        pictures: the inputs are pictures and not features.
    """

    inputs: Mapping[str, Float32]
    clips: npt.NDArray[np.intp]
    p_second: Float32
    pictures: bool = True

    def __post_init__(self) -> None:
        """Check that there is something to learn.

        Raises:
            DataError: no preference is left.
        """
        if not (self.p_second != 0.5).any():
            raise DataError("there is no preference to learn a reward from: label more pairs")


def fit_ensemble(
    data: Comparisons,
    config: PreferenceFit,
    *,
    seed: int = 0,
    on_update: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> dict[str, Float32]:
    """Train the ensemble, each member on pairs drawn with replacement.

    Args:
        data: what was preferred.
        config: how.
        seed: of everything random; the same seed gives the same rewards.
        on_update: told of each gradient step (done, of how many in all, loss).

    Returns:
        Weights as `robot_rl.rewards.cnn.logits` takes them, under ``<camera>/<member>/``; the reward of a frame by a
        member is the sum over its cameras.
    """
    torch.set_num_threads(1)  # small networks only wait for each other's threads
    arrays: dict[str, Float32] = {}
    for member in range(config.members):
        torch.manual_seed(seed * 1000 + member)
        rng = np.random.default_rng([seed, member])
        nets = nn.ModuleDict(
            {name: view_network(x.shape[1:], pictures=data.pictures) for name, x in data.inputs.items()}
        )
        scales = {name: feature_scale(x) for name, x in data.inputs.items()} if not data.pictures else {}
        told = partial(_tell, on_update, member * config.updates, config.members * config.updates)
        _fit(nets, data, scales, config, rng, told)
        for name, net in nets.items():
            own = export(net) | ({} if data.pictures else dict(zip(("center", "gain"), scales[name], strict=True)))
            arrays.update({f"{name}/{member}/{key}": value for key, value in own.items()})
    return arrays


def _tell(on_update: Callable[[int, int, float], None], before: int, total: int, done: int, loss: float) -> None:
    on_update(before + done, total, loss)


def _fit(
    nets: nn.ModuleDict,
    data: Comparisons,
    scales: Mapping[str, tuple[Float32, Float32]],
    config: PreferenceFit,
    rng: np.random.Generator,
    on_update: Callable[[int, float], None],
) -> None:
    pairs = rng.integers(0, len(data.p_second), len(data.p_second))
    optimiser = torch.optim.AdamW(nets.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    for update in range(config.updates):
        rows = rng.choice(pairs, config.batch)
        frames = data.clips[rows]
        reward = torch.zeros(frames.size)
        for name, net in nets.items():
            x = data.inputs[name][frames.reshape(-1)]
            x = (
                jittered(x, config.shift_px, config.brightness, rng)
                if data.pictures
                else (x - scales[name][0]) * scales[name][1]
            )
            reward = reward + net(torch.from_numpy(np.ascontiguousarray(x, np.float32)))
        clip = reward.reshape(frames.shape).mean(2)
        target = torch.from_numpy(data.p_second[rows].astype(np.float32))
        weight = torch.where(target == 0.5, EQUAL_WEIGHT, 1.0)
        target = target * (1.0 - config.smoothing) + 0.5 * config.smoothing
        loss = functional.binary_cross_entropy_with_logits((clip[:, 1] - clip[:, 0]) / config.tau, target, weight)
        loss = loss + config.l2 * reward.square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        on_update(update + 1, float(loss.detach()))
