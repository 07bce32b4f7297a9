"""Perceptrons in numpy, read from named arrays: what the robot's computer evaluates, where no JAX is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.types import Float32

LAYER_NORM_EPSILON = np.float32(1e-6)


class Layer(NamedTuple):
    """One affine layer.

    Attributes:
        weights: ``[out, in]``.
        bias: ``[out]``.
        gain: of the LayerNorm after it ``[out]``, or None without one.
        shift: likewise.
    """

    weights: Float32
    bias: Float32
    gain: Float32 | None = None
    shift: Float32 | None = None


def forward(layers: tuple[Layer, ...], x: Float32, *, tanh: bool) -> Float32:
    """Evaluate a perceptron.

    Args:
        layers: as read by `read_layers`.
        x: one input ``[n]``, or several as columns ``[n, B]``.
        tanh: its activation, otherwise relu.

    Returns:
        ``[out]`` or ``[out, B]``.
    """

    def along(vector: Float32) -> Float32:
        return vector if x.ndim == 1 else vector[:, None]

    for layer in layers[:-1]:
        x = layer.weights @ x + along(layer.bias)
        if layer.gain is not None and layer.shift is not None:
            x = x - x.sum(axis=0) / np.float32(len(x))
            square = x @ x if x.ndim == 1 else np.square(x).sum(axis=0)
            x = x / np.sqrt(square / np.float32(len(x)) + LAYER_NORM_EPSILON) * along(layer.gain) + along(layer.shift)
        x = np.tanh(x) if tanh else np.maximum(x, np.float32(0.0))
    out: Float32 = layers[-1].weights @ x + along(layers[-1].bias)
    return out


def finite_array(name: str, value: npt.NDArray[Any]) -> Float32:
    """A float32 copy of a parameter.

    Raises:
        DataError: it is not finite.
    """
    array = np.array(value, np.float32)
    if not np.isfinite(array).all():
        raise DataError(f"policy parameter {name!r} is not finite")
    return array


def get_array(params: Mapping[str, Float32], name: str) -> Float32:
    """A parameter by name.

    Raises:
        DataError: it is not there; names those that are.
    """
    if name not in params:
        raise DataError(f"policy parameter {name!r} is missing, got {', '.join(sorted(params)) or 'none'}")
    return params[name]


def read_layers(params: Mapping[str, Float32], net: str, inputs: int, outputs: int) -> tuple[Layer, ...]:
    """The layers of one network in order, shapes checked from input to output."""
    hidden = sum(1 for name in params if re.fullmatch(rf"{net}/\d+/w", name))
    layers: list[Layer] = []
    for part in [*map(str, range(hidden)), "out"]:
        at = f"{net}/{part}"
        norm = params.get(f"{at}/gain"), params.get(f"{at}/shift")
        layer = Layer(get_array(params, f"{at}/w"), get_array(params, f"{at}/b"), *norm)
        width = outputs if part == "out" else layer.bias.size
        if layer.weights.shape != (width, inputs):
            raise DataError(f"policy parameter '{at}/w' has shape {layer.weights.shape}, expected {(width, inputs)}")
        for vector in layer[1:]:
            if vector is not None and vector.shape != (width,):
                raise DataError(f"a vector of policy layer {at!r} has shape {vector.shape}, expected {(width,)}")
        layers.append(layer)
        inputs = width
    return tuple(layers)
