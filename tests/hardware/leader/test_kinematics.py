"""The tool is where MuJoCo's model of the same arm has it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robot_rl.controllers import se3
from robot_rl.core.errors import DataError
from robot_rl.hardware.leader.kinematics import panda_tcp
from robot_rl.hardware.mujoco.panda import Q_MAX_RAD, Q_MIN_RAD, TCP_SITE
from robot_rl.hardware.mujoco.scene import build_model

MODEL = build_model(())
DATA = mujoco.MjData(MODEL)


@given(arrays(np.float64, 7, elements=st.floats(0.0, 1.0)))
def test_the_tool_of_mujocos_panda(share: np.ndarray) -> None:
    q_rad = Q_MIN_RAD + share * (Q_MAX_RAD - Q_MIN_RAD)
    DATA.qpos[:7] = q_rad
    mujoco.mj_kinematics(MODEL, DATA)
    pose = panda_tcp(q_rad)
    site = DATA.site(TCP_SITE)
    np.testing.assert_allclose(pose[:3], site.xpos, atol=1e-9)
    np.testing.assert_allclose(se3.quat_to_matrix(pose[3:]), site.xmat.reshape(3, 3), atol=1e-9)


@pytest.mark.parametrize("q_rad", [np.zeros(6), np.zeros(8), np.full(7, np.nan), np.full(7, np.inf), np.zeros((1, 7))])
def test_what_is_no_arm(q_rad: np.ndarray) -> None:
    with pytest.raises(DataError, match="7 finite joint positions"):
        panda_tcp(q_rad)
