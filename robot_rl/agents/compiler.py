"""Compiler settings of the update call, tried before they are used."""

from __future__ import annotations

import logging
from functools import cache

import jax

from robot_rl.core.specs import ViewSpec

CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""Matrix products by XLA's default library alone: its alternative one is slower on the shapes of a critic ensemble."""

log = logging.getLogger(__name__)


@cache
def compiler_options() -> dict[str, str]:
    """Options for `jax.jit`: `CPU_OPTIONS` on a CPU whose compiler knows them, otherwise none.

    Passed per call and not through the environment, so that neither the order of imports nor other users of JAX in the
    process matter, and an option unknown to another version of the compiler costs speed and nothing else.
    """
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x + 1.0, compiler_options=CPU_OPTIONS)(0.0)
    except (RuntimeError, ValueError) as e:
        log.warning("this XLA does not take %s (%s); updates run at its defaults", CPU_OPTIONS, e)
        return {}
    return dict(CPU_OPTIONS)


def unrolled(views: ViewSpec) -> bool:
    """Whether to write the steps of a group one after the other instead of as a loop.

    On CPUs XLA computes a convolution inside a loop more than ten times slower than the same one outside.
    """
    return bool(views.shapes) and not views.encoder and jax.default_backend() == "cpu"
