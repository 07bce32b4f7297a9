from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.protocols import Camera
from robot_rl.core.scene import Box, SceneObject
from robot_rl.hardware.cameras.driver import CameraDriver
from robot_rl.hardware.cameras.mirror import MirrorCamera
from robot_rl.hardware.cell.description import CameraConfig
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.hardware.mujoco.panda import Q_HOME_RAD
from robot_rl.testing import CameraContract

pytestmark = pytest.mark.gl

RED = (1.0, 0.0, 0.0, 1.0)
CUBE = SceneObject("cube", (Box((0.02, 0.02, 0.02), rgba=RED),))
PLATE = SceneObject("plate", (Box((0.05, 0.05, 0.01), rgba=(0.0, 0.0, 1.0, 1.0)),), mount="fixture")
PEG = SceneObject("peg", (Box((0.01, 0.01, 0.04), rgba=(0.0, 1.0, 0.0, 1.0)),), mount="hand")
OBJECTS = (CUBE, PLATE, PEG)
CUBE_POSE = np.array([0.5, 0.05, 0.02, 0.0, 0.0, 0.0, 1.0])
PLATE_POSE = np.array([0.45, -0.1, 0.01, 0.0, 0.0, np.sin(0.3), np.cos(0.3)])


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def fill(camera: MirrorCamera, t_s: float = 999.0) -> None:
    camera.set_joints(Q_HOME_RAD, t_s)
    camera.set_width(0.03)
    camera.set_object("cube", CUBE_POSE)
    camera.set_object("plate", PLATE_POSE)


@pytest.fixture
def camera() -> Iterator[MirrorCamera]:
    camera = MirrorCamera(CameraConfig(view="side"), OBJECTS, now_s=Clock())
    yield camera
    camera.close()


class TestMirrorCamera(CameraContract):
    def make(self) -> Camera:
        self.clock = Clock()
        self.camera = MirrorCamera(CameraConfig(view="wrist"), OBJECTS, now_s=self.clock)
        fill(self.camera)
        return self.camera

    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.camera.set_joints(Q_HOME_RAD + 0.01, self.clock.now_s)

    def test_is_a_driver(self, device: Camera) -> None:
        assert isinstance(device, CameraDriver)


@pytest.mark.parametrize("view", ["wrist", "side", "overview"])
def test_it_shows_exactly_what_the_simulation_shows(view: str) -> None:
    cell, sim = make_sim_cell(OBJECTS, ImpedanceParams(), (view,))
    sim.reset(Q_HOME_RAD + 0.1, 0.03, {"cube": CUBE_POSE, "plate": PLATE_POSE})
    expected = cell.cameras[view].read().image
    camera = MirrorCamera(CameraConfig(view=view), OBJECTS)
    try:
        camera.set_joints(cell.arm.state().q_rad, 1.0)
        camera.set_width(cell.gripper.state().width_m)
        for name in ("cube", "plate"):
            camera.set_object(name, cell.world.object_pose(name))
        np.testing.assert_array_equal(camera.read().image, expected)
    finally:
        camera.close()
        cell.close()


def test_there_is_no_picture_of_what_is_not_known(camera: MirrorCamera) -> None:
    assert camera.unknown == ("cube", "gripper", "joints", "plate")
    camera.set_joints(Q_HOME_RAD, 1.0)
    camera.set_width(0.02)
    camera.set_object("plate", PLATE_POSE)
    with pytest.raises(DeviceError, match="nothing was heard of cube"):
        camera.read()
    assert camera.health()["problem"] == "nothing was heard of cube"
    camera.set_object("cube", CUBE_POSE)
    assert camera.read().sequence == 0
    assert "problem" not in camera.health()


def test_a_frame_is_as_old_as_the_joints_it_shows_and_never_of_the_future(camera: MirrorCamera) -> None:
    fill(camera, t_s=990.0)
    first = camera.read()
    assert (first.t_s, first.sequence) == (990.0, 0)
    camera.set_width(0.08)
    assert camera.read() is first
    camera.set_joints(Q_HOME_RAD, 989.0)
    assert camera.read() is first
    camera.set_joints(Q_HOME_RAD, 1010.0)
    assert (camera.read().t_s, camera.read().sequence) == (1000.0, 1)


@pytest.mark.parametrize(
    ("change", "view"), [("joints", "side"), ("width", "wrist"), ("cube", "side"), ("plate", "side")]
)
def test_every_part_is_seen_to_move(change: str, view: str) -> None:
    camera = MirrorCamera(CameraConfig(view=view), OBJECTS)
    fill(camera)
    before = camera.read().image
    q_rad = Q_HOME_RAD.copy()
    match change:
        case "joints":
            q_rad[0] += 0.1
        case "width":
            camera.set_width(0.08)
        case _:
            camera.set_object(change, [0.4, 0.0, 0.1, 0.0, 0.0, 0.0, 1.0])
    camera.set_joints(q_rad, 999.5)
    assert (camera.read().image != before).any(-1).sum() > 20
    camera.close()


def test_nonsense_is_not_shown(camera: MirrorCamera) -> None:
    fill(camera)
    before = camera.read().image
    camera.set_object("cube", [np.nan] * 7)
    camera.set_object("peg", [0.0] * 7)
    camera.set_width(np.nan)
    camera.set_joints(np.full(7, np.inf), 999.4)
    camera.set_joints(Q_HOME_RAD, 999.5)
    np.testing.assert_array_equal(camera.read().image, before)
    with pytest.raises(DeviceError, match="unknown object 'cub': did you mean 'cube'"):
        camera.set_object("cub", CUBE_POSE)


@pytest.mark.parametrize(
    "config",
    [
        CameraConfig(view="side"),
        CameraConfig(view="side", image_size=None),
        CameraConfig(view="side", crop=(100, 80, 400, 300), image_size=(150, 100)),
    ],
    ids=["direct", "whole", "cropped"],
)
def test_an_object_is_where_the_intrinsics_say(config: CameraConfig) -> None:
    """A small red ball, as it were, beside the arm: its centre in the picture and through the camera's matrix."""
    spot = SceneObject("spot", (Box((0.004, 0.004, 0.004), rgba=RED),))
    position_m = np.array([0.6, 0.06, 0.03])
    camera = MirrorCamera(config, (spot,), gripper=False)
    cell, sim = make_sim_cell((spot,), ImpedanceParams())
    try:
        camera.set_joints(Q_HOME_RAD, 1.0)
        camera.set_object("spot", [*position_m, 0.0, 0.0, 0.0, 1.0])
        image = camera.read().image.astype(int)
        red = image[..., 0] - image[..., 1:].max(-1)
        rows, columns = np.nonzero(red > 60)
        assert rows.size > 0
        # MuJoCo's cameras look along -z with y up; the optical frame is turned by half a turn about x.
        side = sim.data.camera("side")
        point_m = np.diag([1.0, -1.0, -1.0]) @ side.xmat.reshape(3, 3).T @ (position_m - side.xpos)
        assert camera.intrinsics is not None
        np.testing.assert_allclose((columns.mean(), rows.mean()), camera.intrinsics.pixel(point_m), atol=0.7)
    finally:
        camera.close()
        cell.close()


def test_there_is_no_exposure_no_such_view_and_no_such_size() -> None:
    camera = MirrorCamera(CameraConfig(), ())
    with pytest.raises(ConfigError, match="has no exposure"):
        camera.set_exposure_us(100.0)
    with pytest.raises(ConfigError, match="unknown view 'front'"):
        MirrorCamera(CameraConfig(view="front"), ())
    with pytest.raises(ConfigError, match="picture is 1920x1080, expected at most 1280x960"):
        MirrorCamera(CameraConfig(image_size=(1080, 1920)), ())
