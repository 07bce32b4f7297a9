"""The stage shows the cell as the simulator has it, and sends little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
import numpy.typing as npt
import pytest
import viser
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.console.stage import Stage, initial_camera
from robot_rl.console.stage_marks import LONGEST_ARROW_M, StageMarks, box_edges, force_arrow
from robot_rl.console.stage_shapes import Mesh, body_meshes
from robot_rl.controllers.safety import TargetLimits
from robot_rl.controllers.se3 import quat_rotate, random_quat
from robot_rl.envs import make_env
from robot_rl.envs.make import make_expert
from robot_rl.envs.tasks import make_task
from robot_rl.envs.tasks.base import flat_pose
from robot_rl.hardware.mujoco import panda
from robot_rl.hardware.mujoco.scene import build_model
from tests.console.pictures import SMALL, open_page, picture

POSE = np.array([0.5, 0.1, 0.2, 1.0, 0.0, 0.0, 0.0])


@pytest.fixture
def server() -> Iterator[viser.ViserServer]:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


def node(server: viser.ViserServer, name: str) -> Any:
    handle = server.scene.get_handle_by_name(name)
    assert handle is not None, name
    return handle


def messages(server: viser.ViserServer) -> list[dict[str, Any]]:
    """What has been sent from now on; the list grows."""
    sent: list[dict[str, Any]] = []
    push = server._websock_server.get_message_buffer().push

    def note(message: Any) -> None:
        sent.append({"kind": type(message).__name__, **vars(message)})
        push(message)

    server._websock_server.get_message_buffer().push = note  # type: ignore[method-assign]
    return sent


@pytest.mark.parametrize("task", ["PickCube", "PegInsert", "GraspInsert", "Reach"])
def test_bodies_are_where_the_simulator_has_them(server: viser.ViserServer, task: str) -> None:
    env = make_env(task)
    env.reset(seed=2)
    expert = make_expert(env, np.random.default_rng(0))
    expert.reset()
    stage = Stage(server.scene, "/cell", env.task.objects)
    for _ in range(6):
        env.step(expert.act())
        now = env.snapshot
        stage.pose(now.arm.q_rad, now.gripper.width_m, now.objects)
        tool = node(server, "/cell/hand")
        np.testing.assert_allclose(
            tool.position + quat_rotate(tool.wxyz[[1, 2, 3, 0]], [0.0, 0.0, panda.FLANGE_TO_TCP_M]),
            now.arm.pose_base_tcp[:3],
            atol=1e-4,
        )
        for name, pose in now.objects.items():
            body = node(server, f"/cell/{name}")
            assert body.visible
            np.testing.assert_allclose(body.position, pose[:3], atol=1e-4)
            assert abs(abs(body.wxyz[[1, 2, 3, 0]] @ pose[3:]) - 1.0) < 1e-6
        left, right = (node(server, f"/cell/{side}_finger") for side in ("left", "right"))
        assert np.linalg.norm(left.position - right.position) == pytest.approx(
            min(now.gripper.width_m, panda.GRIPPER_MAX_WIDTH_M), abs=1e-3
        )
    env.close()


def test_only_what_moves_is_sent(server: viser.ViserServer) -> None:
    task = make_task("PickCube")
    stage = Stage(server.scene, "/cell", task.objects)
    cube = {"cube": flat_pose((0.5, 0.0, 0.02))}
    stage.pose(panda.Q_HOME_RAD, 0.08, cube)
    sent = messages(server)
    stage.pose(panda.Q_HOME_RAD, 0.08, cube)
    assert sent == []
    stage.pose(panda.Q_HOME_RAD, 0.08, {"cube": flat_pose((0.5, 0.01, 0.02))})
    assert {m["name"] for m in sent} == {"/cell/cube"} and len(sent) <= 2
    sent.clear()
    turned = panda.Q_HOME_RAD.copy()
    turned[6] += 0.01
    stage.pose(turned, 0.08, {"cube": flat_pose((0.5, 0.01, 0.02))})
    assert {m["name"] for m in sent} == {f"/cell/{b}" for b in ("link7", "hand", "left_finger", "right_finger")}


def test_an_object_nobody_knows_of_is_not_drawn(server: viser.ViserServer) -> None:
    stage = Stage(server.scene, "/cell", make_task("GraspInsert").objects)
    plug = node(server, "/cell/plug")
    assert not plug.visible
    stage.pose(panda.Q_HOME_RAD, 0.08, {"plug": flat_pose((0.5, 0.0, 0.03)), "somebody's cup": POSE})
    assert plug.visible and not node(server, "/cell/holder").visible
    stage.pose(panda.Q_HOME_RAD, 0.08, {})
    assert not plug.visible


def test_a_ghost_has_no_surroundings_and_one_colour(server: viser.ViserServer) -> None:
    objects = make_task("PegInsert").objects
    sent = messages(server)
    Stage(server.scene, "/ghost", objects, ghost_rgb=(1, 2, 3))
    meshes = [m for m in sent if m["kind"] == "MeshMessage"]
    assert meshes and all(0.0 < m["props"].opacity < 1.0 for m in meshes)
    assert {tuple(m["props"].color) for m in meshes} == {(1, 2, 3)}
    assert server.scene.get_handle_by_name("/ghost/world") is None
    assert {"/ghost/peg", "/ghost/socket"} <= {m["name"].rpartition("/")[0] for m in meshes}


def test_it_hides_and_goes(server: viser.ViserServer) -> None:
    stage = Stage(server.scene, "/cell", ())
    assert stage.visible
    stage.visible = False
    assert not stage.visible and not node(server, "/cell").visible
    stage.close()
    stage.close()
    assert server.scene.get_handle_by_name("/cell") is None
    again = Stage(server.scene, "/cell", ())
    assert again.visible


def test_every_kind_of_geom_has_its_size() -> None:
    spec = mujoco.MjSpec()
    kinds = {"BOX": (0.1, 0.2, 0.3), "CAPSULE": (0.1, 0.2, 0), "CYLINDER": (0.1, 0.2, 0), "SPHERE": (0.1, 0, 0)}
    kinds |= {"ELLIPSOID": (0.1, 0.2, 0.3), "PLANE": (0.4, 0.5, 0.1)}
    half = {"CAPSULE": (0.1, 0.1, 0.3), "CYLINDER": (0.1, 0.1, 0.2), "SPHERE": (0.1,) * 3, "PLANE": (0.4, 0.5, 0.0)}
    for k, (kind, size) in enumerate(kinds.items()):
        body = spec.worldbody.add_body(name=kind)
        body.add_geom(type=getattr(mujoco.mjtGeom, f"mjGEOM_{kind}"), size=size, pos=[k, 0, 0], rgba=[0.1, 0, 0, 1])
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[1, 1, 1], rgba=[0, 0, 0, 0])
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[1, 1, 1], rgba=[0, 0, 0, 1], group=3)
    corners = [[0, 0, 0], [0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.3]]
    spec.add_mesh(name="wedge", uservert=np.ravel(corners))
    wedge = spec.worldbody.add_body(name="MESH")
    wedge.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="wedge", rgba=[0.1, 0, 0, 1])
    model = spec.compile()
    for k, (kind, size) in enumerate(kinds.items()):
        (mesh,) = body_meshes(model, model.body(kind).id)
        extent = half.get(kind, size)
        np.testing.assert_allclose(mesh.vertices_m.min(0), np.array([k, 0, 0]) - extent, atol=2e-3)
        np.testing.assert_allclose(mesh.vertices_m.max(0), np.array([k, 0, 0]) + extent, atol=2e-3)
        check_mesh(mesh)
    (mesh,) = body_meshes(model, model.body("MESH").id)
    np.testing.assert_allclose(np.ptp(mesh.vertices_m, axis=0), [0.1, 0.2, 0.3], atol=1e-6)


def check_mesh(mesh: Mesh) -> None:
    assert mesh.faces.max() < len(mesh.vertices_m) and mesh.rgba == (0.1, 0.0, 0.0, 1.0)
    assert np.isfinite(mesh.vertices_m).all()


def test_a_texture_counts_as_its_mean_colour() -> None:
    model = build_model(())
    colors = {mesh.rgba for mesh in body_meshes(model, 0)}
    assert any(0.3 < r < g < b < 0.5 for r, g, b, _ in colors), colors
    assert (0.68, 0.55, 0.41, 1.0) in colors


def test_grown_is_bigger_all_around() -> None:
    model = build_model(())
    hand = model.body("hand").id
    plain, grown = (np.concatenate([m.vertices_m for m in body_meshes(model, hand, g)]) for g in (0.0, 0.002))
    assert (grown.min(0) < plain.min(0)).all() and (grown.max(0) > plain.max(0)).all()
    assert np.abs(np.ptp(grown, axis=0) - np.ptp(plain, axis=0)).max() < 0.005


@given(st.floats(0.0, 200.0), st.integers(0, 2**31))
def test_the_arrow_points_as_the_force_does(force_n: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = np.concatenate([rng.uniform(-1, 1, 3), random_quat(rng)])
    way = quat_rotate(random_quat(rng), [1.0, 0.0, 0.0])
    arrow = force_arrow(pose, np.concatenate([force_n * way, rng.uniform(-9, 9, 3)]))
    if force_n < 0.999:
        assert arrow is None
    if force_n <= 1.001:
        return
    assert arrow is not None
    (start, end), color = arrow
    assert np.linalg.norm(start - pose[:3]) < 0.1
    length = np.linalg.norm(end - start)
    assert 0.0 < length <= LONGEST_ARROW_M + 1e-9
    np.testing.assert_allclose((end - start) / length, quat_rotate(pose[3:], way), atol=1e-6)
    assert all(0 <= c <= 255 for c in color)


def test_more_force_is_longer_and_redder() -> None:
    arrows = [force_arrow(POSE, np.array([n, 0, 0, 0, 0, 0.0])) for n in (2.0, 10.0, 25.0)]
    lengths = [np.linalg.norm(a[0][1] - a[0][0]) for a in arrows if a is not None]
    reds = [a[1][0] - a[1][1] for a in arrows if a is not None]
    assert lengths == sorted(lengths) and reds == sorted(reds) and len(set(lengths)) == len(set(reds)) == 3
    assert force_arrow(POSE, np.full(6, np.nan)) is None


def test_the_box_has_twelve_edges_along_the_axes() -> None:
    edges = box_edges(TargetLimits((0.1, 0.2, 0.3), (0.5, 0.7, 0.9)))
    assert edges.shape == (12, 2, 3) and len({e.tobytes() for e in edges}) == 12
    along = np.abs(edges[:, 1] - edges[:, 0])
    assert sorted(np.count_nonzero(along > 0, axis=1).tolist()) == [1] * 12
    np.testing.assert_allclose(along.sum(0), [4 * 0.4, 4 * 0.5, 4 * 0.6])


def test_marks_follow_and_go(server: viser.ViserServer) -> None:
    marks = StageMarks(server.scene, "/marks", make_task("Reach").limits)
    tool, target, force = (node(server, f"/marks/{name}") for name in ("tool", "target", "force"))
    assert not tool.visible and not force.visible
    aim = POSE + np.array([0.0, 0.05, 0.0, 0.0, 0.0, 0.0, 0.0])
    marks.show(POSE, aim, np.array([0.0, 0.0, -12.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(tool.position, POSE[:3])
    np.testing.assert_allclose(target.position, aim[:3])
    np.testing.assert_allclose(node(server, "/marks/line").points[0], [POSE[:3], aim[:3]], atol=1e-7)
    assert tool.visible and force.visible
    assert force.points[0, 1, 2] > force.points[0, 0, 2]  # the tool points down, so a push along its -z goes up
    marks.show(POSE, aim, np.zeros(6))
    assert not force.visible
    marks.visible = False
    assert not marks.visible
    marks.close()
    marks.close()
    assert server.scene.get_handle_by_name("/marks") is None


@pytest.mark.slow
def test_a_browser_shows_the_robot(server: viser.ViserServer) -> None:
    initial_camera(server)
    task = make_task("PickCube")
    stage = Stage(server.scene, "/cell", task.objects)
    stage.pose(panda.Q_HOME_RAD, 0.08, {"cube": flat_pose((0.5, 0.0, 0.02))})
    with open_page(f"http://127.0.0.1:{server.get_port()}", SMALL) as page:
        assert shows_the_cell(picture(page, until=shows_the_cell))


def shows_the_cell(image: npt.NDArray[np.uint8]) -> bool:
    """Whether there is a wooden table in a page, a grey floor around it, and the dark rings of a robot."""
    red, green, blue = np.moveaxis(image.astype(int), 2, 0)
    table = (red - blue > 30) & (red > green) & (green > blue)
    floor = (blue - red > 10) & (red > 80) & (blue < 200)
    dark = np.maximum(red, blue) < 60
    return bool(table.mean() > 0.05 and floor.mean() > 0.05 and dark.mean() > 0.002)
