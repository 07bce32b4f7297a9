"""Experience from and for other tools: LeRobot datasets both ways, SERL and HIL-SERL pickles in.

Start with `robot_rl.data.exchange.lerobot_out` and `robot_rl.data.exchange.lerobot_in`; `serl` reads the pickles,
through `restricted_pickle`; `foreign` maps what is not ours to step records.
"""
