"""The world around the arm: floor, table, lights, cameras and a task's objects, compiled into one model."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco

from robot_rl.core.randomisation import MAX_DISTRACTORS, MAX_EXTRA_LIGHTS
from robot_rl.core.scene import SceneObject
from robot_rl.hardware.mujoco.panda import FLANGE_TO_TCP_M, add_panda

TIMESTEP_S = 0.001
TABLE_HEIGHT_M = 0.75
PROP = "prop"
"""First part of the names of what `build_model` adds for randomisation."""
OUT_OF_SIGHT = 4
"""Group of geoms that are not rendered."""
CAMERAS = ("wrist", "side", "film", "overview")
# Contacts two time steps stiff: softer ones let a peg sink through a 0.2 mm clearance.
CONTACT_SOLREF = [0.004, 1.0]
CONTACT_SOLIMP = [0.95, 0.99, 0.001, 0.5, 2]


def build_model(
    objects: Sequence[SceneObject] = (),
    *,
    armature_kg_m2: float = 0.1,
    timestep_s: float = TIMESTEP_S,
    props: bool = False,
) -> mujoco.MjModel:
    """Compile the cell: the Panda's base frame is the world frame and the table top is its xy plane.

    Args:
        objects: what the task adds; every name must be unique.
        armature_kg_m2: rotor inertia of each arm joint.
        timestep_s: physics and control period.
        props: also what `robot_rl.hardware.mujoco.randomise` shows now and then: lights that are out, things out of
            sight, a white texture on the table. None of them touches anything.
    """
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.modelname = "robot_rl cell"
    option = spec.option
    option.timestep = timestep_s
    option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0  # firm grasps: friction constraints as stiff as normal ones, times ten
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    _add_materials(spec)
    _add_surroundings(spec)
    if props:
        _add_props(spec)
    hand = add_panda(spec, armature_kg_m2=armature_kg_m2)
    for item in objects:
        _add_object(spec, hand, item)
    return spec.compile()


def _add_object(spec: mujoco.MjSpec, hand: mujoco.MjsBody, item: SceneObject) -> None:
    if item.mount == "hand":
        body = hand.add_body(name=item.name, pos=[0, 0, FLANGE_TO_TCP_M])
    else:
        body = spec.worldbody.add_body(name=item.name, mocap=item.mount == "fixture")
    if item.mount == "free":
        body.add_freejoint(name=f"{item.name}_free")
    volume = sum(8.0 * b.half_size_m[0] * b.half_size_m[1] * b.half_size_m[2] for b in item.boxes if b.collides)
    for box in item.boxes:
        sx, sy, sz = box.half_size_m
        # What the arm holds and what lies around belong to one collision group; fingers and table to the other.
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=box.half_size_m,
            pos=box.position_m,
            rgba=box.rgba,
            material="part",
            contype=3 if box.collides else 0,
            conaffinity=3 if box.collides else 0,
            condim=4,
            friction=[item.friction, 0.005, 0.0001],
            solref=CONTACT_SOLREF,
            solimp=CONTACT_SOLIMP,
            mass=item.mass_kg * 8.0 * sx * sy * sz / volume if box.collides else 0.0,
        )


def _add_materials(spec: mujoco.MjSpec) -> None:
    texture = spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=128, height=768)
    texture.builtin = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT
    texture.rgb1, texture.rgb2 = [0.86, 0.90, 0.95], [0.45, 0.53, 0.63]
    floor = spec.add_texture(name="floor", type=mujoco.mjtTexture.mjTEXTURE_2D, width=256, height=256)
    floor.builtin = mujoco.mjtBuiltin.mjBUILTIN_CHECKER
    floor.rgb1, floor.rgb2 = [0.40, 0.44, 0.49], [0.36, 0.40, 0.45]
    spec.add_material(name="shell", specular=0.6, shininess=0.7)
    spec.add_material(name="metal", specular=0.8, shininess=0.6)
    spec.add_material(name="part", specular=0.25, shininess=0.3)
    spec.add_material(name="table", rgba=[0.68, 0.55, 0.41, 1], specular=0.15, shininess=0.2)
    ground = spec.add_material(name="ground", reflectance=0.05, texrepeat=[6, 6], texuniform=True)
    ground.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "floor"


def _add_surroundings(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
    spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    spec.visual.headlight.specular = [0.1, 0.1, 0.1]
    spec.visual.quality.shadowsize = 2048
    spec.visual.quality.offsamples = 0
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.map.znear = 0.01
    world.add_light(pos=[0.9, -0.7, 1.6], dir=[-0.35, 0.45, -1.0], diffuse=[0.55, 0.55, 0.53], castshadow=True)
    world.add_light(pos=[0.2, 1.2, 1.4], dir=[0.2, -0.8, -1.0], diffuse=[0.22, 0.23, 0.26], castshadow=False)
    plane, box, cylinder = (getattr(mujoco.mjtGeom, f"mjGEOM_{k}") for k in ("PLANE", "BOX", "CYLINDER"))
    quiet = {"contype": 0, "conaffinity": 0}
    world.add_geom(name="floor", type=plane, size=[4, 4, 0.1], pos=[0, 0, -TABLE_HEIGHT_M], material="ground", **quiet)
    table = {"type": box, "size": [0.55, 0.6, 0.02], "pos": [0.35, 0, -0.02], "material": "table"}
    world.add_geom(
        name="table",
        contype=2,
        conaffinity=2,
        condim=4,
        friction=[0.6, 0.005, 0.0001],
        solref=CONTACT_SOLREF,
        solimp=CONTACT_SOLIMP,
        **table,
    )
    for x in (-0.15, 0.85):
        for y in (-0.55, 0.55):
            half = TABLE_HEIGHT_M / 2 - 0.02
            world.add_geom(
                type=cylinder,
                size=[0.025, half, 0],
                pos=[x, y, -TABLE_HEIGHT_M + half],
                rgba=[0.2, 0.2, 0.22, 1],
                **quiet,
            )
    _look_at(world, "side", eye=[1.0, -0.28, 0.36], target=[0.5, 0.0, 0.06], fovy=42)
    _look_at(world, "film", eye=[1.15, -0.42, 0.5], target=[0.5, 0.0, 0.16], fovy=44)
    _look_at(world, "overview", eye=[1.35, -1.05, 0.85], target=[0.32, 0.0, 0.26], fovy=42)


def _add_props(spec: mujoco.MjSpec) -> None:
    texture = spec.add_texture(name="table", type=mujoco.mjtTexture.mjTEXTURE_2D, width=128, height=128)
    texture.builtin = mujoco.mjtBuiltin.mjBUILTIN_FLAT
    texture.rgb1 = texture.rgb2 = [1.0, 1.0, 1.0]
    spec.material("table").textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "table"
    for n in range(MAX_EXTRA_LIGHTS):
        spec.worldbody.add_light(name=f"{PROP}_{n}", active=False, castshadow=False)
    for n in range(MAX_DISTRACTORS):
        spec.worldbody.add_geom(
            name=f"{PROP}_{n}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[0.02, 0.02, 0.02],
            # Turned and away from the origin, so that the compiler does not take its frame for that of the world.
            pos=[0.1, 0.4, 0.02],
            quat=[0.8, 0.0, 0.0, 0.6],
            material="part",
            contype=0,
            conaffinity=0,
            mass=0,
            group=OUT_OF_SIGHT,
        )


def _look_at(world: mujoco.MjsBody, name: str, *, eye: Sequence[float], target: Sequence[float], fovy: float) -> None:
    """A fixed camera at `eye` looking at `target`, the world's z axis up in the image."""
    anchor = world.add_body(name=f"{name}_target", pos=target)
    world.add_camera(
        name=name, pos=eye, mode=mujoco.mjtCamLight.mjCAMLIGHT_TARGETBODY, targetbody=anchor.name, fovy=fovy
    )
