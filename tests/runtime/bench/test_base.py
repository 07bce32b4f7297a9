"""The bench of base policies reports what its docstring promises; how fast is for a quiet machine to say."""

from __future__ import annotations

from robot_rl.policies.base.config import BaseConfig, FitConfig, NetworkConfig
from robot_rl.runtime.bench.base import base_rates


def test_rows_are_complete() -> None:
    model = BaseConfig(network=NetworkConfig(width=16, depth=1), fit=FitConfig(steps=20, batch=16))
    rows = base_rates(task="Reach", task_options={"episode_steps": 5}, demos=2, episodes=2, calls=3, model=model)
    assert [r["sampler"] for r in rows] == ["EDM, 3 steps", "DDIM, 16 steps", "DDPM, 100 steps"]
    for row in rows:
        assert 0.0 < row["p50 (ms)"] <= row["p99 (ms)"]
        assert 0.0 <= row["lower"] <= row["success"] <= row["upper"] <= 1.0
        assert row["episodes"] == 2
    times = [r["p50 (ms)"] for r in rows]
    assert times[0] < times[2], "a hundred evaluations of a network take longer than three of it"
