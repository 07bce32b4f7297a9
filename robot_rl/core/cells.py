"""Names by which a cell is asked for; anything else is a bundled description or the path of one."""

from __future__ import annotations

# The simulation in the process that asks, in lock-step.
IN_PROCESS = "sim"
# The same simulation as processes of their own on ROS 2, in real time.
OVER_ROS = "ros"
