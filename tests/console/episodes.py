"""Episodes written step by step together with the truth that no file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import Array, CellReadings
from robot_rl.data.episode_log import SUFFIX, EpisodeMeta, EpisodeWriter
from robot_rl.envs import make_env
from robot_rl.envs.make import make_expert


@dataclass
class Logged:
    """A file, and what was true at each of its observations."""

    path: Path
    truth: list[CellReadings] = field(default_factory=list)
    q_rad: list[Array] = field(default_factory=list)
    records: list[StepRecord] = field(default_factory=list)


def log_episode(
    folder: Path,
    task: str,
    *,
    seed: int = 0,
    steps: int = 60,
    extra: Mapping[str, str] | None = None,
    pictures: bool = False,
    **options: Any,
) -> Logged:
    """The expert's episode, some of its steps an operator's, with noise as pictures if wanted."""
    env = make_env(task, **options)
    rng = np.random.default_rng(seed)
    out = Logged(folder / f"{seed:06d}{SUFFIX}")
    raw, _ = env.reset(seed=seed)
    expert = make_expert(env, rng)
    expert.reset()

    def seen(state: Any) -> Observation:
        now = env.readings()
        assert now is not None
        out.truth.append(now)
        out.q_rad.append(now.arm.q_rad)
        image = rng.integers(0, 256, (8, 10, 3), np.uint8)
        return Observation(state["state"], {"side": image} if pictures else {})

    obs = seen(raw)
    for k in range(steps):
        wanted = expert.act()
        raw, _, terminated, truncated, info = env.step(wanted)
        truncated = truncated or (k == steps - 1 and not terminated)
        after = seen(raw)
        out.records.append(
            StepRecord(
                episode_id=f"run-a0-{seed}",
                step_index=k,
                obs=obs,
                action_executed=info["action_executed"],
                action_policy=wanted.astype(np.float32),
                rewards=info["rewards"],
                terminated=terminated,
                truncated=truncated,
                stop_reason=info["stop_reason"] or ("time_out" if truncated else ""),
                intervention=k % 5 == 2,
                source=Source.OPERATOR if k % 5 == 2 else Source.POLICY,
                policy_version=7,
                task=task,
                t_wall_s=1e9 + 0.1 * k,
                t_control_s=info["t_control_s"],
                final_obs=after if terminated or truncated else None,
            )
        )
        obs = after
        if out.records[-1].last:
            break
    meta = EpisodeMeta(task, env.state_spec, env.action_spec, run_id="run", seed=seed, extra=dict(extra or {}))
    env.close()
    with EpisodeWriter(out.path, meta) as writer:
        for record in out.records:
            writer.append(record)
    return out
