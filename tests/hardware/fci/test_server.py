"""The emulator over real sockets, with a client that knows the layouts alone."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.hardware.fci.messages import ERRORS
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.server import FciServer, ServerOptions
from robot_rl.hardware.mujoco import panda
from tests.hardware.fci.client import ArmClient, FaultClient, HandClient
from tests.hardware.fci.conftest import Emulator

JOINT_IMPEDANCE, EXTERNAL = 0, 2
JOINT_POSITION, NO_MOTION = 0, 4
IDLE, MOVE, REFLEX, USER_STOPPED = 1, 2, 4, 5


def wait_for_mode(arm: ArmClient, mode: int) -> np.void:
    for _ in range(5000):
        state = arm.state()
        if state["robot_mode"] == mode:
            return state
    raise AssertionError(f"robot mode {mode} never came")


def float_freely(arm: ArmClient, seconds: float) -> np.void:
    """Answer states with zero torques until the motion ends or the robot's time is over; the last state."""
    first = wait_for_mode(arm, MOVE)
    state = first
    while state["robot_mode"] == MOVE and state["message_id"] - first["message_id"] < 1000 * seconds:
        arm.command(state)
        state = arm.state()
    return state


def test_connect_tells_the_version(emulator: Emulator, arm: ArmClient) -> None:
    assert arm.connect_reply == struct.pack("<BH", 0, 10)
    arm.close()
    old = ArmClient(emulator.address, version=9)
    assert old.connect_reply == struct.pack("<BH", 1, 10)
    old.close()


def test_states_at_rest(arm: ArmClient) -> None:
    first, second = arm.state(), arm.state()
    assert second["message_id"] > first["message_id"]
    np.testing.assert_allclose(first["q"], panda.Q_HOME_RAD, atol=1e-6)
    pose = first["O_T_EE"].reshape(4, 4).T
    np.testing.assert_allclose(pose[:3, 3], [0.3069, 0.0, 0.4869], atol=1e-4)
    np.testing.assert_allclose(pose[:3, :3], np.diag([1.0, -1.0, -1.0]), atol=1e-6)
    np.testing.assert_allclose(first["O_T_EE_d"], first["O_T_EE"], atol=1e-6)
    assert (first["robot_mode"], first["motion_generator_mode"], first["controller_mode"]) == (IDLE, 0, 3)
    assert not first["errors"].any()


def test_the_model_is_text(arm: ArmClient) -> None:
    body = arm.ask(11)
    assert body[0] == 0 and b'<robot name="panda">' in body


def test_a_motion_from_start_to_end(arm: ArmClient) -> None:
    number, status = arm.move(JOINT_IMPEDANCE, JOINT_POSITION)
    assert status == 1
    state = wait_for_mode(arm, MOVE)
    assert state["motion_generator_mode"] == 1 and state["controller_mode"] == JOINT_IMPEDANCE
    began, start = int(state["message_id"]), state["q_d"].astype(float)
    while state["robot_mode"] == MOVE:
        t = (int(state["message_id"]) - began) * 1e-3
        q = start.copy()
        q[0] += 0.1 * (1.0 - np.cos(np.pi * min(t / 0.5, 1.0)))
        arm.command(state, q_c=q, motion_generation_finished=t >= 0.7)
        state = arm.state()
    assert arm.end_of_motion() == (number, 0)
    np.testing.assert_allclose(arm.fresh_state()["q"][0], 0.2, atol=1e-3)


def test_a_reflex_refusal_and_recovery(arm: ArmClient, faults: FaultClient) -> None:
    thresholds = [20.0] * 28 + [10.0] * 24
    assert arm.ask(3, struct.pack("<52d", *thresholds)) == b"\0"
    number, _ = arm.move(EXTERNAL, NO_MOTION)
    assert faults.say("push 0 0 -25 50") == "ok"
    float_freely(arm, 5.0)
    assert arm.end_of_motion() == (number, 8)
    state = wait_for_mode(arm, REFLEX)
    assert [ERRORS[i] for i in np.flatnonzero(state["errors"])] == ["cartesian_reflex"]
    assert arm.move(EXTERNAL, NO_MOTION)[1] == 5
    assert arm.ask(10) == b"\0"
    state = wait_for_mode(arm, IDLE)
    assert not state["errors"].any() and state["reflex_reason"].any()
    time.sleep(0.1)  # the push is over
    assert arm.move(EXTERNAL, NO_MOTION)[1] == 1


def test_the_user_stop(arm: ArmClient, faults: FaultClient) -> None:
    number, _ = arm.move(EXTERNAL, NO_MOTION)
    float_freely(arm, 0.05)
    assert faults.say("user-stop on") == "ok"
    assert arm.end_of_motion() == (number, 9)
    wait_for_mode(arm, USER_STOPPED)
    assert arm.ask(10) == b"\2"
    assert faults.say("user-stop off") == "ok"
    wait_for_mode(arm, IDLE)


def test_stop_preempts(arm: ArmClient) -> None:
    number, _ = arm.move(EXTERNAL, NO_MOTION)
    float_freely(arm, 0.02)
    assert arm.ask(2) == b"\0"
    assert arm.end_of_motion() == (number, 2)
    assert arm.ask(2) == b"\1"


@pytest.mark.parametrize("strict", ["on", "off"])
def test_a_silent_client_is_noticed(arm: ArmClient, faults: FaultClient, strict: str) -> None:
    faults.say(f"strict {strict}")
    arm.move(EXTERNAL, NO_MOTION)
    arm.command(wait_for_mode(arm, MOVE))
    assert arm.end_of_motion()[1] == 8
    state = wait_for_mode(arm, REFLEX)
    assert state["errors"][ERRORS.index("communication_constraints_violation")]


def test_the_robot_waits_for_a_slow_client(arm: ArmClient) -> None:
    arm.move(EXTERNAL, NO_MOTION)
    arm.command(wait_for_mode(arm, MOVE))
    for _ in range(3):
        before = arm.fresh_state()
        time.sleep(0.1)
        arm.command(before)
        after = arm.state()
        assert after["message_id"] == before["message_id"] + 1
        assert after["robot_mode"] == MOVE
        arm.command(after)


def test_lost_datagrams_do_not_stop_a_motion(arm: ArmClient, faults: FaultClient) -> None:
    faults.say("drop-commands 0.1")
    faults.say("drop-states 0.1")
    arm.move(EXTERNAL, NO_MOTION)
    state = float_freely(arm, 0.5)
    assert state["robot_mode"] == MOVE
    assert 0.5 < state["control_command_success_rate"] < 1.0


@pytest.mark.parametrize("line", ["drop-commands 1", "drop-states 1", "freeze 200"])
def test_a_network_that_loses_all_ends_a_motion(arm: ArmClient, faults: FaultClient, line: str) -> None:
    number, _ = arm.move(EXTERNAL, NO_MOTION)
    state = float_freely(arm, 0.05)
    assert faults.say(line) == "ok"
    arm.command(state)
    for _ in range(60 if line == "drop-commands 1" else 0):
        arm.command(arm.state())
    assert arm.end_of_motion() == (number, 8)
    assert "errors=communication_constraints_violation" in faults.say("status")


def test_settings_are_checked(arm: ArmClient) -> None:
    unit = np.eye(4)
    unit[:3, 3] = 0.0, 0.0, 0.05
    assert arm.ask(8, unit.T.tobytes()) == b"\0"
    assert arm.ask(9, struct.pack("<13d", 0.3, *[0.0] * 12)) == b"\0"
    time.sleep(0.05)
    state = arm.fresh_state()
    assert state["NE_T_EE"][14] == pytest.approx(0.05)
    assert state["O_T_EE"][14] == pytest.approx(0.4869 - 0.05, abs=1e-3)
    assert state["m_load"] == pytest.approx(0.3)
    assert arm.ask(4, struct.pack("<7d", *[3000.0] * 7)) == b"\0"
    assert arm.ask(5, struct.pack("<6d", *[1e6] * 6)) == b"\2"
    assert arm.ask(8, (2.0 * unit).tobytes()) == b"\2"
    assert arm.ask(9, struct.pack("<13d", -1.0, *[0.0] * 12)) == b"\2"
    assert arm.move(EXTERNAL, JOINT_POSITION, planned=True)[1] == 7
    assert arm.move(7, JOINT_POSITION)[1] == 7


def test_nonsense_is_hung_up_on_and_the_next_client_served(emulator: Emulator, arm: ArmClient) -> None:
    arm.tcp.sendall(struct.pack("<III", 99, 1, 12))
    assert arm.tcp.recv(10) == b""
    other = ArmClient(emulator.address)
    assert other.connect_reply[0] == 0
    other.close()


def test_a_client_that_goes_away_ends_its_motion(emulator: Emulator, arm: ArmClient, faults: FaultClient) -> None:
    arm.move(EXTERNAL, NO_MOTION)
    assert "motion=none/external" in faults.say("status")
    arm.close()
    for _ in range(200):
        if "motion=none errors" in (status := faults.say("status")):
            break
        time.sleep(0.01)
    assert "mode=idle" in status


def test_the_hand(hand: HandClient) -> None:
    assert hand.connect_reply == struct.pack("<HH", 0, 3)
    _, width, largest, grasped, _ = hand.state()
    assert (round(width, 3), largest, grasped) == (0.08, 0.08, False)
    assert hand.status(3, 0.04, 0.1) == 0
    assert hand.status(2, 0.04, 0.005, 0.005, 0.1, 20.0) == 2  # nothing there to hold
    assert hand.status(2, 0.0, 0.005, 0.005, 0.1, 20.0) == 0
    _, width, _, grasped, _ = hand.state()
    assert grasped and width == pytest.approx(0.0, abs=1e-3)
    assert hand.status(3, 0.2, 0.1) == 1


def test_a_stop_ends_the_hands_motion(hand: HandClient, faults: FaultClient) -> None:
    faults.say("jam on")
    homing = hand.send(1)
    stop = hand.send(4)
    assert hand.reply() == (1, homing, struct.pack("<H", 3))
    assert hand.reply() == (4, stop, struct.pack("<H", 0))


def test_fault_lines_explain_themselves(faults: FaultClient) -> None:
    assert "push FX FY FZ" in faults.say("help")
    assert faults.say("psh 1").startswith("error unknown line 'psh': did you mean 'push'?")
    assert faults.say("push 1 x 2").startswith("error got 'push 1 x 2', expected push FX")
    assert faults.say("drop-states 2").startswith("error got")
    assert faults.say("error nothing").startswith("error unknown error")
    assert faults.say("error power_limit_violation") == "ok"
    assert "errors=power_limit_violation" in faults.say("status")
    assert faults.say("home") == "ok"


def test_a_frozen_network_and_a_hang_up(arm: ArmClient, faults: FaultClient) -> None:
    before = arm.fresh_state()
    faults.say("freeze 100")
    last = before
    while (state := arm.state())["message_id"] - last["message_id"] < 100:
        last = state
    faults.say("hang-up")
    assert arm.tcp.recv(10) == b""


def test_options_are_sentences() -> None:
    with pytest.raises(ConfigError, match="no password"):
        ServerOptions(address="192.0.2.1")
    assert ServerOptions(address="192.0.2.1", allow_remote=True).address == "192.0.2.1"
    with pytest.raises(ConfigError, match="IP address"):
        ServerOptions(address="localhost")
    with pytest.raises(ConfigError, match="rate_hz"):
        ServerOptions(rate_hz=-1.0)


def test_a_port_in_use_is_a_sentence(emulator: Emulator) -> None:
    with pytest.raises(DeviceError, match="another emulator"):
        FciServer(ArmPlant(), ServerOptions(address=emulator.address))
