"""Policies: observation in, action out."""

if __name__ != "robot_rl.policies":
    raise ImportError("import robot_rl.policies, not policies")
