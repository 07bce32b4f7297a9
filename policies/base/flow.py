"""Straight flow from noise to actions (Liu et al. 2023, 2209.03003; for policies FQL, 2502.02538, equation 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from robot_rl.policies.base.config import BaseConfig
from robot_rl.policies.base.regression import Predict


def errors(predict: Predict, actions: Tensor, noise: Tensor, uniform: Tensor, config: BaseConfig) -> Tensor:
    """``|f((1 - u) z + u a, u) - (a - z)|^2``, one value for each of the actions' ``[B, T_p, d]``.

    Args:
        predict: f.
        actions: normalised ``[B, T_p, d]``.
        noise: z, standard normal, of the same shape.
        uniform: u in [0, 1) ``[B]``.
        config: not used.
    """
    u = uniform[:, None, None]
    return (predict((1.0 - u) * noise + u * actions, uniform) - (actions - noise)).square()


def sample(predict: Predict, noise: Tensor, config: BaseConfig) -> Tensor:
    """Actions from noise ``[B, T_p, d]`` by steps of Euler's method of equal length."""
    steps, x = config.flow.steps, noise
    for i in range(steps):
        x = x + predict(x, torch.full_like(noise[:, 0, 0], i / steps)) / steps
    return x
