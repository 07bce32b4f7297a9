"""The geoms of a MuJoCo model as triangle meshes with colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import trimesh
from trimesh import creation

Rgba = tuple[float, float, float, float]

# Groups from here on hold what MuJoCo's own viewer leaves out by default.
FIRST_HIDDEN_GROUP = 3
CREASE_RAD = 0.6
_ROUND_SEGMENTS = 32
_UNSET_RGBA = (0.5, 0.5, 0.5, 1.0)


@dataclass(frozen=True)
class Mesh:
    """Triangles of one colour.

    Attributes:
        vertices_m: ``float32[n, 3]`` in the frame of the body; doubled at sharp edges, so that those look sharp.
        faces: ``uint32[m, 3]``.
        rgba: colour, each in [0, 1].
    """

    vertices_m: npt.NDArray[np.float32]
    faces: npt.NDArray[np.uint32]
    rgba: Rgba


def body_meshes(model: mujoco.MjModel, body: int, grown_m: float = 0.0) -> list[Mesh]:
    """Everything to be seen of a body, one mesh for each colour.

    Args:
        model: compiled.
        body: its number.
        grown_m: how far every surface is moved outwards.
    """
    by_color: dict[Rgba, list[trimesh.Trimesh]] = {}
    first = int(model.body_geomadr[body])
    for geom in range(first, first + int(model.body_geomnum[body])):
        rgba = geom_rgba(model, geom)
        if rgba[3] > 0.0 and model.geom_group[geom] < FIRST_HIDDEN_GROUP:
            by_color.setdefault(rgba, []).append(_placed(model, geom, grown_m))
    return [_joined(meshes, rgba) for rgba, meshes in by_color.items()]


def geom_rgba(model: mujoco.MjModel, geom: int) -> Rgba:
    """Colour of a geom: its own, or that of its material, a texture counting as its mean colour."""
    own = _rgba(model.geom_rgba[geom])
    material = int(model.geom_matid[geom])
    if material < 0 or own != _UNSET_RGBA:
        return own
    texture = int(model.mat_texid[material].max())
    if texture < 0:
        return _rgba(model.mat_rgba[material])
    first, channels = int(model.tex_adr[texture]), int(model.tex_nchannel[texture])
    size = int(model.tex_width[texture]) * int(model.tex_height[texture]) * channels
    mean = model.tex_data[first : first + size].reshape(-1, channels)[:, :3].mean(0) / 255.0
    return _rgba([*(mean * model.mat_rgba[material][:3]), model.mat_rgba[material][3]])


def _rgba(values: Any) -> Rgba:
    red, green, blue, alpha = (round(float(v), 4) for v in values)
    return red, green, blue, alpha


def _placed(model: mujoco.MjModel, geom: int, grown_m: float) -> trimesh.Trimesh:
    mesh = _shape(model, geom)
    if grown_m:
        mesh.vertices = mesh.vertices + grown_m * mesh.vertex_normals
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, model.geom_quat[geom])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn.reshape(3, 3), model.geom_pos[geom]
    mesh.apply_transform(pose)
    shaded: trimesh.Trimesh = trimesh.graph.smooth_shade(mesh, angle=CREASE_RAD)
    return shaded


def _shape(model: mujoco.MjModel, geom: int) -> trimesh.Trimesh:
    """A geom in its own frame."""
    x, y, z = (float(v) for v in model.geom_size[geom])
    kind = mujoco.mjtGeom(int(model.geom_type[geom]))
    made: trimesh.Trimesh
    match kind:
        case mujoco.mjtGeom.mjGEOM_BOX:
            made = creation.box((2 * x, 2 * y, 2 * z))
        case mujoco.mjtGeom.mjGEOM_PLANE:
            corners = [[sx * x, sy * y, 0.0] for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            made = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
        case mujoco.mjtGeom.mjGEOM_CYLINDER:
            made = creation.cylinder(x, 2 * y, sections=_ROUND_SEGMENTS)
        case mujoco.mjtGeom.mjGEOM_CAPSULE:
            made = creation.capsule(2 * y, x, count=[_ROUND_SEGMENTS, _ROUND_SEGMENTS // 2])
        case mujoco.mjtGeom.mjGEOM_MESH:
            made = _own_mesh(model, int(model.geom_dataid[geom]))
        case _:
            # What is left of the shapes that a geom may have is a sphere or an ellipsoid.
            made = creation.uv_sphere(1.0, count=[_ROUND_SEGMENTS // 2, _ROUND_SEGMENTS])
            made.vertices = made.vertices * ((x, x, x) if kind == mujoco.mjtGeom.mjGEOM_SPHERE else (x, y, z))
    return made


def _own_mesh(model: mujoco.MjModel, mesh: int) -> trimesh.Trimesh:
    first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    first_face, faces = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
    return trimesh.Trimesh(model.mesh_vert[first : first + count], model.mesh_face[first_face : first_face + faces])


def _joined(meshes: list[trimesh.Trimesh], rgba: Rgba) -> Mesh:
    before = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
    faces = np.concatenate([m.faces + n for m, n in zip(meshes, before, strict=True)])
    vertices = np.concatenate([m.vertices for m in meshes])
    return Mesh(vertices.astype(np.float32), faces.astype(np.uint32), rgba)
