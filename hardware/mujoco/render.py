"""Off-screen pictures of the simulated cell. The OpenGL backend is chosen before mujoco is first imported."""

from __future__ import annotations

from collections.abc import Callable

import mujoco

from robot_rl.core.crops import CROP_HEIGHT, CROP_WIDTH, Crop
from robot_rl.core.errors import DeviceError
from robot_rl.core.types import Image

INSTALL_HINT = (
    "install a headless OpenGL (Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri, "
    "or libosmesa6 with MUJOCO_GL=osmesa)"
)


class Renderer:
    """Renders named cameras of one model; a resource with an OpenGL context, created at the first picture.

    Args:
        model: the compiled cell.
        height: of the pictures in pixels.
        width: of the pictures in pixels.
        beautiful: shadows and anti-aliasing, ten times slower; for videos, not for policies.
        textures: counts how often the model's textures were changed; None where they never are.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        height: int,
        width: int,
        *,
        beautiful: bool = False,
        textures: Callable[[], int] | None = None,
    ) -> None:
        self._model, self._size, self._beautiful = model, (height, width), beautiful
        self._textures, self._uploaded = textures or (lambda: 0), 0
        self._renderer: mujoco.Renderer | None = None

    def render(self, data: mujoco.MjData, camera: str, crop: Crop | None = None) -> Image:
        """Picture ``uint8[H, W, 3]`` from a named camera.

        Args:
            data: the state to show.
            camera: its name.
            crop: left, top, width, height in pixels of the camera's picture of `CROP_WIDTH` x `CROP_HEIGHT`, which
                then fill the picture; nothing else is rendered, so that a crop is as sharp and as fast as the whole.

        Raises:
            DeviceError: there is no usable OpenGL; the message says what to install.
        """
        if self._renderer is None:
            self._renderer, self._uploaded = self._open(), self._textures()
        if self._uploaded != self._textures():
            self._upload(self._renderer)
        self._renderer.update_scene(data, camera=camera)
        if crop is not None:
            _narrow(self._renderer.scene, crop)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self._beautiful
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = self._beautiful
        image: Image = self._renderer.render()
        return image

    def _open(self) -> mujoco.Renderer:
        samples = self._model.vis.quality.offsamples
        self._model.vis.quality.offsamples = 4 if self._beautiful else 0
        try:
            return mujoco.Renderer(self._model, *self._size)
        except Exception as e:  # the OpenGL bindings raise half a dozen unrelated types
            raise DeviceError(f"cannot render: {e or type(e).__name__}; {INSTALL_HINT}") from e
        finally:
            self._model.vis.quality.offsamples = samples

    def _upload(self, renderer: mujoco.Renderer) -> None:
        # A new renderer would do it too, but takes half a second; the class shows neither of its contexts.
        if renderer._gl_context is not None:
            renderer._gl_context.make_current()
        for texture in range(self._model.ntex):
            mujoco.mjr_uploadTexture(self._model, renderer._mjr_context, texture)
        self._uploaded = self._textures()

    def close(self) -> None:
        """Free the OpenGL context. May be called twice."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _narrow(scene: mujoco.MjvScene, crop: Crop) -> None:
    """Let the scene's cameras see a part of the picture only."""
    left, top, width, height = crop
    for camera in (scene.camera[0], scene.camera[1]):
        upper = camera.frustum_top
        pixel_m = (upper - camera.frustum_bottom) / CROP_HEIGHT
        camera.frustum_top = upper - top * pixel_m
        camera.frustum_bottom = upper - (top + height) * pixel_m
        camera.frustum_center = (left + 0.5 * width - 0.5 * CROP_WIDTH) * pixel_m
        camera.frustum_width = 0.5 * width * pixel_m
