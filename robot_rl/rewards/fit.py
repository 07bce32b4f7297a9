"""Training the network of one view with torch: balanced batches, disturbed pictures, early stop on other episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.types import Float32

CHECK_EVERY = 25
DROPOUT = 0.1
HELD_AT_MOST = 300


@dataclass(frozen=True)
class FitConfig:
    """How a view's network is trained.

    Attributes:
        updates: gradient steps at most.
        batch: frames of each, half of them successes.
        learning_rate: of Adam.
        smoothing: share by which labels are drawn towards one half.
        patience: checks on held-out episodes without improvement before training stops; one every 25 updates.
        brightness: greatest relative change of brightness and of contrast.
        shift_px: greatest shift of the picture in pixels of the network.
    """

    updates: Annotated[int, Range(1, 100_000)] = 300
    batch: Annotated[int, Range(2, 4096)] = 32
    learning_rate: Annotated[float, Range(1e-6, 1.0)] = 2e-3
    smoothing: Annotated[float, Range(0.0, 0.4)] = 0.01
    patience: Annotated[int, Range(1)] = 4
    brightness: Annotated[float, Range(0.0, 0.9)] = 0.3
    shift_px: Annotated[int, Range(0, 32)] = 3

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class Samples:
    """Frames of one view.

    Attributes:
        inputs: of the network ``float32[N, h, w, c]``.
        success: ``bool[N]``.
        bucket: number of the kind of situation ``int[N]``.
        episode: number of the episode ``int[N]``.
    """

    inputs: Float32
    success: npt.NDArray[np.bool_]
    bucket: npt.NDArray[np.intp]
    episode: npt.NDArray[np.intp]


def fit_member(
    train: Samples,
    held: Samples,
    config: FitConfig,
    *,
    seed: int,
    pictures: bool,
    mean_std: tuple[Float32, Float32],
    on_update: Callable[[int, float], None] = lambda done, loss: None,
) -> dict[str, Float32]:
    """Train one member of a view's ensemble on a bootstrap sample of the episodes.

    Args:
        train: with frames of both kinds.
        held: of other episodes, with frames of both kinds: the weights that did best on them are kept.
        config: see there.
        seed: of weights, episodes and batches.
        pictures: the inputs are pictures, so that convolutions look at them and they may be disturbed.
        mean_std: of the pictures' preprocessing, ``float32[3]`` each; unused for features.
        on_update: called with the number of updates done and the newest loss on held-out frames.

    Returns:
        Weights as `robot_rl.rewards.cnn.logits` takes them, without prefix.
    """
    import torch

    from robot_rl.rewards.cnn_torch import export, feature_scale, view_network

    torch.set_num_threads(1)  # small networks only wait for each other's threads
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    draw = _Drawer(train, rng)
    scale = None if pictures else feature_scale(train.inputs)
    net = view_network(train.inputs.shape[1:], pictures=pictures, dropout=DROPOUT)
    optimiser = torch.optim.Adam(net.parameters(), lr=config.learning_rate, weight_decay=1e-4)
    check = _held_batch(held, rng)
    best, best_loss, worse = _copy(net), np.inf, 0
    loss_held = np.inf
    for update in range(config.updates):
        rows = draw(config.batch)
        inputs = train.inputs[rows]
        inputs = _disturbed(inputs, config, mean_std, rng) if pictures else _scaled(inputs, scale)
        target = torch.from_numpy(train.success[rows].astype(np.float32))
        target = target * (1.0 - config.smoothing) + 0.5 * config.smoothing
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(_tensor(inputs)), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (update + 1) % CHECK_EVERY == 0:
            loss_held = _held_loss(net, check, scale)
            if loss_held < best_loss:
                best, best_loss, worse = _copy(net), loss_held, 0
            else:
                worse += 1
        on_update(update + 1, loss_held)
        if worse >= config.patience:
            break
    net.load_state_dict(best)
    return export(net) | ({} if scale is None else {"center": scale[0], "gain": scale[1]})


class _Drawer:
    """Half successes, half not; of these half evenly over situations, so that the rare and hard ones are seen."""

    def __init__(self, samples: Samples, rng: np.random.Generator) -> None:
        episodes = np.unique(samples.episode)
        drawn = np.isin(samples.episode, rng.choice(episodes, len(episodes)))
        # A sample of episodes without one of the kinds would teach nothing.
        use = drawn if samples.success[drawn].any() and not samples.success[drawn].all() else np.ones_like(drawn)
        self._rng = rng
        self._yes = np.flatnonzero(use & samples.success)
        self._no = np.flatnonzero(use & ~samples.success)
        self._by_bucket = [self._no[samples.bucket[self._no] == b] for b in np.unique(samples.bucket[self._no])]

    def __call__(self, batch: int) -> npt.NDArray[np.intp]:
        half, quarter = batch // 2, (batch - batch // 2) // 2
        which = self._rng.integers(len(self._by_bucket), size=quarter)
        even = [self._rng.choice(self._by_bucket[b]) for b in which]
        plain = self._rng.choice(self._no, batch - half - quarter)
        return np.concatenate([self._rng.choice(self._yes, half), plain, np.array(even, np.intp)]).astype(np.intp)


def _copy(net: Any) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def _tensor(inputs: Float32) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(inputs))


def _held_batch(held: Samples, rng: np.random.Generator) -> tuple[Float32, npt.NDArray[np.bool_]]:
    rows = np.arange(len(held.success))
    if len(rows) > HELD_AT_MOST:
        rows = np.sort(rng.choice(rows, HELD_AT_MOST, replace=False))
    return held.inputs[rows], held.success[rows]


def _held_loss(net: Any, check: tuple[Float32, npt.NDArray[np.bool_]], scale: tuple[Float32, Float32] | None) -> float:
    """Mean of the losses of successes and of the others, so that neither drowns the other."""
    import torch

    inputs, success = check
    net.eval()
    with torch.no_grad():
        out = net(_tensor(inputs if scale is None else _scaled(inputs, scale))).numpy().astype(np.float64)
    net.train()
    losses = np.logaddexp(0.0, np.where(success, -out, out))
    return float(np.mean([losses[success].mean(), losses[~success].mean()]))


def _scaled(inputs: Float32, scale: tuple[Float32, Float32] | None) -> Float32:
    assert scale is not None
    return (inputs - scale[0]) * scale[1]


def _disturbed(
    inputs: Float32, config: FitConfig, mean_std: tuple[Float32, Float32], rng: np.random.Generator
) -> Float32:
    """Other light, other contrast, a slight cast of colour, and a shift by whole pixels with the edge repeated."""
    mean, std = mean_std
    n, b = len(inputs), config.brightness
    # Of colours c about their mean m: ((c - m) k + m) g, as one product and one sum of what was normalised.
    gain = rng.uniform(1.0 - b, 1.0 + b, (n, 1)) * rng.uniform(1.0 - 0.3 * b, 1.0 + 0.3 * b, (n, 3))
    contrast = rng.uniform(1.0 - b, 1.0 + b, (n, 1))
    middle = inputs[:, ::4, ::4].mean((1, 2)) * std + mean
    slope = contrast * gain
    level = (mean * slope + middle * (1.0 - contrast) * gain - mean) / std
    out = _shifted(inputs, config.shift_px, rng)
    out *= slope[:, None, None].astype(np.float32)
    out += level[:, None, None].astype(np.float32)
    return out


def _shifted(inputs: Float32, most_px: int, rng: np.random.Generator) -> Float32:
    """Each picture moved by whole pixels, the edge repeated; a copy."""
    if not most_px:
        return inputs.copy()
    n, height, width = inputs.shape[:3]
    at = rng.integers(-most_px, most_px + 1, (n, 2))
    out = np.empty_like(inputs)
    for k, (dy, dx) in enumerate(at):
        rows, columns = np.clip(np.arange(height) + dy, 0, height - 1), np.clip(np.arange(width) + dx, 0, width - 1)
        out[k] = inputs[k][rows[:, None], columns]
    return out
