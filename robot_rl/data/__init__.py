"""Where experience lives: episode log on disk, replay buffer in memory, batches drawn from it.

Start with `robot_rl.data.episode_log` (one file per episode), `robot_rl.data.replay` (buffer and sampler) and
`robot_rl.data.demos` (demonstrations from disk).
"""
