"""The objects of a cell on ROS 2, and the way back to the start of an episode."""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import PoseStamped

from robot_rl.core.errors import DeviceError, SafetyFault, unknown_name
from robot_rl.core.protocols import Gripper
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import Array
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.ros import names, qos
from robot_rl.hardware.ros.calls import AGAIN_S, Calls
from robot_rl.hardware.ros.client.arbiter import ArbiterClient
from robot_rl.hardware.ros.client.arm import RosArm
from robot_rl.hardware.ros.client.clock import WallClock
from robot_rl.hardware.ros.client.gripper import RosGripper
from robot_rl.hardware.ros.client.heard import Newest
from robot_rl.hardware.ros.client.readiness import Readiness
from robot_rl.hardware.ros.client.travel import near
from robot_rl.hardware.ros.client.traveller import GRIP_M, Traveller
from robot_rl.hardware.ros.executor import Spinner
from robot_rl.hardware.ros.messages import pose_of

WORLD_NODE = "world"
MAX_AGE_S = 1.0
_RESET_S = 10.0
_NEAR_M, _NEAR_RAD = 0.005, 0.03
# Below the table, out of the reach of everything.
_AWAY: Array = np.array([0.5, 0.0, -2.0, 0.0, 0.0, 0.0, 1.0])


class RosWorld:
    """Where the objects are said to be, and how an episode begins.

    A simulated cell is put at the start at once, with the arm disabled meanwhile. Any other arm travels there through
    the arbiter, and objects are put where the emulator can put them. On a real cell they stay where they are: what an
    environment asks for is then up to a person, and what the topics say counts.

    Args:
        config: the cell.
        objects: of the task; those held by the hand are where the tool is.
        spinner: whose node talks; not closed by the world.
        calls: through which services are called.
        arm: of the cell.
        gripper: of the cell.
        arbiter: of the cell.
        clock: of the cell; it takes the system's time anew with every reset.
        readiness: gets the cell ready for an episode.
    """

    def __init__(
        self,
        config: CellConfig,
        objects: tuple[SceneObject, ...],
        spinner: Spinner,
        calls: Calls,
        arm: RosArm,
        gripper: Gripper,
        arbiter: ArbiterClient,
        clock: WallClock,
        readiness: Readiness,
    ) -> None:
        self._config, self._calls, self._readiness = config, calls, readiness
        self._arm, self._gripper, self._arbiter, self._clock = arm, gripper, arbiter, clock
        self._held = frozenset(o.name for o in objects if o.mount == "hand")
        # What stands at a known pose is said once, everything else again and again.
        self._poses = {
            o.name: Newest(
                spinner.node,
                PoseStamped,
                names.object_pose(o.name),
                pose_of,
                qos.LATCHED if self._stands(o.name) else qos.STREAM_IN,
            )
            for o in objects
            if o.name not in self._held
        }
        self._traveller = Traveller(config, arm, arbiter, clock)
        self._since_home = 0

    @property
    def unheard(self) -> list[str]:
        """Topics of objects on which there has been nothing."""
        return [t.topic for t in self._poses.values() if t.newest is None]

    def object_pose(self, name: str) -> Array:
        """`pose_base_object` ``[7]``; of what the hand holds, the pose of the tool.

        Raises:
            DeviceError: no object of that name, or its pose was never heard or not for a second.
        """
        if name in self._held:
            return self._arm.state().pose_base_tcp
        heard = self._known(name).read()
        if heard.age_s > MAX_AGE_S and not self._stands(name):
            raise DeviceError(f"the pose of {name} was last heard {heard.age_s:.1f} s ago: is its publisher up?")
        return heard.value.copy()

    def place(self, name: str, pose_base_object: Array) -> None:
        """Put an object at rest at a pose. Blocks.

        Raises:
            DeviceError: nothing in this cell can, or it refuses.
        """
        topic = self._known(name)
        if self._config.world.provider == "fixed":
            raise DeviceError(f"nothing in this cell can move {name}: put it at {_text(pose_base_object)} by hand")
        pose = [float(v) for v in pose_base_object]
        self._calls.set_parameters(WORLD_NODE, {names.place_object(name): pose})
        self._trigger(names.WORLD_PLACE)
        called_s = time.time()
        if not topic.wait(lambda heard: heard.t_s >= called_s, MAX_AGE_S):
            raise DeviceError(f"the pose of {name} was not heard after it was placed")

    def reset(self, pose_base_tcp: Array, gripper_width_m: float, object_poses: dict[str, Array]) -> None:
        """Bring arm, gripper and objects to the start of an episode, at rest.

        Blocks, on a supervised cell until a person has cleared what is latched.

        Raises:
            SafetyFault: the arbiter refuses, or a fault latched on the way.
            DeviceError: nodes are gone, nobody came, or something is not where it belongs.
        """
        self._clock.restart()
        self._arm.hold()
        self._readiness.wait_for_nodes()
        if self._config.world.provider == "sim":
            self._put(pose_base_tcp, gripper_width_m, object_poses)
        else:
            self._go(pose_base_tcp, gripper_width_m, object_poses)
        self._hear_everything()

    def _put(self, pose_base_tcp: Array, width_m: float, objects: dict[str, Array]) -> None:
        """Teleport; the arbiter must not call the arm back meanwhile, so it is disabled."""
        self._readiness.clear()
        self._arbiter.disable()
        self._tell_start(objects, {names.START_POSE: pose_base_tcp.tolist(), names.START_WIDTH: float(width_m)})
        self._trigger(names.WORLD_RESET)
        self._hear_everything()
        measured = self._arm.state().pose_base_tcp
        if not near(measured, pose_base_tcp, _NEAR_M, _NEAR_RAD):
            raise DeviceError(f"after a reset the tool is at {_text(measured)}, expected {_text(pose_base_tcp)}")
        self._arbiter.enable()

    def _go(self, pose_base_tcp: Array, width_m: float, objects: dict[str, Array]) -> None:
        """Travel; a fault on the way is recovered, and a tool that is stuck freed, once where that needs no person."""
        for last in (False, True):
            try:
                self._readiness.make_ready()
                self._travel(pose_base_tcp, width_m, objects)
                return
            except (SafetyFault, DeviceError):
                if last or self._config.supervision == "operator":
                    raise
                self._free(objects)

    def _free(self, objects: dict[str, Array]) -> None:
        """A jammed robot stops again whenever it is recovered; a person would take away what it is jammed in."""
        if objects and self._config.world.provider == "emulator":
            self._tell_start(dict.fromkeys(objects, _AWAY), {})
            self._trigger(names.WORLD_RESET)

    def _travel(self, pose_base_tcp: Array, width_m: float, objects: dict[str, Array]) -> None:
        if width_m > self._gripper.state().width_m + GRIP_M:
            self._traveller.grip(self._gripper, width_m)
        self._traveller.lift()
        if objects and self._config.world.provider == "emulator":
            self._tell_start(objects, {})
            self._trigger(names.WORLD_RESET)
        self._since_home += 1
        if 0 < self._config.world.home_every <= self._since_home:
            self._arbiter.home(self._config.robot.home_s + self._config.limits.home_timeout_s)
            self._since_home = 0
        self._traveller.go_to(pose_base_tcp)
        self._arm.hold()
        self._traveller.grip(self._gripper, width_m)

    def _tell_start(self, objects: dict[str, Array], others: dict[str, list[float] | float]) -> None:
        for name in objects:
            self._known(name)
        poses = {names.start_object(name): [float(v) for v in pose] for name, pose in objects.items()}
        self._calls.set_parameters(WORLD_NODE, {**poses, **others})

    def _trigger(self, service: str) -> None:
        done, text = self._calls.trigger(service, _RESET_S, again_s=AGAIN_S)
        if not done:
            raise DeviceError(f"{service} was refused: {text}")

    def _hear_everything(self) -> None:
        """Wait for readings from after this moment, so that no observation mixes them with older ones."""
        now_s = time.time()
        heard = self._arm.wait_after(now_s, MAX_AGE_S)
        if isinstance(self._gripper, RosGripper):
            heard &= self._gripper.wait_after(now_s, MAX_AGE_S)
        for name, topic in self._poses.items():
            heard &= self._stands(name) or topic.wait(lambda pose: pose.t_s > now_s, MAX_AGE_S)
        if not heard:
            raise DeviceError(f"no new readings of arm, gripper and objects came within {MAX_AGE_S:g} s of a reset")

    def _stands(self, name: str) -> bool:
        return self._config.world.provider == "fixed" and name in self._config.world.objects

    def _known(self, name: str) -> Newest[Array]:
        if name not in self._poses:
            raise DeviceError(unknown_name("object", name, [*self._poses, *self._held]))
        return self._poses[name]


def _text(pose: Array) -> str:
    return np.array2string(np.asarray(pose), precision=4, separator=", ", suppress_small=True)
