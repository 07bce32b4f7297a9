"""Latency, loss and noise of devices: nothing when off, honest about time, as large as asked for."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from robot_rl.core.imperfections import FRANKA, Imperfections
from robot_rl.core.types import ArmState, GripperState
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.imperfect.devices import ImperfectArm
from robot_rl.hardware.mujoco.devices import make_sim_cell
from tests.hardware.imperfect_cells import make_cell, moved, start


def test_off_is_the_bare_cell() -> None:
    task = make_task("PickCube")
    bare, _ = make_sim_cell(task.objects, task.impedance)
    assert Imperfections().off and imperfect_cell(bare, Imperfections()) is bare
    assert all(not replace(FRANKA, **{f.name: 0.0}).off for f in fields(FRANKA) if not f.name.endswith("_hz"))


def test_splitting_the_sleep_for_readings_does_not_change_the_physics() -> None:
    cells = [make_cell(Imperfections()), make_cell(Imperfections(state_delay_s=0.004, state_hz=333.0))]
    for cell in cells:
        cell.arm.set_target(moved(cell.arm.state().pose_base_tcp, 0.03))
        cell.clock.sleep_until(cell.clock.now_s() + 0.3)
    bare, late = (cell.world.object_pose("cube").tobytes() for cell in cells)
    assert bare == late
    cells[1].arm.move_joints(cells[0].arm.state().q_rad, 0.5)
    cells[0].arm.move_joints(cells[0].arm.state().q_rad, 0.5)
    assert cells[0].arm.state().q_rad.tobytes() == cells[1].arm.state().q_rad.tobytes()


def test_a_late_reading_says_when_it_was_taken_and_what_was_true_then() -> None:
    task = make_task("PickCube")
    bare, _ = make_sim_cell(task.objects, task.impedance)
    late = imperfect_cell(bare, Imperfections(state_delay_s=0.05))
    late.world.reset(*start())
    late.arm.set_target(moved(late.arm.state().pose_base_tcp, 0.03))
    truth: dict[int, ArmState] = {}
    began_s = late.clock.now_s()
    for n in range(1, 301):
        late.clock.sleep_until(began_s + 0.001 * n)
        truth[round(bare.clock.now_s() * 1000)] = bare.arm.state()
        seen = late.arm.state()
        assert late.clock.now_s() - seen.t_s >= 0.0
        if n > 60:
            assert late.clock.now_s() - seen.t_s == pytest.approx(0.05, abs=0.0025)
            then = truth[round(seen.t_s * 1000)]
            np.testing.assert_array_equal(seen.pose_base_tcp, then.pose_base_tcp)
            np.testing.assert_array_equal(seen.q_rad, then.q_rad)
    assert truth[300].pose_base_tcp[2] != truth[250].pose_base_tcp[2], "it moved meanwhile"


def test_a_late_target_starts_the_motion_late() -> None:
    cells = [make_cell(Imperfections()), make_cell(Imperfections(command_delay_s=0.05))]
    heights: list[list[float]] = []
    for cell in cells:
        target, began_s = moved(cell.arm.state().pose_base_tcp, 0.03), cell.clock.now_s()
        cell.clock.sleep_until(began_s + 0.1)
        cell.arm.set_target(target)
        track = []
        for n in range(1, 201):
            cell.clock.sleep_until(began_s + 0.1 + 0.001 * n)
            track.append(float(cell.arm.state().pose_base_tcp[2]))
        heights.append(track)
    np.testing.assert_allclose(heights[1][50:], heights[0][:-50], atol=2e-5)
    assert heights[0][100] - heights[1][100] > 1e-3


def test_the_wrench_has_the_noise_and_the_bias_that_were_asked_for() -> None:
    settings_ = Imperfections(wrench_noise_n=0.4, wrench_noise_nm=0.02, wrench_bias_n=2.0, wrench_bias_nm=0.1)
    task = make_task("PickCube")
    bare, _ = make_sim_cell(task.objects, task.impedance)
    cell = imperfect_cell(bare, settings_)
    assert cell.reseed is not None
    biases = []
    for seed in range(3):
        cell.reseed(seed)
        cell.world.reset(*start())
        errors = []
        for _ in range(1000):
            cell.clock.sleep_until(cell.clock.now_s() + 0.002)
            seen = cell.arm.state()
            errors.append(seen.wrench_tcp - bare.arm.state().wrench_tcp)
        spread, bias = np.std(errors, axis=0), np.mean(errors, axis=0)
        np.testing.assert_allclose(spread[:3], 0.4, rtol=0.12)
        np.testing.assert_allclose(spread[3:], 0.02, rtol=0.12)
        assert (np.abs(bias[:3]) < 2.1).all() and (np.abs(bias[3:]) < 0.11).all()
        biases.append(bias)
    assert np.std(biases, axis=0)[:3].min() > 0.05, "another episode, another bias"


def test_the_gripper_waits_for_its_dead_time_once() -> None:
    cell = make_cell(Imperfections(gripper_delay_s=0.2))
    widest = cell.gripper.state().max_width_m
    cell.gripper.command(0.0)
    for _ in range(19):
        cell.clock.sleep_until(cell.clock.now_s() + 0.01)
        cell.gripper.command(0.0)
    assert cell.gripper.state().width_m == pytest.approx(widest, abs=1e-3)
    assert cell.gripper.state().target_m == 0.0
    cell.clock.sleep_until(cell.clock.now_s() + 0.15)
    assert cell.gripper.state().width_m < 0.9 * widest, "said again, it must not wait again"


def test_wrapping_the_readings_leaves_the_device_alone() -> None:
    cell = make_cell(Imperfections(state_delay_s=0.01))
    assert isinstance(cell.arm, ImperfectArm)
    seen: ArmState = cell.arm.state()
    seen.q_rad[:] = 9.0
    grip: GripperState = cell.gripper.state()
    assert not (cell.arm.state().q_rad == 9.0).any() and grip.max_width_m > 0.0
