"""The simulated cell as a process: its world, and what is random in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from robot_rl.cli.node import make_scene
from robot_rl.core.errors import DeviceError
from robot_rl.core.imperfections import Imperfections
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.messages import pose_of, seconds_of
from tests.hardware.ros.conftest import test_cell, wait_until
from tests.hardware.ros.sim_cell import Observer, SimCell, fresh_start

CUBE = names.object_pose("cube")


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimCell]:
    cell = SimCell(test_cell(), tmp_path_factory.mktemp("sim"))
    yield cell
    assert cell.close() == 0, cell.process.text


@pytest.fixture
def seen(cell: SimCell) -> Iterator[Observer]:
    scene, observer = make_scene(cell.config), cell.observer
    set_start(observer, scene.start_base_tcp, scene.start_width_m, scene.start_objects["cube"])
    fresh_start(observer)
    yield observer
    observer.say_mode("")


def set_start(seen: Observer, pose: np.ndarray, width_m: float, cube: np.ndarray) -> None:
    values = {
        names.START_POSE: pose.tolist(),
        names.START_WIDTH: float(width_m),
        names.start_object("cube"): cube.tolist(),
    }
    seen.calls.set_parameters("world", values)


def test_it_begins_where_its_scene_begins(cell: SimCell, seen: Observer) -> None:
    scene = make_scene(cell.config)
    np.testing.assert_allclose(seen.pose[:3], scene.start_base_tcp[:3], atol=1e-3)
    np.testing.assert_allclose(pose_of(seen.heard[CUBE][-1]), scene.start_objects["cube"], atol=1e-3)
    assert seen.heard[CUBE][-1].header.frame_id == "base"
    assert seen.width_m == pytest.approx(scene.start_width_m, abs=1e-3)


def test_a_reset_happens_between_two_readings(cell: SimCell, seen: Observer) -> None:
    pose, cube = seen.moved(-0.04, 0.06, 0.05), pose_of(seen.heard[CUBE][-1])
    cube[:2] += (0.03, -0.04)
    old = seen.pose
    set_start(seen, pose, 0.05, cube)
    n, m, began_s = len(seen.heard[names.CURRENT_POSE]), len(seen.heard[CUBE]), time.time()
    with seen.repeating(lambda: seen.send(old, t_s=began_s)):
        assert seen.calls.trigger(names.WORLD_RESET) == (True, "")
        answered_s = time.time()
        seen.pass_time(0.4)
    poses = [pose_of(message)[:3] for message in seen.heard[names.CURRENT_POSE][n:]]
    is_new = [bool(np.abs(p - pose[:3]).max() < 2e-3) for p in poses]
    is_old = [bool(np.abs(p - old[:3]).max() < 2e-3) for p in poses]
    assert all(a != b for a, b in zip(is_new, is_old, strict=True)), "a reading that is neither"
    assert is_new == sorted(is_new), "the arm went back to a target from before the reset"
    first = is_new.index(True)
    assert seconds_of(seen.heard[names.CURRENT_POSE][n + first].header.stamp) <= answered_s
    shown = [pose_of(message)[:2] for message in seen.heard[CUBE][m:]]
    moved = [bool(np.abs(p - cube[:2]).max() < 2e-3) for p in shown]
    assert moved == sorted(moved)
    assert moved[-1]
    assert seen.width_m == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize("mode", ["disabled", "fault", "stopped"])
def test_after_a_reset_only_an_enabled_arbiter_is_obeyed(seen: Observer, mode: str) -> None:
    goal = seen.moved(0.04)
    seen.say_mode(mode)
    seen.pass_time(0.2)
    assert seen.calls.trigger(names.WORLD_RESET)[0]
    start = seen.pose
    with seen.repeating(lambda: seen.send(goal)):
        seen.pass_time(0.3)
        np.testing.assert_allclose(seen.pose[:3], start[:3], atol=1e-3)
        seen.say_mode("holding")
        wait_until(lambda: np.abs(seen.pose[:3] - goal[:3]).max() < 0.004, "the enabled arbiter to be obeyed")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (names.START_POSE, [0.5, 0.0, 0.3], "seven"),
        (names.START_POSE, [0.5, 0.0, float("nan"), 1.0, 0.0, 0.0, 0.0], "finite"),
        (names.START_POSE, [0.5, 0.0, 0.3, 1.0, 1.0, 0.0, 0.0], "unit"),
        (names.START_WIDTH, 0.2, "0.08"),
        (names.START_WIDTH, float("nan"), "nan"),
        (names.place_object("cube"), [0.5], "seven"),
    ],
)
def test_a_start_that_cannot_be_is_refused_with_a_reason(
    seen: Observer, name: str, value: float | list[float], reason: str
) -> None:
    with pytest.raises(DeviceError, match=reason):
        seen.calls.set_parameters("world", {name: value})


def test_a_start_out_of_reach_fails_and_changes_nothing(seen: Observer) -> None:
    before = seen.pose
    seen.calls.set_parameters("world", {names.START_POSE: [3.0, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]})
    done, text = seen.calls.trigger(names.WORLD_RESET)
    assert not done
    assert "reaches" in text
    seen.pass_time(0.1)
    np.testing.assert_allclose(seen.pose[:3], before[:3], atol=1e-3)


def test_objects_are_placed(seen: Observer) -> None:
    done, text = seen.calls.trigger(names.WORLD_PLACE)
    assert not done
    assert "place." in text
    cube = pose_of(seen.heard[CUBE][-1])
    cube[:2] += (0.05, 0.05)
    seen.calls.set_parameters("world", {names.place_object("cube"): cube.tolist()})
    assert seen.calls.trigger(names.WORLD_PLACE) == (True, "")
    wait_until(lambda: np.abs(pose_of(seen.heard[CUBE][-1])[:2] - cube[:2]).max() < 2e-3, "the cube to be there", 10.0)


def test_imperfections_are_those_of_the_description(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = test_cell()
    slow = Imperfections(command_delay_s=1.0, state_delay_s=0.05)
    cell = SimCell(replace(config, name=f"{config.name}_slow", imperfections=slow), tmp_path_factory.mktemp("slow"))
    try:
        seen = cell.observer
        goal, start = seen.moved(0.04), seen.pose
        began_s = time.time()
        with seen.repeating(lambda: seen.send(goal)):
            wait_until(lambda: np.abs(seen.pose[:3] - goal[:3]).max() < 0.01, "the arm to follow")
        away = [m for m in seen.heard[names.CURRENT_POSE] if np.abs(pose_of(m)[:3] - start[:3]).max() > 2e-3]
        assert seconds_of(away[0].header.stamp) > began_s + 1.0
    finally:
        assert cell.close() == 0, cell.process.text
