"""Environments by name: on the simulation in this process, or on a cell that runs by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.crops import Crop, check_crops
from robot_rl.core.errors import ConfigError
from robot_rl.core.imperfections import Imperfections, read_imperfections
from robot_rl.core.protocols import Detector, RewardModel
from robot_rl.core.randomisation import Randomisation, read_randomisation
from robot_rl.core.types import Image
from robot_rl.envs.cell_env import CellEnv
from robot_rl.envs.experts import CorrectorStyle, ExpertStyle, ScriptedCorrector, ScriptedExpert
from robot_rl.envs.graph_cell import describe_cell, open_graph_cell
from robot_rl.envs.options import EnvOptions, split_options
from robot_rl.envs.tasks import TASKS, check_options, make_task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.cell import MujocoCell
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.hardware.mujoco.scene import CAMERAS

IMAGE_SIZE = (128, 128)


class CellView:
    """Pictures of the simulated cell for videos and `render()`."""

    def __init__(self, sim: MujocoCell, camera: str, size: tuple[int, int], *, beautiful: bool) -> None:
        self._sim, self._camera = sim, camera
        self._renderer = sim.renderer(*size, beautiful=beautiful)

    def render(self) -> Image:
        """The cell now."""
        return self._renderer.render(self._sim.data, self._camera)

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()


def make_env(
    task: str,
    *,
    cell: str | Path = IN_PROCESS,
    cameras: tuple[str, ...] = (),
    image_size: tuple[int, int] | None = None,
    render_mode: str | None = None,
    render_camera: str = "overview",
    render_size: tuple[int, int] = (480, 640),
    render_shadows: bool = True,
    imperfections: Imperfections | Mapping[str, Any] | str = "none",
    randomise: Randomisation | Mapping[str, Any] | str = "none",
    crops: Mapping[str, Sequence[int]] | None = None,
    detector: Detector | None = None,
    progress: RewardModel | None = None,
    **options: Any,
) -> CellEnv:
    """A task on a cell.

    Args:
        task: see `robot_rl.envs.task_names`.
        cell: ``sim`` for the simulation in this process, in lock-step; ``ros`` for the same as ROS 2 nodes in real
            time; otherwise another bundled cell or the path of a cell's YAML. A simulated cell that does not run is
            started for as long as the environment lives.
        cameras: pictures in the observation: any of ``wrist``, ``side``, ``overview``, or of those in the YAML.
        image_size: (height, width) of these, by default 128 x 128; that of another cell is in its YAML.
        render_mode: ``rgb_array`` to make `render()` answer pictures of the simulation in this process.
        render_camera: which camera `render()` shows.
        render_size: (height, width) of these pictures.
        render_shadows: shadows and anti-aliasing in these pictures.
        imperfections: latency, loss and noise of the devices: a preset's name, the settings, or their fields; those of
            another cell are in its YAML.
        randomise: how far the simulated scene looks different from episode to episode: a preset's name, the settings,
            or their fields.
        crops: left, top, width, height by camera: the part of its picture, taken as 640 x 480 pixels, that its
            pictures show; those of another cell are in its YAML.
        detector: decides on success in place of the task's rules; the cameras that it looks through are opened too.
        progress: answers with the component ``progress`` at every tick; so are its cameras.
        options: fields of the task and of `EnvOptions`.

    Raises:
        ConfigError: unknown task, option, preset or cell, or an option that the cell's YAML decides.
        DeviceError: unknown camera, or the cell does not run or answer.
    """
    run_options, task_options = split_options(options)
    check_options("the environment", EnvOptions, run_options)
    env_options = EnvOptions(**run_options)
    cameras = cameras_of(cameras, detector, progress)
    built, imperfect = make_task(task, **task_options), read_imperfections(imperfections)
    random, parts = read_randomisation(randomise), check_crops(crops or {}, CAMERAS)
    if str(cell) != IN_PROCESS:
        check_left_to_the_cell(cell, image_size, render_mode, imperfect, random, parts)
        joined, started = open_graph_cell(*describe_cell(cell, task, task_options), built, cameras)
        return CellEnv(joined, built, env_options, resources=(started,), detector=detector, progress=progress)
    made, sim = make_sim_cell(built.objects, built.impedance, cameras, image_size or IMAGE_SIZE, random, parts)
    view = CellView(sim, render_camera, render_size, beautiful=render_shadows) if render_mode == "rgb_array" else None
    return CellEnv(imperfect_cell(made, imperfect), built, env_options, view, detector=detector, progress=progress)


def cameras_of(cameras: tuple[str, ...], *models: Detector | RewardModel | None) -> tuple[str, ...]:
    """Cameras, and those that models look through, each once."""
    wanted = [*cameras, *(camera for model in models if model is not None for camera in model.cameras)]
    return tuple(dict.fromkeys(wanted))


def check_left_to_the_cell(
    cell: str | Path,
    image_size: tuple[int, int] | None,
    render_mode: str | None,
    imperfections: Imperfections,
    randomise: Randomisation,
    crops: Mapping[str, Crop],
) -> None:
    """Check that nothing is asked of a cell outside this process that its description decides.

    Raises:
        ConfigError: something is; says where it is decided.
    """
    for wrong, why in (
        (image_size is not None, "image_size is decided by cameras.<name>.image_size in its YAML"),
        (not imperfections.off, "imperfections are in its YAML, where it is simulated"),
        (not randomise.off, "randomise changes what the simulation in this process looks like: use the cell sim"),
        (bool(crops), "crops are decided by cameras.<name>.crop in its YAML"),
        (render_mode is not None, "nothing here can render it: read one of its cameras, or use the cell sim"),
    ):
        if wrong:
            raise ConfigError(f"the cell {cell} is outside this process: {why}")


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
