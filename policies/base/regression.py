"""Behaviour cloning by regression: the mean of the demonstrated actions, and no noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from robot_rl.policies.base.config import BaseConfig

Predict = Callable[[Tensor, Tensor], Tensor]
"""The network with its condition: noisy actions ``[B, T_p, d]`` and noise levels ``[B]`` to numbers ``[B, T_p, d]``."""


def errors(predict: Predict, actions: Tensor, noise: Tensor, uniform: Tensor, config: BaseConfig) -> Tensor:
    """Squared errors ``[B, T_p, d]`` of the predicted actions.

    Args:
        predict: the network; it is shown zeros for noisy actions.
        actions: normalised ``[B, T_p, d]``.
        noise: not used.
        uniform: not used.
        config: not used.
    """
    return (predict(torch.zeros_like(actions), torch.zeros_like(uniform)) - actions).square()


def sample(predict: Predict, noise: Tensor, config: BaseConfig) -> Tensor:
    """The predicted actions ``[B, T_p, d]``.

    Args:
        predict: the network.
        noise: only its shape ``[B, T_p, d]`` counts.
        config: not used.
    """
    return predict(torch.zeros_like(noise), torch.zeros_like(noise[:, 0, 0]))
