"""The contract suites pass over a sound device and fail over one with a single, typical defect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import DataError, DeviceError, SafetyFault
from robot_rl.core.specs import Part, StateSpec, ViewSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import ArmState, Array, Float32, Frame, GripperState
from robot_rl.testing import (
    ArmFaultContract,
    CameraContract,
    GripperContract,
    PolicyContract,
    TeleopContract,
    TeleopPressContract,
    TeleopUnplugContract,
)
from tests.testing.teleops import (
    GoesOn,
    KeepsTelling,
    OneState,
    Overdriven,
    Remote,
    SeesWhatIsDown,
    StaysYoung,
    Teleop,
)

SPEC = StateSpec((Part("a", 2, "m", scale=0.1), Part("b", 1, "m", center=0.5)))


class Arm:
    """Jumps to its target after a moment."""

    def __init__(self) -> None:
        self.pose = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
        self.target = self.pose.copy()
        self.q_rad = np.zeros(7)
        self.t_s = 0.0
        self.fault: str | None = None

    def tick(self, seconds: float) -> None:
        self.t_s += seconds
        if self.fault is None:
            self.pose = self.target.copy()

    def state(self) -> ArmState:
        zeros = np.zeros(6)
        return ArmState(self.q_rad.copy(), np.zeros(7), self.pose.copy(), zeros, zeros.copy(), self.t_s, self.fault)

    def set_target(self, pose_base_tcp: Array) -> None:
        if self.fault:
            raise SafetyFault(f"{self.fault} is latched", self.fault)
        if not np.isfinite(pose_base_tcp).all() or abs(np.linalg.norm(pose_base_tcp[3:]) - 1.0) > 1e-3:
            raise DeviceError("not a pose")
        self.target = pose_base_tcp.copy()

    def hold(self) -> None:
        self.target = self.pose.copy()

    def move_joints(self, q_rad: Array, duration_s: float) -> None:
        self.q_rad = q_rad.copy()
        self.hold()

    def recover(self) -> None:
        self.fault = None
        self.hold()

    def close(self) -> None:
        pass


class AcceptsNan(Arm):
    def set_target(self, pose_base_tcp: Array) -> None:
        self.target = pose_base_tcp.copy()


class KeepsTheCallersArray(Arm):
    def set_target(self, pose_base_tcp: Array) -> None:
        super().set_target(pose_base_tcp)
        self.target = pose_base_tcp


class ForgetsItsTarget(Arm):
    def set_target(self, pose_base_tcp: Array) -> None:
        self.target = self.pose.copy()
        super().set_target(pose_base_tcp)


class SharesItsState(Arm):
    def state(self) -> ArmState:
        return replace(super().state(), q_rad=self.q_rad)


class StopsTheClock(Arm):
    def state(self) -> ArmState:
        return replace(super().state(), t_s=0.0)


class FallsShort(Arm):
    def tick(self, seconds: float) -> None:
        self.t_s += seconds
        self.pose = self.pose + 0.5 * (self.target - self.pose)


class HoldsNothing(Arm):
    def hold(self) -> None:
        pass


class HealsItself(Arm):
    def tick(self, seconds: float) -> None:
        self.fault = None
        super().tick(seconds)


class MovesInAFault(Arm):
    def set_target(self, pose_base_tcp: Array) -> None:
        fault, self.fault = self.fault, None
        super().set_target(pose_base_tcp)
        self.fault = fault


class Gripper:
    def __init__(self) -> None:
        self.width_m = self.target_m = 0.04
        self.t_s = 0.0

    def tick(self, seconds: float) -> None:
        self.t_s += seconds
        self.width_m = self.target_m

    def state(self) -> GripperState:
        return GripperState(self.width_m, self.target_m, 0.08, self.t_s)

    def command(self, width_m: float) -> None:
        if not np.isfinite(width_m):
            raise DeviceError("not a width")
        self.target_m = min(max(width_m, 0.0), 0.08)

    def close(self) -> None:
        pass


class Stuck(Gripper):
    def tick(self, seconds: float) -> None:
        self.t_s += seconds


class Unclipped(Gripper):
    def command(self, width_m: float) -> None:
        if not np.isfinite(width_m):
            raise DeviceError("not a width")
        self.target_m = width_m


class Camera:
    shape = (4, 4, 3)

    def __init__(self) -> None:
        self.number = 0

    def tick(self, seconds: float) -> None:
        self.number += 1

    def read(self) -> Frame:
        return Frame(
            np.arange(48, dtype=np.uint8).reshape(4, 4, 3) + np.uint8(self.number), self.number * 0.1, self.number
        )

    def close(self) -> None:
        pass


class OneBuffer(Camera):
    buffer = np.zeros((4, 4, 3), np.uint8)

    def read(self) -> Frame:
        frame = super().read()
        self.buffer[:] = frame.image
        return replace(frame, image=self.buffer)


class Frozen(Camera):
    def tick(self, seconds: float) -> None:
        pass


class Black(Camera):
    def read(self) -> Frame:
        return replace(super().read(), image=np.zeros(self.shape, np.uint8))


class Policy:
    version = 3

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        if not np.isfinite(obs.state).all():
            raise DataError("not a state")
        if "wrist" not in obs.images or obs.images["wrist"].shape != (4, 4, 3):
            raise DataError("no view of the camera wrist")
        noise = 0.0 if deterministic else 0.1 * rng.standard_normal(7)
        return np.tanh(obs.state.mean() + noise + np.zeros(7)).astype(np.float32)


class Unbounded(Policy):
    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        return super().act(obs, rng, deterministic=deterministic) * 2


class AlwaysNoisy(Policy):
    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        return super().act(obs, rng)


class OwnRandomness(Policy):
    own = np.random.default_rng(0)

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        return super().act(obs, self.own, deterministic=deterministic)


class ActsBlind(Policy):
    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        black = {"wrist": np.zeros((4, 4, 3), np.uint8)}
        return super().act(replace(obs, images=black | dict(obs.images)), rng, deterministic=deterministic)


class ActsOnAnyShape(Policy):
    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        cut = {name: image[:4, :4] for name, image in obs.images.items()}
        return super().act(replace(obs, images=cut), rng, deterministic=deterministic)


class ActsOnNan(Policy):
    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        return super().act(replace(obs, state=np.nan_to_num(obs.state)), rng, deterministic=deterministic)


def suite(base: type, made: Callable[[], Any]) -> type:
    """A suite over a device whose clock is advanced by `tick`."""

    def make(self: Any) -> Any:
        self.made = made()
        return self.made

    def latch_fault(self: Any, device: Arm) -> None:
        device.fault = "reflex"

    def tap(self: Any, device: Remote) -> str:
        device.tapped = True
        return "success"

    body = {
        "make": make,
        "wait": lambda self, s: self.made.tick(s),
        "latch_fault": latch_fault,
        "tap": tap,
        "engage": lambda self, device: setattr(device, "engaged", True),
        "unplug": lambda self, device: setattr(device, "unplugged", True),
    }
    return type("Suite", (base,), body)


def failures(base: type, made: Callable[[], Any]) -> set[str]:
    """Names of the tests of a suite that fail; parametrised ones count if one case fails."""
    cases: dict[str, list[dict[str, Any]]] = {}
    for name in (n for n in dir(base) if n.startswith("test_")):
        cases[name] = [{}]
        for mark in getattr(getattr(base, name), "pytestmark", []):
            key, values = mark.args
            cases[name] = [{**case, key: v} for case in cases[name] for v in values]
    failed = set()
    for name, combinations in cases.items():
        for case in combinations:
            one = suite(base, made)()
            device = one.make()
            try:
                getattr(one, name)(device, **case)
            except (AssertionError, pytest.fail.Exception, DataError, DeviceError, SafetyFault):
                failed.add(name)
    return failed


@pytest.mark.parametrize(
    ("base", "sound", "defects"),
    [
        (
            ArmFaultContract,
            Arm,
            {
                AcceptsNan: "test_refuses_a_target_that_is_not_finite",
                KeepsTheCallersArray: "test_target_is_copied",
                ForgetsItsTarget: "test_keeps_its_target_when_it_refuses_one",
                SharesItsState: "test_writing_into_a_reading_does_not_reach_the_device",
                StopsTheClock: "test_time_does_not_run_backwards",
                FallsShort: "test_tracks_a_target",
                HoldsNothing: "test_holds",
                HealsItself: "test_fault_latches",
                MovesInAFault: "test_fault_is_named_and_blocks_targets",
            },
        ),
        (GripperContract, Gripper, {Stuck: "test_reaches_a_width", Unclipped: "test_impossible_widths_are_clipped"}),
        (
            CameraContract,
            Camera,
            {
                OneBuffer: "test_frames_are_snapshots",
                Frozen: "test_numbers_and_times_advance",
                Black: "test_frame_has_the_promised_shape",
            },
        ),
        (TeleopContract, Teleop, {Overdriven: "test_input_is_bounded", OneState: "test_readings_are_snapshots"}),
        (
            TeleopPressContract,
            Remote,
            {
                SeesWhatIsDown: "test_a_tap_between_two_readings_is_in_the_next",
                KeepsTelling: "test_a_tap_is_told_once",
            },
        ),
        (
            TeleopUnplugContract,
            Remote,
            {GoesOn: "test_an_unplugged_device_grows_old", StaysYoung: "test_an_unplugged_device_grows_old"},
        ),
    ],
)
def test_device_suites(base: type, sound: type, defects: dict[type, str]) -> None:
    assert failures(base, sound) == set()
    for defect, test in defects.items():
        assert test in failures(base, defect), defect.__name__


def test_policy_suite() -> None:
    class Rows(PolicyContract):
        def make(self) -> tuple[Any, StateSpec]:
            return Policy(), SPEC

        def views(self) -> ViewSpec:
            return ViewSpec((("wrist", (4, 4, 3)),))

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((8, SPEC.size)).astype(np.float32)
    seen = [Observation(row, {"wrist": rng.integers(0, 256, (4, 4, 3), np.uint8)}) for row in rows]
    suite_of = Rows()

    def fails(policy: Policy, name: str, **case: Any) -> bool:
        try:
            getattr(suite_of, name)(policy, seen, **case)
        except (AssertionError, DataError, pytest.fail.Exception):
            return True
        return False

    checks: dict[str, tuple[type[Policy], dict[str, Any]]] = {
        "test_actions_are_bounded": (Unbounded, {"deterministic": False}),
        "test_deterministic_actions_need_no_luck": (AlwaysNoisy, {}),
        "test_same_seed_same_actions": (OwnRandomness, {}),
        "test_refuses_a_state_that_is_not_finite": (ActsOnNan, {"value": np.nan}),
        "test_refuses_to_act_without_a_view": (ActsBlind, {}),
        "test_refuses_a_view_of_another_shape": (ActsOnAnyShape, {}),
    }
    for name, (defect, case) in checks.items():
        assert not fails(Policy(), name, **case)
        assert fails(defect(), name, **case), defect.__name__
