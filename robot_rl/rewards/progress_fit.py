"""Training one view's network of a progress model with torch: pictures in, a share of the task done out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.types import Array, Float32
from robot_rl.rewards.cnn_torch import export, jittered, view_network

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class ProgressFit:
    """How a progress model is trained.

    Attributes:
        members: networks a view; the most pessimistic one speaks.
        updates: gradient steps of each.
        batch: frames of a step.
        learning_rate: of AdamW.
        failures: share of a batch from episodes without success, where there are any.
        shift_px: greatest shift of a picture, pixels of the network.
        brightness: greatest change of brightness, in units of the normalised picture.
    """

    members: Annotated[int, Range(1, 20)] = 3
    updates: Annotated[int, Range(1, 100_000)] = 400
    batch: Annotated[int, Range(2, 4096)] = 32
    learning_rate: Annotated[float, Range(1e-6, 1.0)] = 1e-3
    failures: Annotated[float, Range(0.0, 0.9)] = 0.3
    shift_px: Annotated[int, Range(0, 32)] = 3
    brightness: Annotated[float, Range(0.0, 2.0)] = 0.3

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def fit_view(
    inputs: Float32,
    targets: Array,
    episodes: Rows,
    failed: Rows,
    config: ProgressFit,
    *,
    seed: int,
    on_update: Callable[[int], None] = lambda done: None,
) -> dict[str, Float32]:
    """Train the members of one view, each on episodes drawn with replacement.

    Args:
        inputs: normalised pictures ``float32[N, h, w, 3]``.
        targets: progress of each frame in [0, 1] ``[N]``.
        episodes: number of each frame's episode ``[N]``.
        failed: 1 for frames of episodes without success ``[N]``.
        config: see there.
        seed: of everything random.
        on_update: called with the number of gradient steps done, over all members.

    Returns:
        Weights as `robot_rl.rewards.cnn.logits` takes them, under ``<member>/``.
    """
    torch.set_num_threads(1)  # small networks only wait for each other's threads
    arrays: dict[str, Float32] = {}
    for member in range(config.members):
        torch.manual_seed(1000 * seed + member)
        rng = np.random.default_rng([seed, member])
        net = view_network(inputs.shape[1:])
        optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=1e-3)
        groups = [_drawn(np.flatnonzero(failed == kind), episodes, rng) for kind in (0, 1)]
        for update in range(config.updates):
            lost = round(config.failures * config.batch) if len(groups[1]) else 0
            rows = rng.choice(groups[0], config.batch - lost)
            if lost:
                rows = np.concatenate([rows, rng.choice(groups[1], lost)])
            seen = torch.from_numpy(jittered(inputs[rows], config.shift_px, config.brightness, rng))
            wanted = torch.from_numpy(targets[rows].astype(np.float32))
            loss = nn.functional.binary_cross_entropy_with_logits(net(seen), wanted)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            on_update(member * config.updates + update + 1)
        arrays.update({f"{member}/{key}": value for key, value in export(net).items()})
    return arrays


def _drawn(rows: Rows, episodes: Rows, rng: np.random.Generator) -> Rows:
    """Frames of as many episodes, drawn with replacement; empty if there are none."""
    names = np.unique(episodes[rows])
    if not len(names):
        return rows
    return np.concatenate([rows[episodes[rows] == name] for name in rng.choice(names, len(names))])
