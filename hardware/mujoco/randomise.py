"""Another look of the simulated scene for each episode: lights, colours, patterns, cameras, things that lie about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt

from robot_rl.core.randomisation import MAX_DISTRACTORS, MAX_EXTRA_LIGHTS, Randomisation
from robot_rl.core.types import Array, Image
from robot_rl.hardware.mujoco.patterns import random_pattern
from robot_rl.hardware.mujoco.scene import OUT_OF_SIGHT, PROP

MIDDLE_M = np.array([0.5, 0.0, 0.0])
"""What lights are turned about."""
_STREAM = 0x6C6F6F6B
_ROBOT_GROUP = 1
# Nothing else is ever written to, so that the physics cannot change.
_FIELDS = (
    *("light_active", "light_pos", "light_dir", "light_diffuse"),
    *("cam_mode", "cam_pos", "cam_quat", "cam_fovy"),
    *("geom_type", "geom_size", "geom_pos", "geom_quat", "geom_rgba", "geom_group"),
    *("mat_rgba", "tex_data"),
)


class Looks:
    """The visual fields of a compiled model, drawn anew on demand without compiling it again.

    Args:
        model: of `robot_rl.hardware.mujoco.scene.build_model` with props.
        data: its state, with cameras where they belong.
        objects: names of the task's objects.
        settings: how far it goes.

    Attributes:
        textures: how often the textures were changed, for `robot_rl.hardware.mujoco.render.Renderer`.
    """

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, objects: Iterable[str], settings: Randomisation
    ) -> None:
        self._model, self._data, self._settings = model, data, settings
        mujoco.mj_forward(model, data)
        if settings.camera_shift_m or settings.camera_turn_deg:
            _unlock_cameras(model, data)
        self._usual = {name: getattr(model, name).copy() for name in _FIELDS}
        head = model.vis.headlight
        self._usual_head = [head.ambient.copy(), head.diffuse.copy()]
        self._bodies = [model.body(name).id for name in objects]
        self._lights = [i for i in range(model.nlight) if not model.light(i).name.startswith(PROP)]
        self.textures = 0

    def draw(self, seed: int) -> None:
        """Let the scene look as an episode of this seed does, whatever it looked like before.

        Args:
            seed: non-negative; of the episode.
        """
        for name, value in self._usual.items():
            getattr(self._model, name)[:] = value
        ways = np.random.default_rng((seed, _STREAM)).spawn(8)
        self._draw_lights(ways[0])
        self._draw_extra_lights(ways[1])
        self._draw_ambient(ways[2])
        self._draw_colours(ways[3])
        self._draw_background(ways[4])
        self._draw_patterns(ways[5])
        self._draw_cameras(ways[6])
        self._draw_distractors(ways[7])
        # Lights and cameras of the state follow the model; bodies do not move.
        mujoco.mj_camlight(self._model, self._data)
        self.textures += 1

    def _draw_lights(self, rng: np.random.Generator) -> None:
        m, s = self._model, self._settings
        for light in self._lights:
            turn = _turn(rng, s.light_angle_deg)
            m.light_pos[light] = MIDDLE_M + turn @ (m.light_pos[light] - MIDDLE_M)
            m.light_dir[light] = turn @ m.light_dir[light]
            m.light_diffuse[light] *= _brightness(rng, s.light_stops) * (1.0 + _around(rng, s.light_colour, 3))

    def _draw_extra_lights(self, rng: np.random.Generator) -> None:
        m, s = self._model, self._settings
        shining = int(rng.integers(s.extra_lights + 1))
        for n in range(MAX_EXTRA_LIGHTS):
            around, up, strength = rng.uniform([-np.pi, 0.5, 0.1], [np.pi, 1.4, 0.35])
            tint = 1.0 + _around(rng, s.light_colour, 3)
            light = m.light(f"{PROP}_{n}").id
            towards = np.array([np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)])
            m.light_pos[light], m.light_dir[light] = MIDDLE_M + 1.8 * towards, -towards
            m.light_diffuse[light] = strength * tint
            m.light_active[light] = n < shining

    def _draw_ambient(self, rng: np.random.Generator) -> None:
        head, factor = self._model.vis.headlight, _brightness(rng, self._settings.ambient_stops)
        ambient, diffuse = self._usual_head
        head.ambient[:], head.diffuse[:] = ambient * factor, diffuse * factor

    def _draw_colours(self, rng: np.random.Generator) -> None:
        m, s = self._model, self._settings
        table, robot, *things = rng.uniform(0.0, 1.0, (2 + len(self._bodies), 3))
        surface = m.material("table").id
        m.mat_rgba[surface, :3] = _mixed(m.mat_rgba[surface, :3], table, s.table_colour)
        parts = m.geom_group == _ROBOT_GROUP
        m.geom_rgba[parts, :3] = _mixed(m.geom_rgba[parts, :3], robot, s.robot_colour)
        for body, colour in zip(self._bodies, things, strict=True):
            parts = m.geom_bodyid == body
            m.geom_rgba[parts, :3] = _mixed(m.geom_rgba[parts, :3], colour, s.object_colour)

    def _draw_background(self, rng: np.random.Generator) -> None:
        for name in ("floor", "sky"):
            image, colour = self._texture(name), rng.uniform(0.0, 255.0, 3)
            if self._settings.background_colour:
                image[:] = _mixed(image, colour, self._settings.background_colour)

    def _draw_patterns(self, rng: np.random.Generator) -> None:
        for name in ("table", "floor", "sky"):
            image, chance, way = self._texture(name), rng.random(), rng.spawn(1)[0]
            if chance < self._settings.textures:
                height, width, _ = image.shape
                # A sky has the six faces of a cube on top of one another.
                pattern = random_pattern(way, min(height, width), width)
                image[:] = np.tile(pattern, (height // min(height, width), 1, 1))

    def _draw_cameras(self, rng: np.random.Generator) -> None:
        m, s = self._model, self._settings
        for camera in range(m.ncam):
            m.cam_pos[camera] += _around(rng, s.camera_shift_m, 3)
            turn, usual = np.zeros(4), m.cam_quat[camera].copy()
            mujoco.mju_mat2Quat(turn, _turn(rng, s.camera_turn_deg).ravel())
            mujoco.mju_mulQuat(m.cam_quat[camera], usual, turn)
            m.cam_fovy[camera] *= 1.0 + float(_around(rng, s.camera_fov, 1)[0])

    def _draw_distractors(self, rng: np.random.Generator) -> None:
        m, kinds = self._model, [getattr(mujoco.mjtGeom, f"mjGEOM_{k}") for k in ("BOX", "CYLINDER", "ELLIPSOID")]
        shown = int(rng.integers(self._settings.distractors + 1))
        for n in range(MAX_DISTRACTORS):
            kind, side = kinds[rng.integers(len(kinds))], rng.choice([-1.0, 1.0])
            x, y, yaw = rng.uniform([0.15, 0.36, 0.0], [0.8, 0.54, np.pi])
            size, colour = rng.uniform(0.015, 0.05, 3), rng.uniform(0.05, 0.95, 3)
            geom = m.geom(f"{PROP}_{n}").id
            m.geom_type[geom], m.geom_size[geom], m.geom_rgba[geom, :3] = kind, size, colour
            # A cylinder's half height is its second size, that of the others the third.
            m.geom_pos[geom] = x, side * y, size[1] if kind == mujoco.mjtGeom.mjGEOM_CYLINDER else size[2]
            m.geom_quat[geom] = np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)
            m.geom_group[geom] = 0 if n < shown else OUT_OF_SIGHT

    def _texture(self, name: str) -> Image:
        """A view of its pixels ``uint8[H, W, 3]``."""
        m, t = self._model, self._model.texture(name).id
        start, shape = m.tex_adr[t], (m.tex_height[t], m.tex_width[t], 3)
        pixels: Image = m.tex_data[start : start + int(np.prod(shape))].reshape(shape)
        return pixels


def _unlock_cameras(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Cameras that follow a point that never moves get the orientation that they have anyhow, so that they can turn."""
    for camera in np.flatnonzero(model.cam_mode == mujoco.mjtCamLight.mjCAMLIGHT_TARGETBODY):
        mujoco.mju_mat2Quat(model.cam_quat[camera], data.cam_xmat[camera])
        model.cam_mode[camera] = mujoco.mjtCamLight.mjCAMLIGHT_FIXED


def _around(rng: np.random.Generator, most: float, n: int) -> Array:
    return most * rng.uniform(-1.0, 1.0, n)


def _brightness(rng: np.random.Generator, stops: float) -> float:
    return float(2.0 ** _around(rng, stops, 1)[0])


def _turn(rng: np.random.Generator, most_deg: float) -> Array:
    """Rotation matrix about a random axis."""
    axis, angle, quat, matrix = rng.standard_normal(3), rng.random(), np.zeros(4), np.zeros(9)
    mujoco.mju_axisAngle2Quat(quat, axis / np.linalg.norm(axis), np.deg2rad(most_deg) * angle)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)


def _mixed(colour: npt.NDArray[Any], other: Array, share: float) -> Array:
    return np.asarray((1.0 - share) * colour + share * other, np.float64)
