"""ROS 2 middleware, driver packages, graphics and the learner's device."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.environment import cell_environment
from robot_rl.runtime.doctor.finding import Finding, bad, ok, warn

TIMEOUT_S = 60.0
_RMW = "import rclpy; print(rclpy.get_rmw_implementation_identifier())"
_JAX = "import jax; print(jax.default_backend(), *jax.devices())"
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
EXTRAS = {"franky": ("franky", "franka"), "realsense": ("pyrealsense2", "realsense")}
EXTRAS["spacemouse"] = ("pyspacemouse", "spacemouse")


def check_rmw(config: CellConfig) -> Finding:
    """Which middleware the nodes would use, in the cell's own environment."""
    done, text = try_python(_RMW, cell_environment(config))
    if not done:
        return bad("ROS 2", f"rclpy: {text}", "source a ROS 2 workspace, or pip install 'robot-rl[ros]' on x86_64")
    if config.network.reach == "environment" and text == "rmw_fastrtps_cpp" and config.robot.provider == "ros2_control":
        remedy = "install rmw_cyclonedds_cpp and set RMW_IMPLEMENTATION to it on every machine"
        return warn("ROS 2", f"{text} over the network beside a 1 kHz ros2_control loop is known to delay it", remedy)
    return ok("ROS 2", f"{text}, {config.network.reach}, domain {config.network.domain_id}")


def check_drivers(config: CellConfig) -> list[Finding]:
    """Whether the packages of the devices are installed."""
    wanted: set[str] = {config.robot.provider, config.gripper.provider, config.teleop.provider}
    wanted |= {camera.provider for camera in config.cameras.values()}
    found = []
    for provider in sorted(wanted & set(EXTRAS)):
        package, extra = EXTRAS[provider]
        if find_spec(package) is None:
            found.append(bad("drivers", f"the package {package} is missing", f"pip install 'robot-rl[{extra}]'"))
        else:
            found.append(ok("drivers", f"{package} is installed"))
    return found


def check_gpu() -> Finding:
    """What the learner would run on here."""
    done, text = try_python(_JAX)
    if not done:
        return warn("learner", f"JAX: {text}", "fine on a robot PC whose learner is elsewhere; else install jax")
    if text.startswith("cpu"):
        remedy = "fine for state observations; for pictures pip install 'jax[cuda12]', or learn on another machine"
        return warn("learner", f"JAX computes on {text}", remedy)
    return ok("learner", f"JAX computes on {text}")


def check_graphics(config: CellConfig) -> list[Finding]:
    """Whether simulated cameras can render."""
    if not any(camera.provider == "sim" for camera in config.cameras.values()):
        return []
    answers = {backend: render(backend) for backend in ("egl", "osmesa")}
    if "works" in answers.values():
        return [ok("graphics", ", ".join(f"{k}: {v}" for k, v in answers.items()))]
    return [bad("graphics", answers["egl"], "install libegl1 with libgl1-mesa-dri, or libosmesa6")]


def render(backend: str) -> str:
    """``works``, or why off-screen rendering does not."""
    done, text = try_python(_RENDER.format(backend=backend))
    return "works" if done else text


def try_python(code: str, env: dict[str, str] | None = None) -> tuple[bool, str]:
    """Run a snippet in a process of its own, because broken drivers may take the process down.

    Returns:
        Whether it ended well, and what it printed or why not.
    """
    whole = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, env=whole, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {TIMEOUT_S:g} s"
    if done.returncode == 0:
        return True, done.stdout.strip()
    lines = [x for x in done.stderr.strip().splitlines() if x and not x.startswith((" ", "Exception ignored"))]
    return False, f"failed: {lines[-1] if lines else f'exit code {done.returncode}'}"
