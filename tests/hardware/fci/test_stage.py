"""Objects of the emulated cell from another process's side, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.fci.fault_port import MAX_CLIENTS, MAX_LINE_BYTES
from robot_rl.hardware.fci.faults import FAULT_PORT
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.stage import EmulatorStage
from tests.hardware.fci.client import TIMEOUT_S, FaultClient
from tests.hardware.fci.conftest import Emulator

POSE = np.array([0.55, 0.1, 0.2, 0.0, 0.0, np.sin(0.2), np.cos(0.2)])
RESTING = np.array([0.5, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0])


@pytest.fixture
def cube() -> Iterator[Emulator]:
    served = Emulator(ArmPlant(make_task("PickCube").objects))
    yield served
    served.close()


@pytest.fixture
def stage(cube: Emulator) -> Iterator[EmulatorStage]:
    client = EmulatorStage(cube.address)
    client.place("cube", RESTING)
    yield client
    client.close()


def test_a_placed_object_lies_where_it_was_put(stage: EmulatorStage) -> None:
    there = RESTING + np.array([0.05, 0.02, 0.0, 0.0, 0.0, 0.0, 0.0])
    stage.place("cube", there)
    np.testing.assert_allclose(stage.object_pose("cube"), there, atol=1e-3)
    assert list(stage.poses()) == ["cube"]


def test_an_object_in_the_air_falls_from_rest(stage: EmulatorStage) -> None:
    for _ in range(2):
        stage.place("cube", POSE)
        pose = stage.object_pose("cube")
        # It was on its way down before the second time; had it kept its speed, it would be lower.
        assert POSE[2] - 0.02 < pose[2] <= POSE[2]
        np.testing.assert_allclose(pose[[0, 1, 5, 6]], POSE[[0, 1, 5, 6]], atol=1e-6)
        while stage.object_pose("cube")[2] > POSE[2] - 0.1:
            pass


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("place nothing 0 0 0 0 0 0 1", "unknown object 'nothing'"),
        ("place cube 0 0 0", "expected place NAME"),
        ("place cube 0 0 0 0 0 0 one", "expected place NAME"),
        ("place cube 0 0 nan 0 0 0 1", "seven finite numbers"),
        ("place cube 0 0 0 0 0 0 2", "unit quaternion"),
        ("place", "expected place NAME"),
    ],
)
def test_what_cannot_be_placed_is_refused(stage: EmulatorStage, line: str, reason: str) -> None:
    with pytest.raises(DeviceError, match=reason):
        stage.line(line)
    np.testing.assert_allclose(stage.object_pose("cube"), RESTING, atol=1e-3)


def test_unknown_names_and_bad_poses_are_device_errors(stage: EmulatorStage) -> None:
    with pytest.raises(DeviceError, match="did you mean 'cube'"):
        stage.object_pose("cub")
    with pytest.raises(DeviceError, match="seven finite numbers"):
        stage.place("cube", np.full(7, np.inf))


def test_what_the_hand_holds_cannot_be_placed_but_fixtures_can() -> None:
    served = Emulator(ArmPlant(make_task("PegInsert").objects))
    stage = EmulatorStage(served.address)
    try:
        with pytest.raises(DeviceError, match="held by the hand"):
            stage.place("peg", POSE)
        stage.place("socket", POSE)
        np.testing.assert_allclose(stage.object_pose("socket"), POSE, atol=1e-9)
    finally:
        stage.close()
        served.close()


def test_a_cell_without_objects_has_none(emulator: Emulator) -> None:
    stage = EmulatorStage(emulator.address)
    assert stage.poses() == {}
    stage.close()


def test_several_clients_are_served(cube: Emulator, stage: EmulatorStage) -> None:
    others = [FaultClient(cube.address) for _ in range(3)]
    for other in others:
        assert other.say("objects").startswith("ok cube ")
    assert "cube" in stage.poses()
    for other in others:
        other.close()


def test_too_many_clients_are_hung_up_on(cube: Emulator) -> None:
    clients = [FaultClient(cube.address) for _ in range(MAX_CLIENTS)]
    assert all(client.say("status").startswith("ok") for client in clients)
    late = EmulatorStage(cube.address)
    with pytest.raises(DeviceError, match="no emulator answers"):
        late.line("status")
    for client in clients:
        client.close()
    late.close()


@pytest.mark.parametrize("end", ["", "\n"])
def test_an_endless_line_is_hung_up_on(cube: Emulator, end: str) -> None:
    with socket.create_connection((cube.address, FAULT_PORT), TIMEOUT_S) as rude:
        rude.sendall(f"{'x' * (MAX_LINE_BYTES + 1)}{end}".encode())
        assert rude.recv(1) == b""


def test_a_restarted_emulator_is_found_again() -> None:
    served = Emulator()
    stage = EmulatorStage(served.address)
    assert stage.line("status").startswith("mode=idle")
    served.close()
    with pytest.raises(DeviceError, match="no emulator answers"):
        stage.line("status")
    again = Emulator(address=served.address)
    assert stage.line("status").startswith("mode=idle")
    again.close()
    twice = Emulator(address=served.address)
    assert stage.line("status").startswith("mode=idle")
    stage.close()
    stage.close()
    twice.close()
