"""What is drawn around the robot: where the tool is and is sent, where it may go, what pushes on it."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import viser

from robot_rl.controllers.safety import TargetLimits
from robot_rl.controllers.se3 import quat_rotate
from robot_rl.core.types import Array

Rgb = tuple[int, int, int]

LEAST_FORCE_N, LARGEST_FORCE_N = 1.0, 40.0
ARROW_M_PER_N, LONGEST_ARROW_M = 0.008, 0.24
# Beside the tool, on the side of the usual camera: a push along the tool axis would be hidden in the hand.
BESIDE_TCP_M = (0.07, 0.0, -0.01)
CALM, STRONG = np.array([46, 160, 67]), np.array([214, 48, 39])
TARGET_RGB, BOX_RGB, LINE_RGB = (255, 140, 0), (90, 110, 200), (255, 170, 60)
_EDGES = [(a, a | bit) for a, bit in itertools.product(range(8), (1, 2, 4)) if not a & bit]


def force_arrow(pose_base_tcp: Array, wrench_tcp: Array) -> tuple[Array, Rgb] | None:
    """How a contact force is drawn: beside the tool, in its own direction.

    Args:
        pose_base_tcp: measured ``[7]``.
        wrench_tcp: on the tool, in its frame ``[6]``.

    Returns:
        Start and end of the arrow in the base frame ``[2, 3]`` and its colour, from green to red at 40 N; None for a
        force under 1 N.
    """
    force_n = float(np.linalg.norm(wrench_tcp[:3]))
    if not force_n >= LEAST_FORCE_N:
        return None
    way = quat_rotate(pose_base_tcp[3:], wrench_tcp[:3]) / force_n
    start = pose_base_tcp[:3] + quat_rotate(pose_base_tcp[3:], BESIDE_TCP_M)
    length_m = min(ARROW_M_PER_N * force_n, LONGEST_ARROW_M)
    red, green, blue = (CALM + min(force_n / LARGEST_FORCE_N, 1.0) * (STRONG - CALM)).round().astype(int).tolist()
    return np.stack([start, start + length_m * way]), (red, green, blue)


def box_edges(limits: TargetLimits) -> Array:
    """The twelve edges of the workspace, ``[12, 2, 3]`` in the base frame."""
    bounds = np.array([limits.box_min_m, limits.box_max_m])
    corners = np.array([[bounds[(i >> axis) & 1, axis] for axis in range(3)] for i in range(8)])
    edges: Array = corners[np.array(_EDGES)]
    return edges


class StageMarks:
    """Tool, target, workspace and contact force of one robot in a scene.

    Args:
        scene: of a viser server.
        root: path of its top node, for example ``/marks``; nothing else lies below it.
        limits: of the task.
    """

    def __init__(self, scene: viser.SceneApi, root: str, limits: TargetLimits) -> None:
        self._root = scene.add_frame(root, show_axes=False)
        self._tool = scene.add_frame(f"{root}/tool", axes_length=0.06, axes_radius=0.0018, origin_radius=0.003)
        self._target = scene.add_frame(
            f"{root}/target", axes_length=0.04, axes_radius=0.0025, origin_radius=0.006, origin_color=TARGET_RGB
        )
        self._line = scene.add_line_segments(
            f"{root}/line", np.zeros((1, 2, 3), np.float32), LINE_RGB, thickness=3.0, thickness_units="screen"
        )
        scene.add_line_segments(
            f"{root}/box", box_edges(limits).astype(np.float32), BOX_RGB, thickness=1.5, thickness_units="screen"
        )
        self._force = scene.add_arrows(
            f"{root}/force",
            _one_arrow([[0.0, 0.0, 0.0], [0.0, 0.0, 0.1]]),
            (0, 0, 0),
            shaft_radius=0.005,
            head_radius=0.012,
            head_length=0.025,
        )
        for handle in self._moving:
            handle.visible = False
        self._closed = False

    @property
    def visible(self) -> bool:
        """Whether they are drawn."""
        return self._root.visible

    @visible.setter
    def visible(self, value: bool) -> None:
        self._root.visible = value

    def show(self, pose_base_tcp: Array, pose_base_target: Array, wrench_tcp: Array) -> None:
        """Draw them for a control step.

        Args:
            pose_base_tcp: measured ``[7]``.
            pose_base_target: where the tool was sent ``[7]``.
            wrench_tcp: external wrench on the tool, in its frame ``[6]``.
        """
        for frame, pose in ((self._tool, pose_base_tcp), (self._target, pose_base_target)):
            frame.position, frame.wxyz, frame.visible = pose[:3], pose[[6, 3, 4, 5]], True
        self._line.points = np.stack([pose_base_tcp[:3], pose_base_target[:3]])[None].astype(np.float32)
        self._line.visible = True
        arrow = force_arrow(pose_base_tcp, wrench_tcp)
        self._force.visible = arrow is not None
        if arrow is not None:
            self._force.points, self._force.colors = _one_arrow(arrow[0]), np.array(arrow[1], np.uint8)

    def close(self) -> None:
        """Take them off the scene. May be called twice."""
        if not self._closed:
            self._closed = True
            self._root.remove()

    @property
    def _moving(self) -> tuple[viser.SceneNodeHandle, ...]:
        return self._tool, self._target, self._line, self._force


def _one_arrow(ends: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.asarray(ends, np.float32)[None]
