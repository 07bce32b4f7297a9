"""Arm, gripper and camera behind a slow and noisy connection. Readings keep the time at which they were taken."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.imperfections import Imperfections
from robot_rl.core.protocols import Arm, Camera, Gripper
from robot_rl.core.types import ArmState, Array, Frame, GripperState
from robot_rl.hardware.imperfect.optics import draw_optics, expose
from robot_rl.hardware.imperfect.timeline import Channel, Commands, Readings, Timeline


class ImperfectArm:
    """An arm whose targets arrive late or never and whose readings are old and noisy.

    Stopping, blocking motion and recovery are not delayed, and a latched fault is seen at once: what must be safe does
    not depend on luck here.

    Args:
        arm: the real one; closed with this.
        timeline: of the cell.
        settings: how bad it is.
    """

    def __init__(self, arm: Arm, timeline: Timeline, settings: Imperfections) -> None:
        self._arm, self._settings = arm, settings
        channel = Channel(settings.command_delay_s, settings.command_jitter_s, settings.command_drop)
        self._targets = Commands(timeline, channel, self._deliver)
        channel = Channel(settings.state_delay_s, settings.state_jitter_s, settings.state_drop)
        self._readings = Readings(timeline, channel, settings.state_hz, self._take)
        self._seen = self._take if settings.state_off and settings.wrench_off else self._readings.latest
        self._noise = np.random.default_rng(0)
        self._bias = np.zeros(6)

    def restart(self, rng: np.random.Generator | None = None) -> None:
        """Forget what is under way; with random numbers of a new episode also draw its bias."""
        if rng is None:
            self._targets.restart()
            self._readings.restart()
            return
        ways, readings, self._noise = rng.spawn(3)
        self._targets.restart(ways)
        self._readings.restart(readings)
        self._bias = _spread(self._settings.wrench_bias_n, self._settings.wrench_bias_nm) * rng.uniform(-1.0, 1.0, 6)

    def state(self) -> ArmState:
        """The newest reading that has arrived."""
        seen = self._seen()
        return replace(
            seen,
            q_rad=seen.q_rad.copy(),
            dq_rad_s=seen.dq_rad_s.copy(),
            pose_base_tcp=seen.pose_base_tcp.copy(),
            twist_base_tcp=seen.twist_base_tcp.copy(),
            wrench_tcp=seen.wrench_tcp.copy(),
            fault=self._arm.state().fault,
        )

    def set_target(self, pose_base_tcp: Array) -> None:
        """Send a pose; see `robot_rl.core.protocols.Arm`."""
        target = check_pose(pose_base_tcp).copy()
        fault = self._arm.state().fault
        if fault is not None:
            raise SafetyFault(f"the arm has latched {fault!r} and takes no target until it is recovered", fault)
        self._targets.send(target)

    def hold(self) -> None:
        """Stay at the measured pose; targets under way are void."""
        self._targets.restart()
        self._arm.hold()

    def move_joints(self, q_rad: Array, duration_s: float) -> None:
        """Joint motion; what was under way or read before is void."""
        self._targets.restart()
        self._arm.move_joints(q_rad, duration_s)
        self._readings.restart()

    def recover(self) -> None:
        """Clear a latched fault; targets under way are void."""
        self._targets.restart()
        self._arm.recover()

    def close(self) -> None:
        """Close the arm. May be called twice."""
        self._arm.close()

    def _deliver(self, target: Array) -> None:
        # A fault that latched while the target was under way is in every reading; the target is simply refused.
        with suppress(SafetyFault):
            self._arm.set_target(target)

    def _take(self) -> ArmState:
        state, s = self._arm.state(), self._settings
        if s.wrench_off:
            return state
        noise = _spread(s.wrench_noise_n, s.wrench_noise_nm) * self._noise.standard_normal(6)
        return replace(state, wrench_tcp=state.wrench_tcp + self._bias + noise)


class ImperfectGripper:
    """A gripper with a dead time, whose readings are old.

    Args:
        gripper: the real one; closed with this.
        timeline: of the cell.
        settings: how bad it is.
    """

    def __init__(self, gripper: Gripper, timeline: Timeline, settings: Imperfections) -> None:
        self._gripper = gripper
        self._commands = Commands(
            timeline, Channel(settings.gripper_delay_s, settings.gripper_jitter_s), gripper.command
        )
        channel = Channel(settings.state_delay_s, settings.state_jitter_s, settings.state_drop)
        self._readings = Readings(timeline, channel, settings.state_hz, gripper.state)
        self._seen = gripper.state if settings.state_off else self._readings.latest
        self._target_m: float | None = None

    def restart(self, rng: np.random.Generator | None = None) -> None:
        """Forget what is under way, and draw from other random numbers if given."""
        commands, readings = (None, None) if rng is None else rng.spawn(2)
        self._commands.restart(commands)
        self._readings.restart(readings)
        self._target_m = None

    def state(self) -> GripperState:
        """The newest reading that has arrived; its target is the last one commanded from here."""
        seen = self._seen()
        return seen if self._target_m is None else replace(seen, target_m=self._target_m)

    def command(self, width_m: float) -> None:
        """Send an opening.

        Raises:
            DeviceError: the width is not a finite number.
        """
        if not np.isfinite(width_m):
            raise DeviceError(f"gripper width must be finite, got {width_m}")
        target_m = min(max(width_m, 0.0), self._gripper.state().max_width_m)
        # Said again while it is under way or done, it must not start the dead time anew.
        if target_m != self._target_m:
            self._target_m = target_m
            self._commands.send(target_m)

    def close(self) -> None:
        """Close the gripper. May be called twice."""
        self._gripper.close()


class ImperfectCamera:
    """A camera with a steady rate, whose frames come late or never and show what its lens and sensor make of them.

    Args:
        camera: the real one; closed with this.
        timeline: of the cell.
        settings: how bad it is.
    """

    def __init__(self, camera: Camera, timeline: Timeline, settings: Imperfections) -> None:
        self._camera, self._settings = camera, settings
        channel = Channel(settings.camera_delay_s, settings.camera_jitter_s, settings.camera_drop)
        self._frames = Readings(timeline, channel, settings.camera_hz, camera.read)
        self._seen = camera.read if settings.camera_off else self._frames.latest
        self._optics = draw_optics(settings, np.random.default_rng(0))
        self._shown: Frame | None = None
        self._began_s = 0.0

    def restart(self, rng: np.random.Generator | None = None) -> None:
        """Forget the frames under way; with random numbers of a new episode also draw its optics."""
        self._frames.restart(rng)
        self._shown = None
        if rng is not None:
            self._optics = draw_optics(self._settings, rng.spawn(1)[0])

    @property
    def camera(self) -> Camera:
        """The one behind the connection."""
        return self._camera

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3)."""
        return self._camera.shape

    def read(self) -> Frame:
        """The newest frame that has arrived."""
        frame = self._seen()
        if self._settings.picture_off:
            return replace(frame, image=frame.image.copy())
        if self._shown is None:
            self._began_s = frame.t_s
        if self._shown is None or frame.t_s != self._shown.t_s:
            # A picture is made when it is first looked at, not at every exposure; its noise depends on its time alone.
            image = expose(frame.image, self._settings, self._optics, frame.t_s - self._began_s)
            self._shown = replace(frame, image=image)
        return replace(self._shown, image=self._shown.image.copy())

    def close(self) -> None:
        """Close the camera. May be called twice."""
        self._camera.close()


def _spread(force_n: float, torque_nm: float) -> Array:
    return np.repeat([force_n, torque_nm], 3)
