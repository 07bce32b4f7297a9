"""What a leader arm says, and how its person takes over: the keys below ``teleop.leader`` of a cell's YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError


@dataclass(frozen=True)
class Lever:
    """A further joint of the leader, such as a trigger or its own fingers.

    Attributes:
        joint: its name in the joint states; empty for none.
        rest: its position when nobody touches it, in the units of its driver.
        pressed: its position when pulled or squeezed.
    """

    joint: str = ""
    rest: float = 0.04
    pressed: float = 0.0

    def __post_init__(self) -> None:
        """Check that it has a way to go.

        Raises:
            ConfigError: rest and pressed are the same.
        """
        if self.rest == self.pressed:
            raise ConfigError(f"a lever's rest and pressed are both {self.rest:g}, expected two positions")

    def share(self, position: float) -> float:
        """How far it is pressed, in [0, 1], at a position."""
        return min(max((position - self.rest) / (self.pressed - self.rest), 0.0), 1.0)


@dataclass(frozen=True)
class LeaderConfig:
    """A leader arm.

    Attributes:
        topic: JointState of the leader, its joints named ``...joint1`` to ``...joint7``.
        buttons_topic: Joy of a pedal or gamepad beside it, with the buttons of ``teleop/joy``; empty for none.
        kinematics: ``panda``: a Panda, an FR3, or a smaller arm with the same proportions.
        scale: translation of the follower per translation of a Panda with the leader's joint positions. For an arm of
            half the size, 1 moves the follower twice as far as the hand, 0.5 as far.
        clutch: when the person has taken over. ``motion``: while the leader's tool moves; ``lever``: while
            `clutch_lever` is pressed by more than half; ``button``: while the button `engaged` of `buttons_topic` is
            held.
        clutch_lever: see `clutch`.
        gripper_lever: closes the follower's gripper while it is pressed by more than three quarters, opens it below a
            quarter; no joint leaves the gripper alone.
        engage_m_s: speed above which the leader's tool moves.
        engage_rad_s: turn above which it does.
        release_s: with ``motion``: stillness after which the person has let go.
        carry_m: how far the follower may lag behind the leader and still be brought after it; what is beyond is lost.
        carry_rad: the same for rotations.
    """

    topic: str = "leader/joint_states"
    buttons_topic: str = ""
    kinematics: Literal["panda"] = "panda"
    scale: Annotated[float, Range(0.01, 10.0)] = 1.0
    clutch: Literal["motion", "lever", "button"] = "motion"
    clutch_lever: Lever = field(default_factory=Lever)
    gripper_lever: Lever = field(default_factory=Lever)
    engage_m_s: Annotated[float, Range(0.001, 1.0)] = 0.02
    engage_rad_s: Annotated[float, Range(0.001, 3.0)] = 0.1
    release_s: Annotated[float, Range(0.0, 10.0)] = 0.5
    carry_m: Annotated[float, Range(0.0, 0.3)] = 0.05
    carry_rad: Annotated[float, Range(0.0, 1.0)] = 0.3

    def __post_init__(self) -> None:
        """Check ranges, and that the clutch has what it needs.

        Raises:
            ConfigError: naming the key, what it was and what it may be.
        """
        check_ranges(self)
        if self.clutch == "lever" and not self.clutch_lever.joint:
            raise ConfigError("leader.clutch lever needs leader.clutch_lever.joint: the name of a joint")
        if self.clutch == "button" and not self.buttons_topic:
            raise ConfigError("leader.clutch button needs leader.buttons_topic: the Joy of a pedal or gamepad")
