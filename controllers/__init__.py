"""Control laws and limits as pure functions: impedance, joint reset, safety filter, SE(3)."""

if __name__ != "robot_rl.controllers":
    raise ImportError("import robot_rl.controllers, not controllers")
