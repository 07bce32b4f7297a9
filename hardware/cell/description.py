"""Everything about one robot cell, read from one YAML and checked before anything is started.

The bundled cells are in ``cells/``; `docs/ros.md` explains every key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from robot_rl.controllers.arbiter_config import ArbiterConfig
from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.config import Range, check_ranges, from_dict, read_yaml
from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.imperfections import Imperfections
from robot_rl.hardware.joystick import BUTTONS, ENGAGED
from robot_rl.hardware.leader.config import LeaderConfig

CELLS = Path(__file__).parent / "cells"
SUFFIX = ".yaml"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
Pose = tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True)
class NetworkConfig:
    """Who can reach the cell's topics.

    Attributes:
        domain_id: of DDS; cells with different ones do not see each other.
        reach: ``localhost`` binds everything to the loopback interface; ``environment`` leaves discovery, transports
            and security to the ROS 2 environment that the processes are started in.
    """

    domain_id: Annotated[int, Range(0, 101)] = 41
    reach: Literal["localhost", "environment"] = "localhost"

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class RobotConfig:
    """The arm.

    Attributes:
        provider: ``sim`` (MuJoCo), ``franky`` (a Franka arm, or its emulator, at `address`) or ``ros2_control`` (a
            Cartesian controller that takes `target_pose`, such as CRISP's, started elsewhere).
        address: of the robot's control interface.
        emulated: start the FCI emulator at `address`, which must then be a loopback one.
        realtime: ``enforce`` refuses to start without a real-time kernel; ``ignore`` is for emulators and tests.
        state_hz: readings published per second.
        impedance: of the tool, the task's own if absent. ``sim`` uses all of it; ``franky`` all but the integral term,
            the gain filter and the torque limits, with the smaller of both error clips; with ``ros2_control`` the
            controller has its own.
        q_home_rad: joint configuration that `home` moves to.
        home_s: shortest duration of that motion.
        collision_torque_nm: torque of each joint at which the robot's own reflex stops it.
        collision_force_n: force along each axis at which it does.
        load_kg: mass of what the flange carries beside the hand, for example a peg held rigidly; 0 leaves what the
            robot has been told before.
        load_com_flange_m: its centre in the flange's frame.
        controller: for ``ros2_control``: namespace of the Cartesian controller's topics ``target_pose`` and
            ``current_pose`` and of its ``joint_states``; relative to the cell's, or absolute with a leading slash.
        controller_frame: name that the controller has for the base frame, such as ``base`` or ``fr3_link0``.
        broadcaster: for ``ros2_control``: name of franka_ros2's state broadcaster in the controller's namespace.
    """

    provider: Literal["sim", "franky", "ros2_control"] = "sim"
    address: str = "172.16.0.2"
    emulated: bool = False
    realtime: Literal["enforce", "ignore"] = "enforce"
    state_hz: Annotated[float, Range(20.0, 1000.0)] = 100.0
    impedance: ImpedanceParams | None = None
    q_home_rad: tuple[float, ...] = (0.0, -0.785398, 0.0, -2.356194, 0.0, 1.570796, 0.785398)
    home_s: Annotated[float, Range(0.5, 60.0)] = 3.0
    collision_torque_nm: Annotated[float, Range(1.0, 100.0)] = 40.0
    collision_force_n: Annotated[float, Range(1.0, 100.0)] = 60.0
    load_kg: Annotated[float, Range(0.0, 3.0)] = 0.0
    load_com_flange_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    controller: str = "robot"
    controller_frame: str = "base"
    broadcaster: str = "franka_robot_state_broadcaster"

    def __post_init__(self) -> None:
        """Check ranges, sizes and the address.

        Raises:
            ConfigError: naming the key, what it was and what it may be.
        """
        check_ranges(self)
        if len(self.q_home_rad) != 7:
            raise ConfigError(f"robot.q_home_rad has {len(self.q_home_rad)} values, expected 7")
        if self.emulated and not (self.provider == "franky" and _is_loopback(self.address)):
            raise ConfigError(
                f"robot.emulated needs provider franky and a loopback address, got {self.provider} at {self.address}"
            )


@dataclass(frozen=True)
class GripperConfig:
    """The gripper.

    Attributes:
        provider: ``sim``; ``franky`` for a Franka hand at the robot's address; ``position`` for any driver that takes a
            position on a topic and publishes joint states; ``none``.
        max_width_m: opening between the pads when fully open.
        speed_m_s: of the fingers, for ``franky``.
        force_n: with which something between the fingers is held, for ``franky``.
        command_topic: Float64MultiArray of one value that ``position`` publishes on.
        state_topic: JointState whose first position ``position`` reads.
        closed_at: value of command and state when closed, for ``position``.
        open_at: the same when fully open.
    """

    provider: Literal["sim", "franky", "position", "none"] = "sim"
    max_width_m: Annotated[float, Range(0.001, 0.5)] = 0.08
    speed_m_s: Annotated[float, Range(0.001, 0.5)] = 0.1
    force_n: Annotated[float, Range(0.1, 70.0)] = 30.0
    command_topic: str = "position_gripper/command"
    state_topic: str = "position_gripper/joint_states"
    closed_at: float = 0.0
    open_at: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a value is out of range, or open and closed are the same.
        """
        check_ranges(self)
        if self.open_at == self.closed_at:
            raise ConfigError(f"gripper.open_at and gripper.closed_at are both {self.open_at}, expected two values")


@dataclass(frozen=True)
class CameraConfig:
    """One camera.

    Attributes:
        provider: ``sim`` renders what the cell's topics say; ``realsense``; ``uvc``.
        device: serial number of a RealSense (empty for the only one), or path such as ``/dev/video0``.
        view: camera of the simulated scene that ``sim`` renders: ``wrist``, ``side`` or ``overview``.
        width: of the device's picture in pixels.
        height: of it.
        hz: pictures per second.
        exposure_us: fixed exposure; None leaves it to the camera.
        crop: left, top, width, height in pixels of the device's picture; None for all of it.
        image_size: height and width that are published, after cropping; None keeps the size.
        max_age_s: an older picture counts as a camera that has stopped.
        compressed: also publish JPEG.
    """

    provider: Literal["sim", "realsense", "uvc"] = "sim"
    device: str = ""
    view: str = "wrist"
    width: Annotated[int, Range(16, 4096)] = 640
    height: Annotated[int, Range(16, 4096)] = 480
    hz: Annotated[float, Range(1.0, 240.0)] = 30.0
    exposure_us: Annotated[float, Range(1.0, 1e6)] | None = None
    crop: tuple[int, int, int, int] | None = None
    image_size: tuple[int, int] | None = (128, 128)
    max_age_s: Annotated[float, Range(0.01, 10.0)] = 0.2
    compressed: bool = False

    def __post_init__(self) -> None:
        """Check ranges, and that the crop lies in the picture.

        Raises:
            ConfigError: naming what does not fit.
        """
        check_ranges(self)
        if self.crop is not None:
            left, top, width, height = self.crop
            inside = left >= 0 and top >= 0 and left + width <= self.width and top + height <= self.height
            if width < 1 or height < 1 or not inside:
                raise ConfigError(f"camera crop {self.crop} does not lie in a picture of {self.width}x{self.height}")
        if self.image_size is not None and not all(16 <= side <= 4096 for side in self.image_size):
            raise ConfigError(f"camera image_size is {self.image_size}, expected height and width of 16 to 4096")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 3) of what is published."""
        if self.image_size is not None:
            return (*self.image_size, 3)
        return (self.crop[3], self.crop[2], 3) if self.crop is not None else (self.height, self.width, 3)


@dataclass(frozen=True)
class WorldConfig:
    """Where the task's objects are and who puts them back.

    Attributes:
        provider: ``sim``; ``emulator`` for the objects of the FCI emulator; ``fixed`` for objects that stand at known
            poses or are published as ``objects/<name>/pose`` by a tracker of the user's.
        objects: ``pose_base_object`` by name, for ``fixed``.
        clearance_m: how far the tool is lifted before it travels to the start of an episode; a simulated arm is put
            there at once.
        travel_m_s: speed of that travel.
        home_every: episodes between two motions of the joints to `q_home_rad`, which undo what the elbow drifted; 0
            for never.
    """

    provider: Literal["sim", "emulator", "fixed"] = "sim"
    objects: dict[str, Pose] = field(default_factory=dict)
    clearance_m: Annotated[float, Range(0.0, 0.3)] = 0.06
    travel_m_s: Annotated[float, Range(0.01, 0.5)] = 0.15
    home_every: Annotated[int, Range(0, 10_000)] = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class TeleopConfig:
    """An operator's device on ROS topics.

    Attributes:
        provider: ``none``; ``joy`` if something else publishes ``teleop/joy``, such as spacenav or joy_node;
            ``spacemouse`` or ``leader`` to start our node.
        linear_m_s: speed at full deflection.
        angular_rad_s: turn at full deflection.
        deadman_button: index of the button of ``teleop/joy`` that must be held; -1 engages by moving a stick, or by a
            leader's clutch.
        leader: an arm that a person moves by hand, for ``leader``.
    """

    provider: Literal["none", "joy", "spacemouse", "leader"] = "none"
    linear_m_s: Annotated[float, Range(0.001, 0.25)] = 0.1
    angular_rad_s: Annotated[float, Range(0.01, 1.0)] = 0.5
    deadman_button: Annotated[int, Range(-1, 31)] = -1
    leader: LeaderConfig = field(default_factory=LeaderConfig)

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)

    @property
    def grip_button(self) -> int:
        """Index of the button that says that the operator has taken over; -1 for the deflection of a stick.

        A leader moves too little for that, and says so with a button of its own.
        """
        return BUTTONS.index(ENGAGED) if self.provider == "leader" and self.deadman_button < 0 else self.deadman_button


@dataclass(frozen=True)
class CellConfig:
    """One robot cell.

    Attributes:
        name: namespace of its nodes and topics.
        network: who can reach them.
        robot: the arm.
        gripper: on it.
        cameras: by name.
        limits: of the safety arbiter.
        world: where the objects are.
        teleop: an operator's device.
        task: whose objects a simulated or emulated cell holds.
        task_options: of that task.
        imperfections: latency, loss and noise of simulated devices, and what their cameras do to pictures.
        supervision: ``operator``: after a fault somebody has to recover and enable the arm; ``automatic``: an
            environment does so at its next reset, which only a simulated or emulated cell allows.
        operator_timeout_s: how long an environment waits for the operator before it gives up.
        reward: start the reward node.
        reward_model: folder of the success classifier that it asks; None for the rules of the cell's task.
        reward_unevaluated: let it ask a classifier that nobody has evaluated, on a real robot.
        record: folder that the recorder node writes to; None for no recorder.
        seed: of what is random in a simulated cell.
    """

    name: str = "cell"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    robot: RobotConfig = field(default_factory=RobotConfig)
    gripper: GripperConfig = field(default_factory=GripperConfig)
    cameras: dict[str, CameraConfig] = field(default_factory=dict)
    limits: ArbiterConfig = field(default_factory=ArbiterConfig)
    world: WorldConfig = field(default_factory=WorldConfig)
    teleop: TeleopConfig = field(default_factory=TeleopConfig)
    task: str = "Reach"
    task_options: dict[str, Any] = field(default_factory=dict)
    imperfections: Imperfections = field(default_factory=Imperfections)
    supervision: Literal["operator", "automatic"] = "operator"
    operator_timeout_s: Annotated[float, Range(1.0, 86400.0)] = 600.0
    reward: bool = False
    reward_model: Path | None = None
    reward_unevaluated: bool = False
    record: Path | None = None
    seed: Annotated[int, Range(0)] = 0

    def __post_init__(self) -> None:
        """Check names, and what only fits together.

        Raises:
            ConfigError: naming the keys that do not fit.
        """
        check_ranges(self)
        for what, name in [("name", self.name), *(("cameras", camera) for camera in self.cameras)]:
            if not _NAME.fullmatch(name):
                raise ConfigError(f"{what}: {name!r} is no ROS name; use lower-case letters, digits and underscores")
        sims = {"robot": self.robot.provider, "gripper": self.gripper.provider, "world": self.world.provider}
        is_sim = self.robot.provider == "sim"
        for key, provider in sims.items():
            if (provider == "sim") != is_sim and provider != "none":
                raise ConfigError(
                    f"{key}.provider is {provider} and robot.provider {self.robot.provider}: both or none are sim"
                )
        if (self.world.provider == "emulator") != self.robot.emulated:
            raise ConfigError("world.provider emulator and robot.emulated: true go together")
        if self.supervision == "automatic" and not self.simulated:
            raise ConfigError("supervision automatic is for simulated cells: on a robot, a person recovers from faults")

    @property
    def simulated(self) -> bool:
        """Nothing real moves."""
        return self.robot.provider == "sim" or self.robot.emulated


def load_cell(source: str | Path) -> CellConfig:
    """Read a cell.

    Args:
        source: path of a YAML, or the name of a bundled cell.

    Raises:
        ConfigError: neither exists, or a key or value is wrong; names it and what is allowed.
    """
    return from_dict(CellConfig, read_yaml(cell_file(source)))


def cell_file(source: str | Path) -> Path:
    """Where a cell's YAML is.

    Raises:
        ConfigError: there is no such file and no bundled cell of that name.
    """
    path = Path(source)
    if path.suffix == SUFFIX or path.is_file():
        return path
    if str(source) in cell_names():
        return CELLS / f"{source}{SUFFIX}"
    raise ConfigError(f"{unknown_name('cell', str(source), cell_names())}; or give the path of a YAML file")


def cell_names() -> list[str]:
    """Bundled cells."""
    return sorted(p.stem for p in CELLS.glob(f"*{SUFFIX}"))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
