"""Score model preconditioned as in EDM (Karras et al. 2022, 2206.00364, table 1) and BESO (2304.02532)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from robot_rl.policies.base.config import BaseConfig, EdmConfig
from robot_rl.policies.base.regression import Predict


def preconditioning(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    """Factors of the noisy actions, of the network's output and of its input, of the shape of `sigma`.

    ``c_skip = sd^2 / (s^2 + sd^2)``, ``c_out = s sd / sqrt(s^2 + sd^2)``, ``c_in = 1 / sqrt(s^2 + sd^2)``.
    """
    total = sigma.square() + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / total.sqrt(), total.rsqrt()


def level(sigma: Tensor) -> Tensor:
    """What the network is told of the noise: ``ln(sigma) / 4``."""
    return sigma.log() / 4.0


def training_sigma(uniform: Tensor, config: EdmConfig) -> Tensor:
    """Noise levels of a log-logistic distribution cut to ``[sigma_min, sigma_max]``, by the inverse of its function.

    Args:
        uniform: in [0, 1).
        config: median, spread and limits.
    """
    center = math.log(config.sigma_median)
    low, high = (
        1.0 / (1.0 + math.exp((center - math.log(s)) / config.sigma_spread))
        for s in (config.sigma_min, config.sigma_max)
    )
    share = uniform.double() * (high - low) + low
    sigma = torch.exp(torch.logit(share) * config.sigma_spread + center)
    return sigma.clamp(config.sigma_min, config.sigma_max).to(uniform.dtype)


def schedule(config: EdmConfig) -> list[float]:
    """Noise levels while sampling: `steps` falling ones from sigma_max to sigma_min, then 0.

    Evenly spaced logarithms as BESO has them, or ``(max^(1/rho) + i/(n-1) (min^(1/rho) - max^(1/rho)))^rho``.
    """
    n, low, high = config.steps, config.sigma_min, config.sigma_max
    if n == 1:
        return [high, 0.0]
    shares = [i / (n - 1) for i in range(n)]
    if config.schedule == "exponential":
        return [high * (low / high) ** share for share in shares] + [0.0]
    a, b = high ** (1.0 / config.rho), low ** (1.0 / config.rho)
    return [(a + share * (b - a)) ** config.rho for share in shares] + [0.0]


def denoised(predict: Predict, x: Tensor, sigma: Tensor, sigma_data: float) -> Tensor:
    """``D(x; s) = c_skip x + c_out F(c_in x, s)``: the actions that the noisy ones ``[B, T_p, d]`` were made from.

    Args:
        predict: F.
        x: noisy actions.
        sigma: noise level of each ``[B]``.
        sigma_data: assumed standard deviation of the actions.
    """
    skip, out, into = preconditioning(sigma[:, None, None], sigma_data)
    return skip * x + out * predict(into * x, level(sigma))


def errors(predict: Predict, actions: Tensor, noise: Tensor, uniform: Tensor, config: BaseConfig) -> Tensor:
    """``|F(c_in (a + s n)) - (a - c_skip (a + s n)) / c_out|^2``, one value for each of the actions' ``[B, T_p, d]``.

    Args:
        predict: F.
        actions: normalised ``[B, T_p, d]``.
        noise: standard normal, of the same shape.
        uniform: in [0, 1) ``[B]``, chooses the noise levels.
        config: of the policy.
    """
    sigma = training_sigma(uniform, config.edm)
    skip, out, into = preconditioning(sigma[:, None, None], config.edm.sigma_data)
    noisy = actions + sigma[:, None, None] * noise
    return (predict(into * noisy, level(sigma)) - (actions - skip * noisy) / out).square()


def sample(predict: Predict, noise: Tensor, config: BaseConfig) -> Tensor:
    """Actions from noise by DDIM, ``x <- (s'/s) x + (1 - s'/s) D(x; s)``, which is Euler's method on equation 3 of EDM.

    Args:
        predict: F.
        noise: standard normal ``[B, T_p, d]``.
        config: of the policy.
    """
    sigmas = schedule(config.edm)
    x = noise * sigmas[0]
    for now, then in pairwise(sigmas):
        guess = denoised(predict, x, torch.full_like(noise[:, 0, 0], now), config.edm.sigma_data)
        x = (then / now) * x + (1.0 - then / now) * guess
    return x
