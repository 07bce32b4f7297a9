"""The cell on ROS 2: one node a device, the safety arbiter, and clients that make them a cell again."""
