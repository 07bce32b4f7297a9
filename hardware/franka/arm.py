"""The driver of a Franka arm: one impedance motion that is kept alive, watched, and started again on purpose only.

Torques come from franky's own thread at 1 kHz; nothing in Python is in that loop. A thread of this driver reads the
robot at a steady rate, so that asking for the state never waits, and sees when the motion has ended. Should the process
die, the robot gets no more commands and stops by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from robot_rl.controllers.arbiter_readings import RobotMode
from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.controllers.safety import check_pose
from robot_rl.core.errors import DeviceError, SafetyFault
from robot_rl.core.types import ArmState, Array
from robot_rl.hardware.cell.description import RobotConfig
from robot_rl.hardware.drivers import always
from robot_rl.hardware.franka.joint_motion import check_joints
from robot_rl.hardware.franka.library import library_version
from robot_rl.hardware.franka.reading import RobotReading, fault_of
from robot_rl.hardware.franka.servo import Servo
from robot_rl.hardware.franka.session import Session
from robot_rl.hardware.franka.wrench import WrenchFilter

RECONNECT_S = 1.0
# Nothing new from the robot for so long means that it does not take commands either.
SILENT_S = 0.2
TARE_WAIT_S, TOLD_S = 10.0, 0.1


class FrankyArm:
    """Implements `robot_rl.hardware.drivers.ArmDriver` over franky.

    A robot that is ready holds its pose from the start. One that is not, after a reflex or with the user stop pressed,
    is connected to all the same: `state().fault` says why it does not move, until `recover`. The same happens when the
    motion ends later, whatever the reason; a lost connection is set up again by itself, and the fault stays.

    A target is followed through the target filter of the impedance law, 200 times a second at the usual `state_hz`;
    `hold` is not.

    The wrench is low-passed at 30 Hz and tared when the robot is ready for the first time, after each joint motion, and
    by `tare`: not where the arm holds or recovers, since it may lean against something there.

    Args:
        config: of the robot.
        now_s: clock that readings are stamped with.

    Raises:
        ConfigError: franky is missing, or a real-time kernel is demanded and missing.
        DeviceError: there is no robot, or it has another client.
    """

    def __init__(self, config: RobotConfig, now_s: Callable[[], float] = time.time) -> None:
        self._config, self._now_s = config, now_s
        self._params = config.impedance or ImpedanceParams()
        # Held by whoever starts and ends motions; a reading may be told of meanwhile.
        self._lock = threading.RLock()
        self._wrench = WrenchFilter()
        self._tare_report = "not yet"
        self._closing = threading.Event()
        self._busy = False
        self._session: Session | None = Session(config)
        self._readings = threading.Lock()
        self._robot_reading: RobotReading
        self._take(self._session.read(), is_first=True)
        self._servo = Servo(self._params.target_filter_s, self._state.pose_base_tcp, time.monotonic())
        # Whoever moves the reference of the impedance law.
        self._referring = threading.Lock()
        self._fault: str | None = fault_of(self._robot_reading)
        self._watcher = threading.Thread(target=self._watch, name="franky arm watch", daemon=True)
        try:
            with self._lock:
                self._watcher.start()
                if self._fault is None:
                    self._begin(self._session)
        except DeviceError:
            self.close()
            raise

    def state(self) -> ArmState:
        """The newest reading; its age says whether the robot still talks."""
        return replace(self._state, fault=self._fault)

    def robot_mode(self) -> RobotMode:
        """READY while targets are tracked or joints are moved; REFLEX whenever `recover` is what it takes."""
        if self._session is None or time.monotonic() - self._heard_s > SILENT_S:
            return RobotMode.UNAVAILABLE
        mode = self._robot_reading.mode
        return RobotMode.REFLEX if mode is RobotMode.READY and self._fault is not None else mode

    def set_target(self, pose_base_tcp: Array) -> None:
        """Track a pose; see `robot_rl.core.protocols.Arm`.

        Raises:
            DeviceError: the pose is none, or the joints are being moved; the target stays as it was.
            SafetyFault: a fault is latched.
        """
        pose = check_pose(pose_base_tcp)
        fault, session = self._fault, self._session
        if fault is not None or session is None:
            raise SafetyFault(f"the arm takes no target until it is recovered: {fault}", fault or "unavailable")
        if self._busy:
            raise DeviceError("the arm moves its joints; it takes targets again when it has arrived")
        self._servo.target = pose

    def hold(self) -> None:
        """Stay at the measured pose. An arm with a fault stands still already.

        Raises:
            DeviceError: the robot cannot be reached.
        """
        session = self._session
        if session is None:
            raise DeviceError(f"there is no connection to the robot at {self._config.address}")
        if self._fault is None and not self._busy:
            with self._referring:
                pose = self._state.pose_base_tcp
                self._servo.rest_at(pose, time.monotonic())
                session.refer(pose)

    def move_joints(self, q_rad: Array, duration_s: float, go_on: Callable[[], bool] = always) -> None:
        """Move to a joint configuration, then hold; see `robot_rl.hardware.drivers.ArmDriver`.

        Raises:
            DeviceError: a fault is latched, the arm did not arrive, or the motion was broken off.
        """
        goal = check_joints(q_rad)
        with self._lock:
            session = self._session
            if session is None or self._fault is not None:
                raise DeviceError(f"the arm moves no joints until it is recovered: {self._fault}")
            self._busy = True
            try:
                session.stop()
                session.move_joints(goal, duration_s, lambda: go_on() and not self._closing.is_set())
                self._track(session)
            except DeviceError:
                self._hold_again(session)
                raise
            finally:
                self._busy = False
        self._tare_if_free()

    def recover(self) -> None:
        """Clear a latched fault, connecting again where needed; the arm then holds. Blocks.

        Raises:
            DeviceError: the robot cannot be reached, the user stop is pressed, or the robot keeps its error.
        """
        with self._lock:
            if self._session is not None and self._fault is None:
                self.hold()
                return
            session = self._session or self._connect()
            if session.read().mode is RobotMode.USER_STOPPED:
                raise DeviceError("the user stop is pressed: release it, then recover")
            session.recover()
            self._begin(session)

    def tare(self) -> None:
        """Take the wrench on the resting, free tool as zero.

        Raises:
            DeviceError: the tool moves, or the wrench is too large to be an offset.
        """
        self._wrench.tare()
        offset = ", ".join(f"{value:.2f}" for value in self._wrench.offset)
        self._tare_report = f"took off {offset} N and Nm"

    def health(self) -> Mapping[str, str]:
        """Facts for `/diagnostics`."""
        reading = self._robot_reading
        return {
            "address": self._config.address,
            "library": library_version(),
            "robot mode": self.robot_mode().value,
            "robot clock": f"{reading.t_robot_s:.3f} s",
            "errors": ", ".join(reading.errors) or "none",
            "fault": self._fault or "none",
            "commands in time": f"{100.0 * reading.success_rate:.0f} %",
            "wrench tare": self._tare_report,
        }

    def close(self) -> None:
        """Let the arm come to rest and hang up. May be called twice."""
        self._closing.set()
        with self._lock:
            session, self._session = self._session, None
            if session is None:
                return
            try:
                if session.in_control:
                    session.stop()
            except DeviceError:
                pass  # it has stopped in another way
        if threading.current_thread() is not self._watcher:
            self._watcher.join()
        session.close()

    def _begin(self, session: Session) -> None:
        """Hold, tare if that has never been done, and be ready."""
        with self._lock:
            self._track(session)
            self._fault = None
        if self._tare_report == "not yet":
            # The robot's estimate follows what it has just been told of the load with a delay.
            time.sleep(TOLD_S)
            self._wrench.forget()
            self._tare_if_free()

    def _track(self, session: Session) -> None:
        """Hold the measured pose; targets from before are void."""
        with self._referring:
            session.track(self._params)
            self._take(session.read())
            self._servo.rest_at(self._state.pose_base_tcp, time.monotonic())

    def _tare_if_free(self) -> None:
        """Tare once the tool rests, unless it leans against something."""
        deadline_s = time.monotonic() + TARE_WAIT_S
        while not self._wrench.settled and time.monotonic() < deadline_s:
            time.sleep(0.01)
        try:
            self.tare()
        except DeviceError as e:
            self._tare_report = f"left as it was: {e}"

    def _hold_again(self, session: Session) -> None:
        """After a joint motion that failed: hold if the robot lets us, else there is a fault."""
        try:
            if fault_of(session.read()) is None and not session.in_control:
                self._track(session)
        except DeviceError:
            pass  # the fault that it leaves is found out next
        self._check(session)

    def _connect(self) -> Session:
        """A connection where there was none; what ended the last one stays latched."""
        with self._lock:
            if self._closing.is_set():
                raise DeviceError(f"the driver of the robot at {self._config.address} is closed")
            if self._session is None:
                session = Session(self._config)
                self._wrench.forget()
                self._take(session.read(), is_first=True)
                self._session = session
            return self._session

    def _check(self, session: Session) -> None:
        """Latch a fault if the motion has ended."""
        if self._fault is not None or session.in_control:
            return
        reason = session.why_ended()
        try:
            self._take(session.read())
            self._fault = fault_of(self._robot_reading) or f"reflex: {reason}"
        except DeviceError as e:
            self._lose(session, e)

    def _lose(self, session: Session, error: DeviceError) -> None:
        """Give up a connection."""
        with self._lock:
            if self._session is session:
                self._session = None
                self._fault = self._fault or f"unavailable: the connection to the robot was lost, {error}"
                session.close()

    def _watch(self) -> None:
        """Read at twice the rate that is asked for, so that a reading is never old."""
        period_s = 0.5 / self._config.state_hz
        while not self._closing.wait(period_s):
            session = self._session
            if session is None:
                self._connect_again()
                continue
            try:
                reading = session.read()
            except DeviceError as e:
                self._lose(session, e)
                continue
            self._take(reading)
            self._serve(session)
            # Whoever holds the lock finds out for himself how his motion ends.
            if self._lock.acquire(blocking=False):
                try:
                    self._check(session)
                finally:
                    self._lock.release()

    def _serve(self, session: Session) -> None:
        """Move the reference on towards the target, unless somebody puts it elsewhere just now."""
        if self._referring.acquire(blocking=False):
            try:
                reference = self._servo.advance(time.monotonic())
                if reference is not None:
                    session.refer(reference)
            finally:
                self._referring.release()

    def _connect_again(self) -> None:
        try:
            self._connect()
        except DeviceError:
            self._closing.wait(RECONNECT_S)

    def _take(self, reading: RobotReading, is_first: bool = False) -> None:
        """Tell of a reading, unless a newer one of this connection has been told of."""
        with self._readings:
            # While a motion runs, the library repeats the last reading when nothing comes.
            if not is_first and reading.t_robot_s <= self._robot_reading.t_robot_s:
                return
            wrench = self._wrench.update(reading.wrench_tcp, reading.twist_base_tcp, reading.t_robot_s)
            wrench.flags.writeable = False
            self._state = ArmState(
                q_rad=reading.q_rad,
                dq_rad_s=reading.dq_rad_s,
                pose_base_tcp=reading.pose_base_tcp,
                twist_base_tcp=reading.twist_base_tcp,
                wrench_tcp=wrench,
                t_s=self._now_s(),
            )
            self._robot_reading, self._heard_s = reading, time.monotonic()
