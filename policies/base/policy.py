"""A trained base policy ready to be asked: `robot_rl.core.base.BasePolicy` in torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32, Image
from robot_rl.policies.base.checkpoint import TrainedBase
from robot_rl.policies.base.model import BaseModel


class TorchBase:
    """Proposes chunks of actions.

    How many threads torch uses is left as it is: small networks are fastest with one, ``torch.set_num_threads(1)``.

    Args:
        trained: what `robot_rl.policies.base.checkpoint.load_base` gives.
        device: of torch, on which it computes.
        goal: state ``float32[n]`` in its units that it is to reach; only for a base trained with goals. None: it does
            what the demonstrations did.

    Raises:
        DataError: the weights do not fit the configuration, or the goal the base.
        ConfigError: the device does not exist here.

    Example:
        >>> base = TorchBase(load_base(Path("runs/base/PegInsert/x/checkpoints/010000")))
        >>> chunk = base.propose([obs], rng.standard_normal((1, *base.info.noise_shape), np.float32))[0]
    """

    def __init__(self, trained: TrainedBase, device: str = "cpu", goal: Float32 | None = None) -> None:
        self._trained = trained
        self._info = _with_goal(trained, goal)
        self._model: BaseModel | None = _load(trained, device)
        self._device = torch.device(device)
        self._goal = None if goal is None else self._tensor(trained.states.normalise(goal))

    @property
    def info(self) -> BaseInfo:
        """What it is."""
        return self._info

    @property
    def trained(self) -> TrainedBase:
        """Weights, layouts and configuration."""
        return self._trained

    def towards(self, goal: Float32 | None) -> TorchBase:
        """The same policy with another goal ``float32[n]``, or none; another base, with a checksum of its own.

        Raises:
            DataError: the base was not trained with goals, or the goal is not finite or of another length.
        """
        return TorchBase(self._trained, str(self._device), goal)

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        """See `robot_rl.core.base.BasePolicy.propose`."""
        wanted = self._trained.config.observations
        if len(seen) != wanted:
            raise DataError(f"the base looks at the newest {wanted} observations, got {len(seen)}")
        for obs in seen:
            if obs.state.shape != (self._trained.state_spec.size,):
                raise DataError(
                    f"the state has shape {obs.state.shape}, the base expects ({self._trained.state_spec.size},)"
                )
        states = np.stack([obs.state for obs in seen])[None]
        images = {
            name: np.stack([_picture(obs, name, size) for obs in seen])[None]
            for name, size in self._trained.cameras.items()
        }
        return self._decode(states, images, noise, repeat=True)

    def propose_many(self, states: Float32, noise: Float32, images: Mapping[str, Image] | None = None) -> Float32:
        """One proposal for each of several situations, as of many simulated cells at once.

        Args:
            states: newest observations of each, oldest first ``float32[B, T_o, n]``.
            noise: of each ``float32[B, *noise_shape]``.
            images: by camera ``uint8[B, T_o, H, W, 3]``.

        Returns:
            ``float32[B, T_p, 7]`` in [-1, 1]: what `propose` gives for each alone, but for the last bits.

        Raises:
            DataError: as `propose`.
        """
        expected = (self._trained.config.observations, self._trained.state_spec.size)
        if states.ndim != 3 or states.shape[1:] != expected or len(noise) != len(states):
            raise DataError(
                f"got states {states.shape} and noise {noise.shape}, expected [B, {expected[0]}, {expected[1]}] and B"
            )
        return self._decode(states, images or {}, noise, repeat=False)

    def close(self) -> None:
        """Free the weights. May be called twice."""
        self._model = None

    def _decode(self, states: Float32, images: Mapping[str, Image], noise: Float32, *, repeat: bool) -> Float32:
        model = self._model
        if model is None:
            raise DataError("this base is closed: open it again")
        self._check(states, images, noise)
        trained = self._trained
        count = len(noise)
        if trained.config.objective == "regression":
            noise = np.zeros((count, trained.config.horizon, len(trained.action_spec.active)), np.float32)
        with torch.inference_mode():
            x = self._tensor(trained.states.normalise(states.astype(np.float32, copy=False)))
            pictures = {name: self._tensor(images[name]) for name in trained.cameras}
            goal = None if self._goal is None else self._goal.expand(len(x), -1)
            condition = model.condition(x, pictures, goal)
            blank = None
            if self._guides(goal):
                blank = model.condition(x, pictures, goal, torch.zeros_like(x[:, 0, 0]))
            if repeat:
                condition = condition.expand(count, -1)
                blank = None if blank is None else blank.expand(count, -1)
            chunk = model.decode(condition, self._tensor(noise), blank).cpu().numpy()
        out = np.zeros((count, trained.config.horizon, ACTION_SIZE), np.float32)
        out[..., trained.action_spec.active] = trained.actions.restore(chunk.clip(-1.0, 1.0)).clip(-1.0, 1.0)
        return out

    def _guides(self, goal: Tensor | None) -> bool:
        on = self._trained.config.guidance.on
        return on == "observation" or (on == "goal" and goal is not None)

    def _check(self, states: Float32, images: Mapping[str, Image], noise: Float32) -> None:
        shape = self._trained.noise_shape
        if noise.shape[1:] != shape or noise.ndim != 3 or not len(noise):
            raise DataError(f"the noise has shape {noise.shape}, the base expects [n, {shape[0]}, {shape[1]}]")
        if not np.isfinite(noise).all():
            raise DataError("the noise is not finite")
        if not np.isfinite(states).all():
            wrong = np.flatnonzero(~np.isfinite(states).reshape(-1, states.shape[-1]).all(0)).tolist()
            raise DataError(f"the state is not finite at indices {wrong}")
        for name, size in self._trained.cameras.items():
            expected = (len(states), self._trained.config.observations, *size)
            got = images.get(name)
            if got is None:
                raise DataError(f"the base looks at camera {name!r}, of which there is no picture")
            if got.shape != expected or got.dtype != np.uint8:
                raise DataError(
                    f"pictures of {name!r} are {got.dtype}{list(got.shape)}, expected uint8{list(expected)}"
                )

    def _tensor(self, array: Float32 | Image) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _picture(obs: Observation, camera: str, size: tuple[int, int, int]) -> Image:
    if camera not in obs.images:
        there = ", ".join(sorted(obs.images)) or "none"
        raise DataError(f"the base looks at camera {camera!r}, the observation holds pictures of {there}")
    image = obs.images[camera]
    if image.shape != size or image.dtype != np.uint8:
        raise DataError(f"the picture of {camera!r} is {image.dtype}{list(image.shape)}, expected uint8{list(size)}")
    return image


def _with_goal(trained: TrainedBase, goal: Float32 | None) -> BaseInfo:
    info = trained.info
    if goal is None:
        return info
    if trained.config.guidance.on != "goal":
        raise DataError(f"the base {trained.name!r} was not trained with goals: train one with guidance.on goal")
    if goal.shape != (trained.state_spec.size,) or not np.isfinite(goal).all():
        raise DataError(f"a goal of shape {goal.shape}, expected {trained.state_spec.size} finite values of a state")
    digest = hashlib.sha256(info.checksum.encode() + goal.astype("<f4").tobytes())
    return replace(info, checksum=digest.hexdigest()[:16])


def _load(trained: TrainedBase, device: str) -> BaseModel:
    size = trained.state_spec.size
    # the weights that it begins with are replaced: nobody else's random numbers are to change for them
    with torch.random.fork_rng(devices=[]):
        model = BaseModel(trained.config, size, len(trained.action_spec.active), trained.cameras)
    try:
        model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in trained.weights.items()})
    except RuntimeError as e:
        raise DataError(f"the weights of the base {trained.name!r} do not fit its configuration: {e}") from e
    try:
        return model.to(device).eval().requires_grad_(False)
    except (RuntimeError, AssertionError) as e:
        raise ConfigError(f"torch cannot compute on {device!r} here: {str(e).splitlines()[0]}") from e
