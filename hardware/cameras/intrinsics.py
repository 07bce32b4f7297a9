"""Where a camera's pixels look, and what cropping and resizing do to that."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robot_rl.core.crops import Crop
from robot_rl.core.types import Array

PLUMB_BOB = "plumb_bob"


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera with distortion. The centre of the upper left pixel is (0, 0).

    Attributes:
        width: of the picture in pixels.
        height: of it.
        fx: focal length in pixels along a row.
        fy: along a column.
        cx: where the optical axis meets the picture.
        cy: the same along a column.
        model: of the distortion, in ROS's names; ``plumb_bob`` is Brown-Conrady.
        distortion: its coefficients (k1, k2, p1, p2, k3).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: str = PLUMB_BOB
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def fitted(self, crop: Crop | None, size: tuple[int, int] | None) -> Intrinsics:
        """Those of the picture that `picture.fit` makes with the same arguments. The distortion stays as it is."""
        left, top, width, height = crop or (0, 0, self.width, self.height)
        new_height, new_width = size or (height, width)
        sx, sy = new_width / width, new_height / height
        return Intrinsics(
            width=new_width,
            height=new_height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5 - left) * sx - 0.5,
            cy=(self.cy + 0.5 - top) * sy - 0.5,
            model=self.model,
            distortion=self.distortion,
        )

    def pixel(self, point_m: Array) -> tuple[float, float]:
        """Column and row at which a point ``[3]`` of the optical frame is seen, distortion aside.

        The optical frame has z forward, x right, y down; z must be positive.
        """
        x, y, z = (float(v) for v in point_m)
        return self.fx * x / z + self.cx, self.fy * y / z + self.cy


def pinhole(fovy_deg: float, width: int, height: int) -> Intrinsics:
    """Square pixels, and an optical axis through the middle, as renderers have it.

    Args:
        fovy_deg: full vertical field of view.
        width: in pixels.
        height: in pixels.
    """
    focal = 0.5 * height / math.tan(math.radians(fovy_deg) / 2)
    return Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
