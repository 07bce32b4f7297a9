"""Residual PPO on a frozen base, in simulation with many environments, as ResiP does it: for comparison."""
