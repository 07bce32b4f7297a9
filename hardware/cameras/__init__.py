"""Cameras behind the protocols of `robot_rl.core.protocols.Camera`, without ROS."""
