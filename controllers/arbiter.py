"""The safety arbiter: the one place that decides which target pose an arm gets, and whether it gets one at all.

A pure class without clock, threads or input and output: every call is given the time, so a node, a loop in a process
and a test drive it alike. Call `SafetyArbiter.tick` at a steady rate and send what it returns to the arm; hand commands
to `submit` as they arrive. No input raises: what is wrong with it is a verdict, an answer or a latched fault.
`docs/safety.md` shows layers, modes and faults. Research software, not safety rated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from robot_rl.controllers.arbiter_commands import Command, CommandDesk, Verdict
from robot_rl.controllers.arbiter_config import ArbiterConfig, check_change
from robot_rl.controllers.arbiter_modes import Answer, Event, Fault, Mode, ModeLatch, Output
from robot_rl.controllers.arbiter_readings import ArmWatch, Measurement, Reading, RobotMode
from robot_rl.controllers.arbiter_recovery import ReflexRecovery, is_same_collision
from robot_rl.controllers.arbiter_target import next_target
from robot_rl.controllers.guards import CommandState
from robot_rl.core.types import Array

__all__ = [
    "Answer",
    "ArbiterConfig",
    "Command",
    "Fault",
    "Measurement",
    "Mode",
    "Output",
    "RobotMode",
    "SafetyArbiter",
    "Verdict",
]


class SafetyArbiter:
    """Chooses between commanders, limits targets, latches faults.

    Example:
        >>> arbiter = SafetyArbiter()
        >>> here = [0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]
        >>> reading = Measurement(0.0, here, [0.0] * 6, [0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8])
        >>> arbiter.tick(0.0, reading).mode, arbiter.enable(0.0).done
        (<Mode.DISABLED: 'disabled'>, True)
        >>> arbiter.submit(0.01, Command("policy", "actor-1", [0.46, *here[1:]], t_s=0.01))
        <Verdict.ACCEPTED: 'accepted'>
        >>> round(float(arbiter.tick(0.01, reading).pose_base_tcp[0]), 4)
        0.4525

    Args:
        config: limits and times; `configure` changes them.

    Attributes:
        estop: whether the e-stop signal is on.
    """

    def __init__(self, config: ArbiterConfig | None = None) -> None:
        self.config = config or ArbiterConfig()
        self._latch = ModeLatch()
        self._desk = CommandDesk(self.config)
        self._arm = ArmWatch(self.config)
        self._now_s = self._tick_s = self._home_s = -math.inf
        self._target: Array | None = None
        self.estop = False
        self._recovery = ReflexRecovery()

    @property
    def mode(self) -> Mode:
        """What the arm may do now."""
        return self._latch.mode

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Latched now, the oldest first."""
        return self._latch.faults

    @property
    def reading(self) -> Reading | None:
        """Last good reading of the arm."""
        return self._arm.reading

    @property
    def history(self) -> tuple[Fault, ...]:
        """The last hundred faults, also those that were recovered, the oldest first."""
        return self._latch.history

    @property
    def counts(self) -> Mapping[str, int]:
        """Since the start: commands by verdict, ``reflex``es of the robot."""
        return {**self._desk.counts, "reflex": self._recovery.reflexes}

    def configure(self, config: ArbiterConfig) -> None:
        """Go on with other limits and times; mode, faults, commander and target stay.

        Raises:
            ConfigError: as `check_change`; nothing changed.
        """
        check_change(self.config, config, self._target if self._latch.enabled else None)
        self.config = config
        self._desk.configure(config)
        self._arm.configure(config)

    def enable(self, t_s: float) -> Answer:
        """Let the arm move; it holds where it is until the next command. Refused while anything is wrong with it."""
        self._advance(t_s)
        wrong = self._arm.complaints(self._now_s, in_workspace=True) if self._latch.allows(Event.ENABLE) else []
        return Answer(False, f"cannot enable: {wrong[0][1]}") if wrong else self._hold_here(Event.ENABLE)

    def disable(self, t_s: float) -> Answer:
        """Freeze where the arm is; commands are refused."""
        self._advance(t_s)
        return self._freeze(Event.DISABLE)

    def stop(self, t_s: float, reason: str = "requested") -> Answer:
        """A person or a program stops the arm; only `recover` ends it. Granted in every mode."""
        self._advance(t_s)
        return self._stop("stop", reason)

    def set_estop(self, t_s: float, *, pressed: bool) -> Answer:
        """The level of an e-stop signal; while it is on, `recover` is refused."""
        self._advance(t_s)
        self.estop = pressed
        return self._stop("estop", "the e-stop signal is on") if pressed else Answer(True, "the e-stop signal is off")

    def recover(self, t_s: float) -> Answer:
        """Clear faults and stops. Nothing moves: the arbiter is disabled afterwards."""
        self._advance(t_s)
        if self.estop:
            return Answer(False, "cannot recover: the e-stop signal is still on")
        if self._arm.reading is not None and self._arm.reading.robot_mode is RobotMode.USER_STOPPED:
            return Answer(False, "cannot recover: the robot's user stop is still pressed")
        answer = self._move(Event.RECOVER)
        if answer.done:
            self._latch.clear()
        return answer

    def home(self, t_s: float) -> Answer:
        """The driver is about to move home by itself; commands are refused until `home_finished`."""
        self._advance(t_s)
        answer = self._move(Event.HOME)
        if answer.done:
            self._home_s = self._now_s
            self._desk.free(self._now_s)
        return answer

    def home_finished(self, t_s: float, *, arrived: bool, reason: str = "the driver says so") -> Answer:
        """The motion home ended; having failed is a fault, with its reason."""
        self._advance(t_s)
        if arrived or self.mode is not Mode.HOMING:
            return self._hold_here(Event.HOMED)
        self._fault("home_failed", f"the motion home failed: {reason}")
        return Answer(False, f"the motion home failed: {reason}")

    def submit(self, t_s: float, command: Command) -> Verdict:
        """Take a command in; the next ticks follow it if it is accepted. Anything else leaves the target alone."""
        self._advance(t_s)
        self._check_silence()
        if self.mode not in (Mode.HOLDING, Mode.ACTIVE) or self._arm.near_joint_limit:
            return self._desk.refuse()
        verdict = self._desk.submit(command, self._now_s)
        row = self._desk.rejected_in_a_row(command.role)
        if verdict is Verdict.TWO_COMMANDERS:
            self._fault("two_commanders", f"{command.source!r} commands as {command.role!r} beside another source")
        elif row >= self.config.max_rejections:
            self._fault("bad_commands", f"{row} commands of {command.role!r} in a row, the last {verdict.value}")
        elif verdict is Verdict.ACCEPTED:
            self._move(Event.COMMAND)
        return verdict

    def release(self, t_s: float, role: str, source: str | None = None) -> Answer:
        """Who is in charge, of any source if None, lets go: the arm holds until anyone sends a command made later."""
        self._advance(t_s)
        if not self._desk.release(role, source, self._now_s):
            return Answer(False, f"{role!r} is not in charge" if source is None else f"{source!r} as {role!r} is not")
        self._move(Event.PAUSE)
        return Answer(True, f"{role!r} released the arm")

    def tick(self, t_s: float, measurement: Measurement | None = None) -> Output:
        """Decide what the arm is to do now.

        Args:
            t_s: time now.
            measurement: the newest of the arm; None, or the last one again, if there is no newer.
        """
        self._advance(t_s)
        period_s, self._tick_s = self._now_s - self._tick_s, self._now_s
        self._watch(measurement)
        recover_robot, limited = self._recover_reflex(), self._choose(period_s)
        shown = None if self.mode is Mode.HOMING else self._target
        return Output(self.mode, shown, self._latch.faults, limited, self._desk.in_charge, recover_robot)

    def _advance(self, t_s: float) -> None:
        """Move the time on. A clock that went back begins anew: nothing stamped before that can be compared."""
        if math.isfinite(t_s) and t_s >= self._now_s:
            self._now_s = t_s
            return
        self._fault("clock", f"the time was {self._now_s} s and is {t_s} s")
        if math.isfinite(t_s):
            self._now_s = self._tick_s = t_s
        self._arm.reading = None
        self._desk.forget(self._now_s)

    def _watch(self, measurement: Measurement | None) -> None:
        """Every layer that can take the arm away from its commander."""
        if measurement is not None:
            for name, reason in self._arm.take(measurement, self._now_s, watch_force=self._latch.enabled):
                self._fault(name, reason)
        if self.mode is Mode.FAULT and is_same_collision(self.faults, self._arm.fresh(self._now_s), self._now_s):
            self._fault("reflex", "the robot stopped itself in the collision that broke the force limit")
        if self._arm.reading is not None and self._arm.reading.robot_mode is RobotMode.USER_STOPPED:
            self._stop("user_stop", "the robot's user stop is pressed")
        self._check_silence()
        if not self._latch.enabled:
            return
        homing = self.mode is Mode.HOMING
        for name, reason in self._arm.complaints(self._now_s, in_workspace=not homing):
            self._fault(name, reason)
        if homing and self._now_s - self._home_s >= self.config.home_timeout_s:
            self._fault("home_failed", f"the motion home takes longer than {self.config.home_timeout_s} s")
        if self._arm.near_joint_limit and not homing and self._move(Event.PAUSE).done:
            self._desk.free(self._now_s)

    def _check_silence(self) -> None:
        if self.mode not in (Mode.HOLDING, Mode.ACTIVE):
            return
        state = self._desk.state(self._now_s)
        if state is CommandState.FAULT:
            self._fault("command_timeout", f"{self._desk.in_charge!r} was silent for {self.config.fault_after_s} s")
        elif state is CommandState.HOLD:
            self._move(Event.PAUSE)

    def _recover_reflex(self) -> bool:
        """Whether to ask the robot for its error recovery; once it is ready again, hold where it is."""
        if self.mode is not Mode.FAULT or not self._recovery.wanted(self.faults):
            return False
        if self._arm.complaints(self._now_s, in_workspace=True):
            return True
        self._latch.clear()
        self._hold_here(Event.AUTO_RECOVER)
        return False

    def _choose(self, period_s: float) -> frozenset[str]:
        """The next target, and the layers that acted on it."""
        if (reading := self._arm.reading) is None:
            return frozenset()
        # Disabled, an arm that is moved quickly, by hand or to the start by a simulation, takes its target along.
        carried = self.mode is Mode.DISABLED and self._arm.moved and self._arm.fresh(self._now_s) is not None
        wish = self._desk.wish if self.mode is Mode.ACTIVE else None
        previous = None if carried else self._target
        limited = next_target(self.mode, previous, reading.pose_base_tcp, wish, period_s, self.config)
        self._set_target(limited.pose)
        held = {"joint_margin"} if self._arm.near_joint_limit else {"command_age"} if self._desk.in_charge else set()
        return limited.active | (held if self.mode is Mode.HOLDING else set())

    def _hold_here(self, event: Event) -> Answer:
        """Begin to hold at the measured pose, without a commander and without memory of forces."""
        answer = self._move(event)
        if answer.done:
            self._desk.forget(self._now_s)
            self._arm.forget_forces()
            if self._arm.reading is not None:
                self._set_target(self._arm.reading.pose_base_tcp)
        return answer

    def _fault(self, name: str, reason: str) -> None:
        """Note a fault where faults count, and freeze."""
        if self._latch.allows(Event.FAULT):
            if name == "reflex":
                self._recovery.count(self._now_s, self.config.auto_recoveries_per_hour)
            self._latch.note(Fault(name, self._now_s, reason))
            self._freeze(Event.FAULT)

    def _stop(self, name: str, reason: str) -> Answer:
        self._latch.note(Fault(name, self._now_s, reason))
        return self._freeze(Event.STOP)

    def _freeze(self, event: Event) -> Answer:
        """Take the arm away from everyone: the target becomes the measured pose, if the arm may have been moving.

        Without a fresh measurement the last target stays: the arm goes there anyway, an old pose would call it back.
        """
        moving = self._latch.enabled
        answer = self._move(event)
        if answer.done and moving:
            self._desk.free(self._now_s)
            reading = self._arm.fresh(self._now_s)
            if reading is not None:
                self._set_target(reading.pose_base_tcp)
        return answer

    def _move(self, event: Event) -> Answer:
        before = self.mode
        done = self._latch.move(event)
        return Answer(done, f"now {self.mode.value}" if done else f"cannot {event.value} while {before.value}")

    def _set_target(self, pose: Array) -> None:
        self._target = pose.copy()
        self._target.setflags(write=False)
