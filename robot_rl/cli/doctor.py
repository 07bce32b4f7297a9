"""``robot-rl doctor``: what a bug report needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from robot_rl.cli.arguments import parse

_RENDER = """
import os
os.environ["MUJOCO_GL"] = {backend!r}
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(data)
renderer.render()
"""


@dataclass(frozen=True)
class DoctorArguments:
    """Print versions, machine, graphics and learning back end."""


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    parse(DoctorArguments, argv, verb="doctor")
    from robot_rl.runtime.run_folder import machine, versions

    for name, value in {**versions(), **machine()}.items():
        print(f"{name:12} {value}")
    print(f"{'disk':12} {shutil.disk_usage('.').free / 2**30:.1f} GiB free here")
    print(f"{'jax':12} {_jax()}")
    for backend in ("egl", "osmesa"):
        print(f"{'render':12} {backend}: {_render(backend)}")
    return 0


def _jax() -> str:
    code = "import jax; print(jax.default_backend(), jax.devices())"
    return _try(code)


def _render(backend: str) -> str:
    answer = _try(_RENDER.format(backend=backend))
    return "works" if answer == "" else f"{answer} (videos need libegl1 with libgl1-mesa-dri, or libosmesa6)"


def _try(code: str) -> str:
    """Run a snippet in a process of its own, because broken drivers may take the process down."""
    env = {**os.environ, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "")}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env, check=False
        )
    except subprocess.TimeoutExpired:
        return "no answer within 60 s"
    if done.returncode == 0:
        return done.stdout.strip()
    lines = [
        line for line in done.stderr.strip().splitlines() if line and not line.startswith((" ", "Exception ignored"))
    ]
    return f"failed: {lines[-1] if lines else f'exit code {done.returncode}'}"
