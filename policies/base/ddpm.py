"""Prediction of the noise on a cosine schedule, as Diffusion Policy has it (2303.04137; Ho et al. 2020, 2006.11239)."""

from __future__ import annotations

import hashlib
import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from robot_rl.core.types import Float32
from robot_rl.policies.base.config import BaseConfig
from robot_rl.policies.base.regression import Predict

GREATEST_BETA = 0.999


@cache
def remaining(levels: int) -> tuple[float, ...]:
    """``abar_k``, k = 0 .. levels - 1: share of the actions' variance left at each noise level.

    ``abar(t) = cos^2(pi/2 (t + 0.008) / 1.008)`` with steps cut at beta = 0.999 (Nichol and Dhariwal 2021, 2102.09672,
    equation 17).
    """

    def function(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2.0) ** 2

    out, product = [], 1.0
    for k in range(levels):
        beta = min(1.0 - function((k + 1) / levels) / function(k / levels), GREATEST_BETA)
        product *= 1.0 - beta
        out.append(product)
    return tuple(out)


def sampled_levels(levels: int, steps: int) -> list[int]:
    """Falling noise levels that DDIM visits, evenly spread from 0 and, as in Diffusion Policy, short of the last.

    There hardly anything is left of the actions, and a guess of them would be the quotient of two tiny numbers.
    """
    return [i * levels // steps for i in range(steps)][::-1]


def errors(predict: Predict, actions: Tensor, noise: Tensor, uniform: Tensor, config: BaseConfig) -> Tensor:
    """``|eps - eps_theta(sqrt(abar_k) a + sqrt(1 - abar_k) eps, k)|^2``, one value for each of ``[B, T_p, d]``.

    Args:
        predict: eps_theta.
        actions: normalised ``[B, T_p, d]``.
        noise: eps, standard normal, of the same shape.
        uniform: in [0, 1) ``[B]``, chooses k.
        config: of the policy.
    """
    levels = config.ddpm.levels
    k = (uniform * levels).long().clamp(max=levels - 1)
    left = torch.tensor(remaining(levels), dtype=actions.dtype, device=actions.device)[k][:, None, None]
    noisy = left.sqrt() * actions + (1.0 - left).sqrt() * noise
    return (predict(noisy, k.to(actions.dtype) / levels) - noise).square()


def sample(predict: Predict, noise: Tensor, config: BaseConfig) -> Tensor:
    """Actions from noise ``[B, T_p, d]``; the guess at each level is clipped to [-1, 1].

    With ``ddim`` the noise decides alone, and smoothly (eta = 0): what steers it needs this one. With ``ddpm`` the
    noise added at every level is `step_noise`, so that equal noise still gives equal actions, but near noise does not
    give near ones.
    """
    return _ddim(predict, noise, config) if config.ddpm.sampler == "ddim" else _ancestral(predict, noise, config)


def step_noise(noise: Float32, steps: int) -> Float32:
    """Standard normal ``[B, steps, T_p, d]`` that follows from noise ``[B, T_p, d]``, each row from its own bytes."""
    out = np.empty((len(noise), steps, *noise.shape[1:]), np.float32)
    for row, z in zip(out, noise, strict=True):
        seed = int.from_bytes(hashlib.sha256((z + np.float32(0.0)).astype("<f4").tobytes()).digest()[:16], "little")
        row[:] = np.random.Generator(np.random.Philox(seed)).standard_normal(row.shape, np.float32)
    return out


def _guess(predict: Predict, x: Tensor, k: int, left: float, levels: int) -> Tensor:
    """The actions that the noisy ones were made from, ``(x - sqrt(1 - abar) eps_theta) / sqrt(abar)``, clipped."""
    eps = predict(x, torch.full_like(x[:, 0, 0], k / levels))
    return ((x - math.sqrt(1.0 - left) * eps) / math.sqrt(left)).clamp(-1.0, 1.0)


def _ddim(predict: Predict, noise: Tensor, config: BaseConfig) -> Tensor:
    """Equation 12 of DDIM (2010.02502) with the noise that belongs to the clipped guess."""
    levels, x = config.ddpm.levels, noise
    lefts = remaining(levels)
    visited = sampled_levels(levels, config.ddpm.steps)
    for now, then in zip(visited, [*visited[1:], -1], strict=True):
        left, left_then = lefts[now], lefts[then] if then >= 0 else 1.0
        guess = _guess(predict, x, now, left, levels)
        eps = (x - math.sqrt(left) * guess) / math.sqrt(1.0 - left)
        x = math.sqrt(left_then) * guess + math.sqrt(1.0 - left_then) * eps
    return x


def _ancestral(predict: Predict, noise: Tensor, config: BaseConfig) -> Tensor:
    """Equations 6 and 7 of DDPM, with the posterior's variance."""
    levels, x = config.ddpm.levels, noise
    lefts = remaining(levels)
    further = torch.from_numpy(step_noise(noise.cpu().numpy(), levels - 1)).to(noise.device)
    for k in range(levels - 1, -1, -1):
        left, left_then = lefts[k], lefts[k - 1] if k else 1.0
        guess = _guess(predict, x, k, left, levels)
        alpha = left / left_then
        beta = 1.0 - alpha
        mean = math.sqrt(left_then) * beta / (1.0 - left) * guess
        mean = mean + math.sqrt(alpha) * (1.0 - left_then) / (1.0 - left) * x
        spread = math.sqrt(beta * (1.0 - left_then) / (1.0 - left))
        x = mean + spread * further[:, k - 1] if k else mean
    return x
