"""The network of a base policy with everything around it that is learned: condition, errors to train on, decoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from robot_rl.core.errors import ConfigError
from robot_rl.policies.base import ddpm, edm, flow, regression
from robot_rl.policies.base.config import BaseConfig
from robot_rl.policies.base.networks import make_network
from robot_rl.policies.base.regression import Predict
from robot_rl.policies.base.vision import Eye


class Objective(NamedTuple):
    """What a network learns and how actions come of it.

    Attributes:
        errors: of predictions, to be averaged: ``(predict, actions, noise, uniform, config) -> [B, T_p, d]``.
        sample: ``(predict, noise, config) -> [B, T_p, d]``.
    """

    errors: Callable[[Predict, Tensor, Tensor, Tensor, BaseConfig], Tensor]
    sample: Callable[[Predict, Tensor, BaseConfig], Tensor]


OBJECTIVES = {
    "regression": Objective(regression.errors, regression.sample),
    "edm": Objective(edm.errors, edm.sample),
    "ddpm": Objective(ddpm.errors, ddpm.sample),
    "flow": Objective(flow.errors, flow.sample),
}


class BaseModel(nn.Module):
    """Normalised observations to normalised actions.

    Args:
        config: of the policy.
        states: n, values of a state.
        actions: d, values of an action that are modelled.
        cameras: ``(h, w, 3)`` of the pictures of each camera in the configuration.

    Attributes:
        median: of the normalised states that are learnt from ``[n]``, around which they are magnified; part of the
            weights.

    Raises:
        ConfigError: a camera of the configuration has no pictures.
    """

    median: Tensor

    def __init__(
        self, config: BaseConfig, states: int, actions: int, cameras: Mapping[str, tuple[int, int, int]]
    ) -> None:
        super().__init__()
        absent = [name for name in config.sight.cameras if name not in cameras]
        if absent:
            raise ConfigError(f"there are no pictures of {', '.join(absent)}; there are {', '.join(cameras) or 'none'}")
        self.config = config
        self.objective = OBJECTIVES[config.objective]
        self.goals, self.guided = config.guidance.on == "goal", config.guidance.on != "nothing"
        # not by name: a camera may have one that torch refuses
        self.eyes = nn.ModuleList(Eye(config.sight, cameras[name][:2]) for name in config.sight.cameras)
        self.register_buffer("median", torch.zeros(states))
        shown = states * (1 + len(config.scale.magnify))
        each = shown + config.sight.features * len(self.eyes)
        size = config.observations * each + shown * self.goals + self.guided
        self.network = make_network(config, actions, size)

    def condition(
        self,
        states: Tensor,
        images: Mapping[str, Tensor] | None = None,
        goal: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """What the network is told of one or more situations, ``[B, C]``.

        Args:
            states: normalised ``[B, T_o, n]``.
            images: by camera ``uint8[B, T_o, H, W, 3]``.
            goal: normalised ``[B, n]``; None is the same as `keep` 0.
            keep: 1 where what guides is there, 0 where it is left out ``[B]``; None: everywhere if it was given.
        """
        batch = len(states)
        parts = [self._magnified(states).flatten(1)]
        for eye, name in zip(self.eyes, self.config.sight.cameras, strict=True):
            pictures = (images or {})[name]
            parts.append(eye(pictures.flatten(0, 1)).reshape(batch, -1))
        told = torch.cat(parts, 1)
        if not self.guided:
            return told
        if keep is None:
            keep = states.new_full((batch,), float(goal is not None or not self.goals))
        if not self.goals:
            return torch.cat([told * keep[:, None], keep[:, None]], 1)
        if goal is None:
            goal = torch.zeros_like(states[:, 0])
        return torch.cat([told, self._magnified(goal) * keep[:, None], keep[:, None]], 1)

    def _magnified(self, states: Tensor) -> Tensor:
        """Normalised states ``[..., n]`` at every scale that `ScaleConfig.magnify` names."""
        off = states - self.median
        return torch.cat([states, *(torch.tanh(m * off) for m in self.config.scale.magnify)], -1)

    def errors(self, condition: Tensor, actions: Tensor, noise: Tensor, uniform: Tensor) -> Tensor:
        """Squared errors ``[B, T_p, d]``.

        Args:
            condition: ``[B, C]``.
            actions: normalised ``[B, T_p, d]``.
            noise: standard normal, of the same shape.
            uniform: in [0, 1) ``[B]``.
        """

        def predict(x: Tensor, level: Tensor) -> Tensor:
            out: Tensor = self.network(x, level, condition)
            return out

        return self.objective.errors(predict, actions, noise, uniform, self.config)

    def decode(self, condition: Tensor, noise: Tensor, blank: Tensor | None = None) -> Tensor:
        """Normalised actions ``[B, T_p, d]``.

        With a blank condition the network's outputs are ``without + lambda (with - without)``. What the samplers make
        of an output is affine in it, so this is the same as guiding the guesses of the actions.

        Args:
            condition: ``[B, C]``.
            noise: standard normal ``[B, T_p, d]``.
            blank: the same situations with what guides left out, or None not to guide.
        """
        scale = self.config.guidance.scale
        if blank is None or scale == 1.0:
            told = condition
        elif scale == 0.0:
            told = blank
        else:
            told = torch.cat([blank, condition])

        def predict(x: Tensor, level: Tensor) -> Tensor:
            if len(told) == len(x):
                out: Tensor = self.network(x, level, told)
                return out
            without, given = self.network(torch.cat([x, x]), torch.cat([level, level]), told).chunk(2)
            guided: Tensor = without + scale * (given - without)
            return guided

        return self.objective.sample(predict, noise, self.config)
