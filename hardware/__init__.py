"""Devices behind the core protocols: the MuJoCo cell and its emulated devices."""

if __name__ != "robot_rl.hardware":
    raise ImportError("import robot_rl.hardware, not hardware")
