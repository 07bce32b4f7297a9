"""Settings that every test runs under."""

from __future__ import annotations

import functools
import os
from pathlib import Path

# Tests run two at a time on small machines: one thread each is faster than four that fight, and JAX must not
# look for an accelerator. Set before anything imports numpy or jax.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling the agents takes most of the time of a first run; later runs and sub-processes find the result on disk.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

import robot_rl  # noqa: E402, F401  (chooses the OpenGL backend, which must happen before any test imports mujoco)

# Compilation makes the first example slow, so no deadline; derandomised, so that a red run can be repeated.
settings.register_profile(
    "default", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@functools.cache
def no_opengl() -> str:
    """Why this machine cannot render, or nothing when it can."""
    from robot_rl.controllers.impedance import ImpedanceParams
    from robot_rl.core.errors import DeviceError
    from robot_rl.hardware.mujoco.devices import make_sim_cell

    cell, _ = make_sim_cell((), ImpedanceParams(), ("side",), (8, 8))
    try:
        cell.cameras["side"].read()
    except DeviceError as e:
        return str(e)
    finally:
        cell.close()
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what renders on a machine without off-screen OpenGL, and say what to install."""
    rendering = [i for i in items if i.get_closest_marker("gl")]
    if rendering and (why := no_opengl()):
        for item in rendering:
            item.add_marker(pytest.mark.skip(reason=why))
