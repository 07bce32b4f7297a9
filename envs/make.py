"""Environments by name: on the simulated cell here, on other cells by passing their devices to `CellEnv`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import gymnasium as gym
import numpy as np

from robot_rl.core.imperfections import Imperfections, read_imperfections
from robot_rl.core.types import Image
from robot_rl.envs.cell_env import CellEnv, EnvOptions
from robot_rl.envs.experts import CorrectorStyle, ExpertStyle, ScriptedCorrector, ScriptedExpert
from robot_rl.envs.tasks import TASKS, check_options, make_task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.cell import MujocoCell
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.hardware.mujoco.render import Renderer

ENV_OPTIONS = frozenset(f.name for f in fields(EnvOptions))


class CellView:
    """Pictures of the simulated cell for videos and `render()`."""

    def __init__(self, sim: MujocoCell, camera: str, size: tuple[int, int], *, beautiful: bool) -> None:
        self._sim, self._camera = sim, camera
        self._renderer = Renderer(sim.model, *size, beautiful=beautiful)

    def render(self) -> Image:
        """The cell now."""
        return self._renderer.render(self._sim.data, self._camera)

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()


def make_env(
    task: str,
    *,
    cameras: tuple[str, ...] = (),
    image_size: tuple[int, int] = (128, 128),
    render_mode: str | None = None,
    render_camera: str = "overview",
    render_size: tuple[int, int] = (480, 640),
    render_shadows: bool = True,
    imperfections: Imperfections | Mapping[str, Any] | str = "none",
    **options: Any,
) -> CellEnv:
    """A task on the simulated cell.

    Args:
        task: see `robot_rl.envs.task_names`.
        cameras: pictures in the observation: any of ``wrist``, ``side``, ``overview``.
        image_size: (height, width) of these.
        render_mode: ``rgb_array`` to make `render()` answer pictures.
        render_camera: which camera `render()` shows.
        render_size: (height, width) of these pictures.
        render_shadows: shadows and anti-aliasing in these pictures.
        imperfections: latency, loss and noise of the devices: a preset's name, the settings, or their fields.
        options: fields of the task and of `EnvOptions`.

    Raises:
        ConfigError: unknown task, option or preset.
        DeviceError: unknown camera.
    """
    run_options = {k: v for k, v in options.items() if k in ENV_OPTIONS}
    check_options("the environment", EnvOptions, run_options)
    env_options = EnvOptions(**run_options)
    built = make_task(task, **{k: v for k, v in options.items() if k not in ENV_OPTIONS})
    cell, sim = make_sim_cell(built.objects, built.impedance, cameras, image_size)
    view = CellView(sim, render_camera, render_size, beautiful=render_shadows) if render_mode == "rgb_array" else None
    return CellEnv(imperfect_cell(cell, read_imperfections(imperfections)), built, env_options, view)


def make_expert(env: CellEnv, rng: np.random.Generator, style: ExpertStyle | None = None) -> ScriptedExpert:
    """The scripted demonstrator for an environment."""
    return ScriptedExpert(env, rng, style)


def make_corrector(env: CellEnv, rng: np.random.Generator, style: CorrectorStyle | None = None) -> ScriptedCorrector:
    """The scripted stand-in for a person who watches and corrects."""
    return ScriptedCorrector(env, rng, style)


def register_envs() -> None:
    """Make every task known to gymnasium as ``robot_rl/<Task>-v0``."""
    for name in TASKS:
        env_id = f"robot_rl/{name}-v0"
        if env_id not in gym.registry:
            gym.register(env_id, entry_point="robot_rl.envs.make:make_env", kwargs={"task": name})


register_envs()
