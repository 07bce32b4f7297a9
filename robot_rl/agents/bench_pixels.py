"""How fast updates are that see two cameras, against the same update with its frozen encoder inside the step.

The unit is two critic steps on minibatches of 32 and one actor step, with the networks of ``hil_serl_compat``. The
contender reads stored features of 4 x 4 x 512. The yardstick does the same update on the same rows and computes those
features in every step from pictures of 128 x 128 by a frozen ResNet-10, as published implementations do (arXiv
2401.16013, 2410.21845): 256 pictures an update. Its weights are random, which costs the same.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from robot_rl.agents import sac
from robot_rl.agents.bench import ACTION, STATE, Round, interleaved, time_row, timed
from robot_rl.agents.compiler import compiler_options
from robot_rl.agents.config import PRESETS, SacConfig
from robot_rl.agents.networks import Params
from robot_rl.core.specs import ACTION_SIZE, ViewSpec
from robot_rl.core.transition import Batch, ViewBatch

CAMERAS = ("side", "wrist")
STAGES = (64, 128, 256, 512)
GROUPS = 4
FEATURES = (4, 4, STAGES[-1])
SIDE_PX = 128
UPDATES = 8
"""In a round of those that are quick: the first one finds its weights in no cache, and would be all there is."""
PARITY = replace(PRESETS["hil_serl_compat"], batch_size=32)
SMALL = replace(PRESETS["laptop"], batch_size=32, utd=2)


def views_of(shape: tuple[int, int, int], encoder: str = "") -> ViewSpec:
    """Both cameras with views of one shape."""
    return ViewSpec(tuple((name, shape) for name in CAMERAS), encoder)


def random_batch(config: SacConfig, views: ViewSpec) -> ViewBatch:
    """A group of random rows with random views."""
    rng, lead = np.random.default_rng(0), (config.utd, config.batch_size)

    def floats(*shape: int) -> Any:
        return rng.standard_normal((*lead, *shape)).astype(np.float32)

    def seen() -> dict[str, Any]:
        if views.encoder:
            return {name: floats(*shape).astype(np.float16) for name, shape in views.shapes}
        return {name: rng.integers(0, 256, (*lead, *shape), np.uint8) for name, shape in views.shapes}

    reward = (floats() > 1.5).astype(np.float32)
    n = STATE.size
    rows = Batch(floats(n), np.tanh(floats(ACTION_SIZE)), reward, 0 * reward, 0.97 * (1 - reward), floats(n))
    return ViewBatch(rows, seen(), seen())


def init_resnet10(key: jax.Array) -> Params:
    """Random weights of a ResNet-10 without its last pooling: a stem and four stages of one block of two layers."""
    keys = iter(jax.random.split(key, 16))

    def layer(kernel: int, inputs: int, outputs: int) -> Params:
        scale = (2.0 / (kernel * kernel * inputs)) ** 0.5
        weights = jax.random.normal(next(keys), (kernel, kernel, inputs, outputs)) * scale
        return {"w": weights, "gain": jnp.ones(outputs), "shift": jnp.zeros(outputs)}

    params: Params = {"stem": layer(7, 3, STAGES[0])}
    inputs = STAGES[0]
    for i, width in enumerate(STAGES):
        params[f"{i}/0"], params[f"{i}/1"] = layer(3, inputs, width), layer(3, width, width)
        if width != inputs:
            params[f"{i}/skip"] = layer(1, inputs, width)
        inputs = width
    return params


def resnet10(params: Params, pictures: jax.Array) -> Any:
    """Features ``float16[B, h / 32, w / 32, 512]`` of pictures ``uint8[B, h, w, 3]`` (He et al. 2016, GroupNorm)."""

    def layer(name: str, x: jax.Array, stride: int = 1) -> Any:
        at = params[name]
        y = jax.lax.conv_general_dilated(
            x, at["w"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        grouped = y.reshape(*y.shape[:3], GROUPS, -1)
        centred = grouped - grouped.mean(axis=(1, 2, 4), keepdims=True)
        scaled = centred * jax.lax.rsqrt(jnp.square(centred).mean(axis=(1, 2, 4), keepdims=True) + 1e-5)
        return scaled.reshape(y.shape) * at["gain"] + at["shift"]

    x = jax.nn.relu(layer("stem", pictures.astype(jnp.float32) / 127.5 - 1.0, 2))
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    for i in range(len(STAGES)):
        stride = 1 if i == 0 else 2
        y = layer(f"{i}/1", jax.nn.relu(layer(f"{i}/0", x, stride)))
        skip = layer(f"{i}/skip", x, stride) if f"{i}/skip" in params else x
        x = jax.nn.relu(y + skip)
    return x.astype(jnp.float16)


def _round(config: SacConfig, views: ViewSpec, *, inside: bool = False) -> Round:
    """Updates on views, one after the other as in training; with `inside` one, which computes the features itself."""
    update: Any = sac.make_update(config, STATE, ACTION, views)
    batch = random_batch(config, views)
    if inside:
        batch = random_batch(config, views_of((SIDE_PX, SIDE_PX, 3)))
        frozen = init_resnet10(jax.random.PRNGKey(0))
        within = update.__wrapped__  # a call inside a compiled one takes no compiler options

        def features(pictures: jax.Array) -> Any:
            flat = resnet10(frozen, pictures.reshape(-1, *pictures.shape[2:]))
            return flat.reshape(*pictures.shape[:2], *flat.shape[1:])

        @partial(jax.jit, donate_argnums=0, compiler_options=compiler_options())
        def update(state: Any, given: Any) -> Any:
            seen, after = ({k: features(jnp.asarray(v)) for k, v in views.items()} for views in given[1:])
            return within(state, ViewBatch(given.batch, seen, after))

    state, times = [sac.init(config, STATE, ACTION, 0, views)], 1 if inside else UPDATES

    def work() -> Any:
        for _ in range(times):
            state[0], info = update(state[0], batch)
        return state[0], info

    return lambda: {name: value / times for name, value in timed(work).items()}


def pixel_rows(rounds: int = 5) -> list[dict[str, Any]]:
    """Run all contestants in turn, `rounds` times, after one round each that compiles.

    Returns:
        One row for each: ``name cpu_ms_min cpu_ms_median wall_ms_min wall_ms_median`` and
        ``speed_against_encoder_inside``, the ratio of CPU minima to the yardstick's.
    """
    features = views_of(FEATURES, "ResNet-10")
    yardstick = "frozen ResNet-10 inside the step, 128 px"
    contestants = {
        yardstick: _round(PARITY, features, inside=True),
        "stored features 4x4x512": _round(PARITY, features),
        "small network on pictures, 64 px": _round(SMALL, views_of((64, 64, 3))),
        "small network on pictures, 128 px": _round(SMALL, views_of((SIDE_PX, SIDE_PX, 3))),
    }
    rows = [time_row(name, times) for name, times in interleaved(contestants, rounds).items()]
    for row in rows:
        row["speed_against_encoder_inside"] = rows[0]["cpu_ms_min"] / row["cpu_ms_min"]
    return rows
