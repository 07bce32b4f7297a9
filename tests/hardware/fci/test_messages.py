"""Layouts, byte for byte: the sizes are those of protocol version 10."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.hardware.fci import gripper, messages
from robot_rl.hardware.fci.messages import Request, pack_reply, split_requests


def test_sizes() -> None:
    assert messages.ROBOT_STATE.itemsize == 1377
    assert messages.ROBOT_COMMAND.itemsize == 371 == struct.calcsize("<Q7d7d16d6d2d??7d?")
    assert messages.MOVE_REQUEST.size == 113
    assert messages.HEADER.size == 12
    assert gripper.HAND_HEADER.size == 10
    assert gripper.HAND_STATE.size == 23
    assert len(messages.ERRORS) == len(set(messages.ERRORS)) == 41


@pytest.mark.parametrize(
    ("field", "offset"),
    [
        ("message_id", 0),
        ("O_T_EE", 8),
        ("m_ee", 392),
        ("tau_J", 512),
        ("q", 596),
        ("errors", 1290),
        ("robot_mode", 1372),
    ],
)
def test_offsets_in_a_robot_state(field: str, offset: int) -> None:
    assert messages.ROBOT_STATE.fields is not None
    assert messages.ROBOT_STATE.fields[field][1] == offset


def test_a_command_unpacks_as_a_struct_does() -> None:
    numbers = list(range(1, 46))
    packed = struct.pack("<Q7d7d16d6d2d??7d?", 9, *numbers[:38], True, False, *numbers[38:], True)
    command = np.frombuffer(packed, messages.ROBOT_COMMAND)[0]
    assert command["message_id"] == 9
    assert command["O_T_EE_c"].tolist() == numbers[14:30]
    assert (command["valid_elbow"], command["motion_generation_finished"], command["torque_command_finished"]) == (
        True,
        False,
        True,
    )
    assert command["tau_J_d"].tolist() == numbers[38:]


REQUESTS = st.lists(
    st.builds(Request, st.integers(0, 11), st.integers(0, 2**32 - 1), st.binary(max_size=500)), max_size=5
)


@given(REQUESTS, st.integers(1, 40))
def test_requests_survive_any_fragmentation(requests: list[Request], piece: int) -> None:
    stream = b"".join(pack_reply(r.command, r.command_id, r.payload) for r in requests)
    received, got = bytearray(), []
    for start in range(0, len(stream), piece):
        received += stream[start : start + piece]
        got += split_requests(received)
    assert got == requests and not received


@given(st.integers(0, 11) | st.integers(4097, 2**32 - 1))
def test_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="announces"):
        list(split_requests(bytearray(struct.pack("<III", 0, 0, size))))
