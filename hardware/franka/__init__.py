"""Drivers of a Franka arm and hand, over `franky`. Needs the extra `franka`; no ROS."""
