"""No request does harm: whatever the bytes, there is an answer of the right form and the arm stays finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.hardware.fci.controller import Controller
from robot_rl.hardware.fci.messages import (
    REQUEST_BYTES,
    ROBOT_COMMAND,
    Command,
    ControllerMode,
    MotionMode,
    MoveStatus,
    Request,
)
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.requests import RequestDesk
from robot_rl.hardware.fci.snapshot import Snapshot
from robot_rl.hardware.mujoco import panda

DOUBLES = st.floats(width=64) | st.floats(-10.0, 10.0)


@pytest.fixture(scope="module")
def controller() -> Controller:
    return Controller(ArmPlant())


@given(st.sampled_from(Command), st.lists(DOUBLES, min_size=60, max_size=60), st.binary(min_size=120, max_size=120))
@settings(max_examples=50, deadline=None)
def test_any_payload_has_an_answer(
    controller: Controller, command: Command, numbers: list[float], noise: bytes
) -> None:
    desk = RequestDesk(controller)
    doubles = np.array(numbers).tobytes()
    for payload in (doubles, noise + doubles):
        body = desk.answer(Request(command, 1, payload[: REQUEST_BYTES[command]]), 0)
        assert body[0] <= 11
    controller.tick(None)
    state = np.frombuffer(Snapshot(controller).pack(1), "u1")
    assert len(state) == 1377
    assert np.isfinite(controller.plant.q).all() and np.isfinite(controller.plant.wrench_base_k).all()


@given(st.sampled_from(Command), st.integers(1, 20))
def test_a_payload_of_another_size_is_refused(controller: Controller, command: Command, more: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        RequestDesk(controller).answer(Request(command, 1, bytes(REQUEST_BYTES[command] + more)), 0)


def test_an_unknown_command_is_refused(controller: Controller) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        RequestDesk(controller).answer(Request(12, 1, b""), 0)


@given(
    st.sampled_from(ControllerMode),
    st.sampled_from([m for m in MotionMode if m is not MotionMode.IDLE]),
    st.lists(st.lists(DOUBLES, min_size=45, max_size=45), min_size=1, max_size=4),
)
@settings(max_examples=50, deadline=None)
def test_no_command_breaks_the_arm(
    controller: Controller, law: ControllerMode, mode: MotionMode, rows: list[list[float]]
) -> None:
    controller.end(MoveStatus.ABORTED)
    controller.plant.reset(panda.Q_HOME_RAD)
    controller.settle()
    controller.user_stop(False)
    controller.recover()
    controller.start(1, law, mode)
    for i, row in enumerate(rows):
        command = np.zeros((), ROBOT_COMMAND)
        command["message_id"] = i + 1
        names = ("q_c", "dq_c", "O_T_EE_c", "O_dP_EE_c", "elbow_c", "tau_J_d")
        taken = 0
        for name in names:
            width = command[name].shape[0]
            command[name] = row[taken : taken + width]
            taken += width
        controller.tick(command)
    assert np.isfinite(controller.plant.q).all()
    assert np.isfinite(controller.desired.q).all()
    assert np.abs(controller.plant.q - panda.Q_HOME_RAD).max() < 0.5
