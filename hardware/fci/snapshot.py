"""The robot state that goes out every millisecond, filled from plant and controller."""

from __future__ import annotations

import numpy as np

from robot_rl.core.types import Array
from robot_rl.hardware.fci.controller import Controller
from robot_rl.hardware.fci.messages import ROBOT_STATE, ControllerMode, MotionMode
from robot_rl.hardware.fci.plant import GRAVITY_M_S2
from robot_rl.hardware.mujoco.scene import TIMESTEP_S


def columns(matrix: Array) -> Array:
    """A matrix as the wire has it, column after column."""
    return matrix.T.reshape(-1)


class Snapshot:
    """Fills one record over and over.

    Args:
        controller: whose arm is told about.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._record = np.zeros((), ROBOT_STATE)
        # Fields of a zero-dimensional record are views, so writing them costs one copy and no lookup of the record.
        self._at = {str(name): self._record[name] for name in ROBOT_STATE.names or ()}
        self._tau_j_before = controller.plant.tau_j_nm
        self._at["O_ddP_O"][:] = (0.0, 0.0, -GRAVITY_M_S2)
        self.write_tool()

    def write_tool(self) -> None:
        """Take over the tool settings, which seldom change."""
        at, tool = self._at, self._controller.plant.tool
        for name in ("F_T_EE", "EE_T_K", "F_T_NE", "NE_T_EE", "I_ee", "I_load"):
            at[name][:] = columns(getattr(tool, name))
        for name in ("m_ee", "m_load"):
            at[name][...] = getattr(tool, name)
        at["F_x_Cee"][:], at["F_x_Cload"][:] = tool.F_x_Cee, tool.F_x_Cload

    def pack(self, message_id: int) -> bytes:
        """The state now, as bytes.

        Args:
            message_id: milliseconds since the robot started.
        """
        self._write_measured()
        self._write_desired()
        at, controller = self._at, self._controller
        motion = controller.motion
        at["message_id"][...] = message_id
        at["motion_generator_mode"][...] = motion.mode if motion else MotionMode.IDLE
        at["controller_mode"][...] = motion.controller if motion else ControllerMode.OTHER
        at["errors"][:], at["reflex_reason"][:] = controller.errors, controller.reflex_reason
        at["robot_mode"][...] = controller.robot_mode
        at["control_command_success_rate"][...] = controller.success_rate
        return self._record.tobytes()

    def _write_measured(self) -> None:
        at, controller, plant = self._at, self._controller, self._controller.plant
        O_T_EE = plant.O_T_EE
        at["O_T_EE"][:] = columns(O_T_EE)
        at["q"][:] = at["theta"][:] = plant.q
        at["dq"][:] = at["dtheta"][:] = plant.dq
        at["elbow"][:] = plant.q[2], -1.0 if plant.q[3] < 0.0 else 1.0
        at["dtau_J"][:] = (plant.tau_j_nm - self._tau_j_before) / TIMESTEP_S
        self._tau_j_before = plant.tau_j_nm
        at["tau_J"][:] = plant.tau_j_nm
        at["tau_ext_hat_filtered"][:] = plant.tau_ext_nm
        wrench = plant.wrench_base_k
        at["O_F_ext_hat_K"][:] = wrench
        turn = O_T_EE[:3, :3] @ plant.tool.EE_T_K[:3, :3]
        at["K_F_ext_hat_K"][:3], at["K_F_ext_hat_K"][3:] = wrench[:3] @ turn, wrench[3:] @ turn
        at["joint_contact"][:], at["joint_collision"][:] = controller.joint_contact, controller.joint_collision
        at["cartesian_contact"][:] = controller.cartesian_contact
        at["cartesian_collision"][:] = controller.cartesian_collision

    def _write_desired(self) -> None:
        at, desired = self._at, self._controller.desired
        at["tau_J_d"][:] = self._controller.tau_d_nm
        at["q_d"][:], at["dq_d"][:], at["ddq_d"][:] = desired.q, desired.dq, desired.ddq
        at["O_T_EE_d"][:] = columns(desired.O_T_EE)
        at["O_T_EE_c"][:] = columns(desired.O_T_EE_c)
        at["O_dP_EE_d"][:] = at["O_dP_EE_c"][:] = desired.twist
        at["O_ddP_EE_c"][:] = desired.acceleration
        elbow = desired.q[2], -1.0 if desired.q[3] < 0.0 else 1.0
        at["elbow_d"][:] = at["elbow_c"][:] = elbow
        at["delbow_c"][0], at["ddelbow_c"][0] = desired.dq[2], desired.ddq[2]
