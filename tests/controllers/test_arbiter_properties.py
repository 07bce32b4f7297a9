"""The arbiter under arbitrary calls: no sequence gets a target out of its limits or moves an arm that is not active."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from robot_rl.controllers import se3
from robot_rl.controllers.arbiter import (
    Answer,
    ArbiterConfig,
    Command,
    Measurement,
    Mode,
    Output,
    RobotMode,
    SafetyArbiter,
    Verdict,
)
from robot_rl.controllers.arbiter_modes import ENABLED, FAULTS, TRANSITIONS, Event
from robot_rl.core.types import Array

CONFIG = ArbiterConfig(auto_recoveries_per_hour=1, max_rejections=4, home_timeout_s=2.0)
HOME = np.array([0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
Q = (0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8)
ROOM = 1e-9
ROOM_RAD = 1e-7
NUMBERS = st.floats(width=64)
DELTAS = st.lists(st.floats(-0.05, 0.05), min_size=6, max_size=6)
NEAR = DELTAS.map(lambda delta: se3.apply_tool_delta(HOME, delta))
ANYWHERE = st.integers(0, 2**32 - 1).map(
    lambda seed: np.concatenate(
        [np.random.default_rng(seed).uniform(-1, 1, 3), se3.random_quat(np.random.default_rng(seed))]
    )
)
POSES = st.one_of(NEAR, NEAR, ANYWHERE, st.lists(NUMBERS, min_size=6, max_size=8))
PERIODS_S = st.sampled_from([0.0, 0.01, 0.01, 0.01, 0.02, 0.02, 0.1, 0.5, 3.0])
AGES_S = st.one_of(st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.19, 0.3, -0.01, -0.5]), NUMBERS)
WRENCHES = st.one_of(st.just([0.0] * 6), st.lists(st.floats(-15, 15), min_size=6, max_size=6), st.just([1e308] * 6))
JOINTS = st.sampled_from([Q, Q, Q, (*Q[:5], 4.49, 0.0), (*Q[:5], 4.6, 0.0), (math.nan, *Q[1:]), Q[:3], (1e308,) * 7])
VERBS = [
    "enable", "home", "homed", "disable", "recover", "stop", "press e-stop", "release e-stop", "home failed",
]  # fmt: skip
ROBOT_MODES = st.sampled_from([RobotMode.READY] * 8 + list(RobotMode))


def tilt_and_spin(quat: Array) -> tuple[float, float]:
    axis = se3.quat_rotate(quat, [0, 0, 1])
    _, _, z, w = se3.quat_multiply([-1, 0, 0, 0], quat)
    return math.acos(min(1.0, -axis[2])), math.remainder(2 * math.atan2(z, w), 2 * math.pi)


def is_pose(values: Any) -> bool:
    array = np.array(values, np.float64)
    if array.shape != (7,) or not np.isfinite(array).all():
        return False
    return abs(math.hypot(*array[3:].tolist()) - 1.0) <= 1e-3


class ArbiterMachine(RuleBasedStateMachine):
    """Knows nothing of the arbiter's inside: only what it was told and what it gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.arbiter = SafetyArbiter(CONFIG)
        self.t_s = 0.0
        self.tick_s = 0.0
        self.measured: Measurement | None = None
        self.out: Output | None = None
        self.before = Mode.DISABLED
        self.changed = False

    def moved(self, *events: Event) -> None:
        """The mode is where the table leads by at most these events, each any number of times."""
        reachable, size = {self.before}, 0
        while len(reachable) != size:
            size = len(reachable)
            reachable |= {TRANSITIONS[m, e] for m in reachable for e in events if (m, e) in TRANSITIONS}
        assert self.arbiter.mode in reachable
        self.changed |= self.arbiter.mode is not self.before
        self.before = self.arbiter.mode

    def measure(self, pose: Any, q: Any, wrench: Any, age_s: float, robot_mode: RobotMode) -> Measurement:
        return Measurement(self.t_s - age_s, pose, wrench, q, robot_mode)

    def note(self, m: Measurement) -> None:
        """Remember what a sound measurement said, as the arbiter must."""
        sound = is_pose(m.pose_base_tcp) and len(np.array(m.q_rad)) == 7 and np.isfinite(np.array(m.q_rad)).all()
        timely = math.isfinite(m.t_s) and m.t_s <= self.t_s + CONFIG.max_future_s
        if sound and timely and (self.measured is None or m.t_s > self.measured.t_s):
            self.measured = m

    def run(self, period_s: float, measurement: Measurement | None) -> None:
        previous = None if self.changed else self.out
        self.out = self.arbiter.tick(self.t_s, measurement)
        if measurement is not None:
            self.note(measurement)
        self.moved(Event.FAULT, Event.STOP, Event.PAUSE, Event.AUTO_RECOVER)
        assert self.out.mode is self.arbiter.mode
        self.check_target(None if self.changed else previous, min(period_s, CONFIG.max_tick_s))
        self.changed = False

    def check_target(self, previous: Output | None, period_s: float) -> None:
        assert self.out is not None
        pose = self.out.pose_base_tcp
        if self.out.mode is Mode.HOMING or self.measured is None:
            assert pose is None or self.out.mode is not Mode.HOMING
            return
        assert pose is not None and is_pose(pose)
        measured = np.array(self.measured.pose_base_tcp, np.float64)
        measured[3:] = se3.quat_normalize(measured[3:])
        within = np.abs(pose[:3] - measured[:3]) <= CONFIG.reach_m + ROOM
        assert within.all() or self.out.mode not in ENABLED
        low, high = measured[:3] - CONFIG.reach_m, measured[:3] + CONFIG.reach_m
        if self.out.mode in ENABLED:
            self.check_workspace(pose)
            assert se3.quat_angle(pose[3:], measured[3:]) <= CONFIG.reach_rad + ROOM_RAD
            low = np.clip(low, CONFIG.box_min_m, CONFIG.box_max_m)
            high = np.clip(high, CONFIG.box_min_m, CONFIG.box_max_m)
        if previous is None or previous.pose_base_tcp is None:
            return
        if self.out.mode is Mode.DISABLED and np.array_equal(pose, measured):
            return  # it goes along with an arm that is moved by something else
        stayed = np.clip(previous.pose_base_tcp[:3], low, high)
        slack = CONFIG.slew_m_s * period_s if self.out.mode is Mode.ACTIVE else 0.0
        assert (np.abs(pose[:3] - stayed) <= slack + ROOM).all()
        if self.out.mode is not Mode.ACTIVE:
            turned = se3.quat_angle(previous.pose_base_tcp[3:], measured[3:]) > CONFIG.reach_rad
            same = se3.quat_angle(pose[3:], previous.pose_base_tcp[3:]) <= ROOM_RAD
            assert same or turned

    def check_workspace(self, pose: Array) -> None:
        assert (pose[:3] >= CONFIG.box_min_m).all() and (pose[:3] <= CONFIG.box_max_m).all()
        tilt, spin = tilt_and_spin(pose[3:])
        assert tilt <= CONFIG.max_tilt_rad + ROOM_RAD and abs(spin) <= CONFIG.max_spin_rad + ROOM_RAD

    @rule(
        period_s=PERIODS_S, pose=POSES, q=JOINTS, wrench=WRENCHES, age_s=AGES_S, robot_mode=ROBOT_MODES,
        silent=st.booleans(),
    )  # fmt: skip
    def tick(
        self, period_s: float, pose: Any, q: Any, wrench: Any, age_s: float, robot_mode: RobotMode, silent: bool
    ) -> None:
        self.t_s += period_s
        period_s, self.tick_s = self.t_s - self.tick_s, self.t_s
        self.run(period_s, None if silent else self.measure(pose, q, wrench, age_s, robot_mode))

    @rule(
        ticks=st.integers(1, 5), tick_s=st.sampled_from([0.01, 0.05]), wish=NEAR, follows=st.booleans(),
        talks=st.booleans(), revive=st.booleans(),
    )  # fmt: skip
    def all_is_well(self, ticks: int, tick_s: float, wish: Any, follows: bool, talks: bool, revive: bool) -> None:
        for _ in range(ticks):
            self.t_s += tick_s
            period_s, self.tick_s = self.t_s - self.tick_s, self.t_s
            if talks:
                self.submit(wish, "policy", "a", 0.0, None, "base")
            held = self.out.pose_base_tcp if self.out is not None else None
            here = held if follows and held is not None and abs(held[0]) < 1 else HOME
            self.run(period_s, self.measure(here, Q, [0.0] * 6, 0.0, RobotMode.READY))
            if revive:
                for verb in ("release e-stop", "recover", "enable"):
                    self.request(verb)

    @rule(q=JOINTS, wrench=WRENCHES, robot_mode=st.sampled_from(RobotMode), homing=st.booleans())
    def one_thing_goes_wrong(self, q: Any, wrench: Any, robot_mode: RobotMode, homing: bool) -> None:
        """While an enabled arm is at rest or on its way home."""
        self.all_is_well(1, 0.01, HOME, follows=False, talks=False, revive=True)
        if homing:
            self.request("home")
        for mode in (robot_mode, robot_mode, RobotMode.READY):
            self.tick(0.01, HOME, q, wrench, 0.0, mode, silent=False)

    @rule(
        pose=POSES, role=st.sampled_from(["policy", "policy", "operator", "nobody"]), source=st.sampled_from("aab"),
        age_s=AGES_S, sequence=st.none() | st.integers(), frame=st.sampled_from(["base", "base", "base", "world"]),
    )  # fmt: skip
    def submit(self, pose: Any, role: str, source: str, age_s: float, sequence: int | None, frame: str) -> None:
        enabled = self.arbiter.mode in (Mode.HOLDING, Mode.ACTIVE)
        command = Command(role, source, pose, self.t_s - age_s, sequence, frame)
        verdict = self.arbiter.submit(self.t_s, command)
        if verdict is Verdict.ACCEPTED:
            assert enabled and self.arbiter.mode is Mode.ACTIVE
            assert is_pose(pose) and role != "nobody" and frame == "base"
            assert -CONFIG.max_future_s - ROOM <= age_s <= CONFIG.max_command_age_s
            self.moved(Event.COMMAND, Event.PAUSE)
        else:
            self.moved(Event.FAULT, Event.PAUSE)

    @rule(role=st.sampled_from(["policy", "operator", "nobody"]), source=st.sampled_from("ab"))
    def release(self, role: str, source: str) -> None:
        done = self.arbiter.release(self.t_s, role, source).done
        self.moved(Event.PAUSE)
        assert not done or self.arbiter.mode is Mode.HOLDING

    @rule(verb=st.sampled_from(VERBS))
    def request(self, verb: str) -> None:
        arbiter, before = self.arbiter, self.arbiter.mode
        calls: dict[str, tuple[Callable[[], Answer], tuple[Event, ...]]] = {
            "enable": (lambda: arbiter.enable(self.t_s), (Event.ENABLE,)),
            "disable": (lambda: arbiter.disable(self.t_s), (Event.DISABLE,)),
            "recover": (lambda: arbiter.recover(self.t_s), (Event.RECOVER,)),
            "stop": (lambda: arbiter.stop(self.t_s), (Event.STOP,)),
            "press e-stop": (lambda: arbiter.set_estop(self.t_s, pressed=True), (Event.STOP,)),
            "release e-stop": (lambda: arbiter.set_estop(self.t_s, pressed=False), ()),
            "home": (lambda: arbiter.home(self.t_s), (Event.HOME,)),
            "homed": (lambda: arbiter.home_finished(self.t_s, arrived=True), (Event.HOMED,)),
            "home failed": (lambda: arbiter.home_finished(self.t_s, arrived=False), (Event.FAULT,)),
        }
        call, events = calls[verb]
        answer = call()
        assert answer.message
        assert answer.done or before is arbiter.mode or verb == "home failed"
        if answer.done and events:
            assert arbiter.mode is TRANSITIONS[before, events[0]]
        self.moved(*events)

    @rule(back_s=st.floats(0.001, 1e6), lost=st.booleans())
    def clock_goes_wrong(self, back_s: float, lost: bool) -> None:
        enabled = self.arbiter.mode in ENABLED
        wrong_s = math.nan if lost else self.t_s - back_s
        self.out = self.arbiter.tick(wrong_s)
        self.measured = None
        if not lost:
            self.t_s = self.tick_s = wrong_s
        assert not enabled or self.arbiter.mode is Mode.FAULT
        self.moved(Event.FAULT)

    @invariant()
    def faults_are_named_and_latched(self) -> None:
        frozen = self.arbiter.mode in (Mode.FAULT, Mode.STOPPED)
        assert {fault.name for fault in self.arbiter.history} <= FAULTS.keys()
        if self.out is not None and self.out.mode is self.arbiter.mode:
            assert bool(self.out.faults) == frozen


ArbiterMachine.TestCase.settings = settings(settings.default, max_examples=100, stateful_step_count=40)  # type: ignore[attr-defined]
TestArbiterMachine = ArbiterMachine.TestCase
