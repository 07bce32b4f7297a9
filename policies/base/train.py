"""Training a base policy on demonstrations: one loop for every objective, backbone and kind of observation."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.policies.base.checkpoint import TrainedBase
from robot_rl.policies.base.config import BaseConfig, FitConfig
from robot_rl.policies.base.model import BaseModel
from robot_rl.policies.base.normaliser import Normaliser
from robot_rl.policies.base.windows import Demonstration, Windows, make_windows

BETAS = (0.95, 0.999)
"""Of AdamW, as in Diffusion Policy."""
AVERAGE_POWER = 0.75
HELD_SEED = 7
"""Held-out losses use the same noise at every report, so that their curve shows the weights and not luck."""
HELD_BATCH = 256


@dataclass(frozen=True)
class Report:
    """How far training is.

    Attributes:
        step: steps done.
        steps: steps in all.
        loss: mean since the report before.
        held_loss: of the averaged weights on held-out windows, None without any.
        snapshot: gives the base as it is now, with the averaged weights; call it before training goes on.
    """

    step: int
    steps: int
    loss: float
    held_loss: float | None
    snapshot: Callable[[], TrainedBase]


def train_base(
    config: BaseConfig,
    demos: Sequence[Demonstration],
    held_out: Sequence[Demonstration] = (),
    *,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    hz: float,
    name: str = "base",
    card: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Iterator[Report]:
    """Train; equal arguments give equal weights on one machine with one number of threads.

    Everything is checked before the first step. The random numbers of whoever consumes the reports are left alone.

    Args:
        config: of the policy and its training.
        demos: to imitate.
        held_out: others, to see whether it only learns by heart; may be none.
        state_spec: layout of their states.
        action_spec: meaning of their actions; what is not active is not modelled.
        hz: their control rate.
        name: of the base.
        card: where it comes from; the losses are added.
        seed: of weights, windows and noise.
        device: of torch.

    Yields:
        A report every `FitConfig.report_every` steps and after the last.

    Raises:
        DataError: there are no demonstrations, or they do not have the shapes that the layouts say, or a number in them
            or in the loss is not finite.
        ConfigError: a camera is not in the demonstrations.
    """
    states, actions = _normalisers(config, demos, state_spec, action_spec)
    cameras = {c: _shape(demos[0], c) for c in config.sight.cameras}
    data = _data(config, demos, states, actions, action_spec, device)
    held = _data(config, held_out, states, actions, action_spec, device) if held_out else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BaseModel(config, state_spec.size, len(action_spec.active), cameras).to(device)
    model.median.copy_(data.states.median(0).values)
    average = Average(model, config.fit.average)

    def snapshot(step: int, loss: float, held_loss: float | None) -> TrainedBase:
        weights = {k: v.detach().cpu().numpy().copy() for k, v in average.model.state_dict().items()}
        told = {**(card or {}), "steps": step, "loss": loss, "held_loss": held_loss, "seed": seed}
        return TrainedBase(config, state_spec, action_spec, states, actions, weights, hz, cameras, name, told)

    losses: list[float] = []
    for step, loss in enumerate(_steps(model, average, data, config.fit, seed), 1):
        losses.append(loss)
        if step % config.fit.report_every == 0 or step == config.fit.steps:
            mean, on_held = float(np.mean(losses)), _held_loss(average.model, held, config.fit)
            if not math.isfinite(mean):
                raise DataError(
                    f"the loss is {mean} at step {step}: lower the learning rate, {config.fit.learning_rate}"
                )
            losses.clear()
            yield Report(step, config.fit.steps, mean, on_held, _bind(snapshot, step, mean, on_held))


class Average:
    """The moving average of a network's weights: what acts.

    Args:
        model: whose weights; without BatchNorm, whose running statistics do not go with averaged weights.
        greatest: decay that is not exceeded.

    Attributes:
        model: a copy with the averaged weights, in evaluation mode.

    Raises:
        ConfigError: the network holds BatchNorm.
    """

    def __init__(self, model: nn.Module, greatest: float) -> None:
        if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules()):
            raise ConfigError("averaged weights do not go with BatchNorm: use GroupNorm")
        self.model: Any = copy.deepcopy(model).eval().requires_grad_(False)
        self._greatest, self._updates = greatest, 0

    def update(self, model: nn.Module) -> None:
        """Draw the average towards the network's weights, with `average_decay`."""
        decay = average_decay(self._updates, self._greatest)
        self._updates += 1
        with torch.no_grad():
            for mine, new in zip(self.model.parameters(), model.parameters(), strict=True):
                mine.lerp_(new, 1.0 - decay)


def average_decay(updates: int, greatest: float) -> float:
    """``1 - (1 + t) ** -0.75``, at most `greatest`; 0 at first, so that the average begins as the weights are."""
    return min(1.0 - float((1.0 + updates) ** -AVERAGE_POWER), greatest)


def learning_rate(step: int, fit: FitConfig) -> float:
    """Of the step, from 0: rises evenly during the warm-up, then falls to 0 with a cosine."""
    warmup = min(fit.warmup, fit.steps // 10)
    if step < warmup:
        return fit.learning_rate * (step + 1) / (warmup + 1)
    return 0.5 * fit.learning_rate * (1.0 + math.cos(math.pi * (step - warmup) / (fit.steps - warmup)))


@dataclass(frozen=True, eq=False)
class _Data:
    """Windows on the device, normalised."""

    states: Tensor
    actions: Tensor
    images: Mapping[str, Tensor]
    windows: Windows

    def draw(self, model: BaseModel, which: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Mean error over what is valid, and how much that is. Uses torch's global random numbers."""
        seen = torch.from_numpy(self.windows.seen[which]).to(self.states.device)
        planned = torch.from_numpy(self.windows.planned[which]).to(self.states.device)
        valid = torch.from_numpy(self.windows.valid[which]).to(self.states)[:, :, None]
        actions = self.actions[planned]
        noise, uniform = torch.randn(actions.shape).to(actions), torch.rand(len(which)).to(actions)
        images = {name: pictures[seen] for name, pictures in self.images.items()}
        goal = keep = None
        if model.goals:
            goal = self.states[self._later(which)]
        if model.guided:
            keep = (torch.rand(len(which)) >= model.config.guidance.dropout).to(actions)
        condition = model.condition(self.states[seen], images, goal, keep)
        errors = model.errors(condition, actions, noise, uniform)
        total = valid.sum() * actions.shape[2]
        return (errors * valid).sum() / total, total

    def _later(self, which: npt.NDArray[np.int64]) -> Tensor:
        """Rows of goals: any later state of the same episode, its last one where there is none."""
        now, last = self.windows.seen[which, -1], self.windows.last[which]
        share = torch.rand(len(which)).double().numpy()
        later = np.minimum(now + 1 + (share * (last - now)).astype(np.int64), last)
        return torch.from_numpy(later).to(self.states.device)


def _steps(model: BaseModel, average: Average, data: _Data, fit: FitConfig, seed: int) -> Iterator[float]:
    rng = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=fit.learning_rate, betas=BETAS, weight_decay=fit.weight_decay, fused=True
    )
    model.train()
    for step in range(fit.steps):
        which = rng.integers(len(data.windows), size=fit.batch)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, fit)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            loss, _ = data.draw(model, which)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), fit.clip_norm)
        optimiser.step()
        average.update(model)
        yield float(loss.detach())


def _held_loss(model: BaseModel, data: _Data | None, fit: FitConfig) -> float | None:
    if data is None:
        return None
    count = len(data.windows)
    which = np.arange(count)
    if count > fit.held_windows:
        which = np.sort(np.random.default_rng(HELD_SEED).choice(count, fit.held_windows, replace=False))
    losses, sizes = [], []
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(HELD_SEED)
        for at in range(0, len(which), HELD_BATCH):
            loss, size = data.draw(model, which[at : at + HELD_BATCH])
            losses.append(float(loss))
            sizes.append(float(size))
    return float(np.average(losses, weights=sizes))


def _normalisers(
    config: BaseConfig, demos: Sequence[Demonstration], state_spec: StateSpec, action_spec: ActionSpec
) -> tuple[Normaliser, Normaliser]:
    windows = make_windows(demos, 1, 1)  # what is wrong with the data is said before anything is computed
    if windows.states.shape[1] != state_spec.size:
        raise DataError(f"the demonstrations have states of {windows.states.shape[1]} values, not {state_spec.size}")
    scale, active = config.scale, list(action_spec.active)
    if not active:
        raise DataError("no action is active: there is nothing to learn")
    floor = scale.floor * state_spec.scale
    return (
        Normaliser.fit(windows.states, floor, clip=scale.clip, outliers=scale.outliers),
        Normaliser.fit(windows.actions[:, active], scale.floor),
    )


def _data(
    config: BaseConfig,
    demos: Sequence[Demonstration],
    states: Normaliser,
    actions: Normaliser,
    action_spec: ActionSpec,
    device: str,
) -> _Data:
    windows = make_windows(demos, config.observations, config.horizon, cameras=config.sight.cameras)
    if windows.states.shape[1] != len(states.center):
        raise DataError(f"held-out states have {windows.states.shape[1]} values, the others {len(states.center)}")
    return _Data(
        torch.from_numpy(states.normalise(windows.states)).to(device),
        torch.from_numpy(actions.normalise(windows.actions[:, list(action_spec.active)])).to(device),
        {name: torch.from_numpy(pictures).to(device) for name, pictures in windows.images.items()},
        windows,
    )


def _shape(demo: Demonstration, camera: str) -> tuple[int, int, int]:
    if camera not in demo.images:
        there = ", ".join(demo.images) or "none"
        raise ConfigError(f"the demonstrations have no pictures of camera {camera!r}; there are {there}")
    height, width, colours = demo.images[camera].shape[1:]
    return int(height), int(width), int(colours)


def _bind(
    snapshot: Callable[[int, float, float | None], TrainedBase], step: int, loss: float, held: float | None
) -> Callable[[], TrainedBase]:
    return lambda: snapshot(step, loss, held)
