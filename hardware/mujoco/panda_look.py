"""How the Panda looks: visual geoms only, without mass or collision. Shapes are estimates in metres."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

WHITE, DARK, STEEL, PAD = (0.93, 0.94, 0.95, 1), (0.16, 0.17, 0.19, 1), (0.55, 0.58, 0.62, 1), (0.08, 0.08, 0.09, 1)


def shape(
    body: mujoco.MjsBody, kind: str, size: list[float], pos: list[float], rgba: tuple[float, ...], axis: str = "z"
) -> None:
    """A visual geom; `size` is radius and half length for capsules and cylinders along `axis`."""
    half = np.sqrt(0.5)
    quat = {"z": [1, 0, 0, 0], "y": [half, half, 0, 0], "x": [half, 0, half, 0]}[axis]
    geom = getattr(mujoco.mjtGeom, f"mjGEOM_{kind.upper()}")
    material = "shell" if rgba is WHITE else "metal"
    body.add_geom(
        type=geom,
        size=[*size, 0.0, 0.0][:3],
        pos=pos,
        quat=quat,
        rgba=rgba,
        material=material,
        contype=0,
        conaffinity=0,
        mass=0,
        group=1,
    )


def base_shape(b: mujoco.MjsBody) -> None:
    """The foot."""
    shape(b, "capsule", [0.062, 0.05], [-0.06, 0, 0.065], WHITE, "x")
    shape(b, "cylinder", [0.075, 0.025], [0, 0, 0.025], WHITE)
    shape(b, "cylinder", [0.066, 0.045], [0, 0, 0.095], WHITE)
    shape(b, "cylinder", [0.061, 0.006], [0, 0, 0.145], DARK)


def _link1(b: mujoco.MjsBody) -> None:
    shape(b, "capsule", [0.06, 0.07], [0, 0, -0.1], WHITE)
    shape(b, "capsule", [0.059, 0.045], [0, 0, 0], WHITE, "y")


def _link2(b: mujoco.MjsBody) -> None:
    shape(b, "cylinder", [0.061, 0.006], [0, 0, 0.065], DARK)
    shape(b, "cylinder", [0.061, 0.006], [0, 0, -0.065], DARK)
    shape(b, "capsule", [0.058, 0.075], [0, -0.075, 0], WHITE, "y")


def _link3(b: mujoco.MjsBody) -> None:
    shape(b, "cylinder", [0.06, 0.006], [0, 0, -0.15], DARK)
    shape(b, "capsule", [0.057, 0.055], [0, 0, -0.085], WHITE)
    shape(b, "capsule", [0.055, 0.045], [0.0825, 0, 0], WHITE, "y")
    shape(b, "capsule", [0.05, 0.045], [0.04, 0, -0.035], WHITE, "x")


def _link4(b: mujoco.MjsBody) -> None:
    shape(b, "cylinder", [0.056, 0.006], [0, 0, 0.06], DARK)
    shape(b, "cylinder", [0.056, 0.006], [0, 0, -0.06], DARK)
    shape(b, "capsule", [0.053, 0.055], [-0.0825, 0.06, 0], WHITE, "y")
    shape(b, "capsule", [0.048, 0.04], [-0.045, 0.03, 0], WHITE, "x")


def _link5(b: mujoco.MjsBody) -> None:
    shape(b, "cylinder", [0.056, 0.006], [0, 0, -0.26], DARK)
    shape(b, "capsule", [0.052, 0.05], [0, 0, -0.205], WHITE)
    shape(b, "capsule", [0.036, 0.11], [0, 0.055, -0.11], WHITE)
    shape(b, "capsule", [0.047, 0.04], [0, 0.02, 0], WHITE, "y")


def _link6(b: mujoco.MjsBody) -> None:
    shape(b, "cylinder", [0.048, 0.006], [0, 0, -0.055], DARK)
    shape(b, "capsule", [0.045, 0.03], [0, 0, 0], WHITE)
    shape(b, "capsule", [0.043, 0.03], [0.05, 0, 0], WHITE, "x")
    shape(b, "capsule", [0.043, 0.02], [0.088, -0.005, 0], WHITE, "y")


def _link7(b: mujoco.MjsBody) -> None:
    shape(b, "cylinder", [0.046, 0.006], [0, 0, 0.05], DARK)
    shape(b, "cylinder", [0.044, 0.018], [0, 0, 0.074], WHITE)
    shape(b, "cylinder", [0.036, 0.007], [0, 0, 0.1], STEEL)


def hand_shape(b: mujoco.MjsBody) -> None:
    """The hand without its fingers."""
    shape(b, "cylinder", [0.036, 0.006], [0, 0, 0.004], DARK)
    shape(b, "capsule", [0.0265, 0.074], [0, 0, 0.034], WHITE, "y")
    shape(b, "box", [0.022, 0.094, 0.012], [0, 0, 0.047], WHITE)
    shape(b, "box", [0.012, 0.086, 0.002], [0, 0, 0.0595], DARK)
    shape(b, "box", [0.012, 0.012, 0.008], [0.048, 0, 0.02], DARK)


LINK_SHAPES: tuple[Callable[[mujoco.MjsBody], None], ...] = (_link1, _link2, _link3, _link4, _link5, _link6, _link7)
"""Draws link 1 to 7 on its body."""
