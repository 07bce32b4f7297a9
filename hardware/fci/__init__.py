"""A Franka arm and hand emulated at the level of their network protocol."""
