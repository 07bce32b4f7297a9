"""Contract suites: what every device and policy must do, as tests to inherit. Needs pytest (extra `dev`).

Subclass one in a test file and say how to make the thing; pytest runs the whole contract over it::

    from robot_rl.testing import GripperContract

    class TestMyGripper(GripperContract):
        def make(self) -> Gripper:
            return MyGripper("192.168.0.3")

The suites for arms, grippers and worlds move the robot: a few centimetres and small joint angles, unless the class
attributes say otherwise. Run them on hardware only with free space around the tool and a hand on the user stop.
"""

from robot_rl.testing.arm import ArmContract, ArmFaultContract
from robot_rl.testing.base import BasePolicyContract
from robot_rl.testing.camera import CameraContract
from robot_rl.testing.clock import ClockContract
from robot_rl.testing.gripper import GripperContract
from robot_rl.testing.policy import PolicyContract
from robot_rl.testing.teleop import TeleopContract, TeleopPressContract, TeleopUnplugContract
from robot_rl.testing.world import WorldContract

__all__ = [
    "ArmContract",
    "ArmFaultContract",
    "BasePolicyContract",
    "CameraContract",
    "ClockContract",
    "GripperContract",
    "PolicyContract",
    "TeleopContract",
    "TeleopPressContract",
    "TeleopUnplugContract",
    "WorldContract",
]
