"""Off-screen pictures of the simulated cell. The OpenGL backend is chosen before mujoco is first imported."""

from __future__ import annotations

import mujoco

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
    """

    def __init__(self, model: mujoco.MjModel, height: int, width: int, *, beautiful: bool = False) -> None:
        self._model, self._size, self._beautiful = model, (height, width), beautiful
        self._renderer: mujoco.Renderer | None = None

    def render(self, data: mujoco.MjData, camera: str) -> Image:
        """Picture ``uint8[H, W, 3]`` from a named camera.

        Raises:
            DeviceError: there is no usable OpenGL; the message says what to install.
        """
        if self._renderer is None:
            self._renderer = self._open()
        self._renderer.update_scene(data, camera=camera)
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

    def close(self) -> None:
        """Free the OpenGL context. May be called twice."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
