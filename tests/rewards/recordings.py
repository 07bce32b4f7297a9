"""Recorded episodes whose pictures show how far they have come: a bright square that moves to the right."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robot_rl.core.specs import ActionSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import Image
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.envs.observation import make_state_spec
from robot_rl.envs.tasks import make_task

TASK = "Reach"
SPEC = make_state_spec(make_task(TASK))
META = EpisodeMeta(TASK, SPEC, ActionSpec(0.02, 0.1), run_id="test")
GOAL = 16


def scene(at: int, rng: np.random.Generator) -> Image:
    """A square `at` pixels from the left in front of noise."""
    picture = rng.integers(0, 60, (16, 24, 3))
    picture[5:10, at : at + 5] += 150
    return np.asarray(picture, np.uint8)


def record(folder: Path, number: int, steps: int = 12, *, success: bool) -> Path:
    """An episode that arrives, or turns round half way; ``process`` is what each step gained."""
    rng = np.random.default_rng(number)
    share = np.linspace(0.0, 1.0, steps + 1)
    way = share if success else np.minimum(share, 1.0 - share)
    places = np.round(GOAL * way).astype(int)
    state = np.zeros(SPEC.size, np.float32)
    seen = [Observation(state, {"side": scene(int(p), rng), "wrist": scene(int(p), rng)[:12]}) for p in places]
    path = folder / f"{number:04d}.mcap"
    with EpisodeWriter(path, META) as writer:
        for i in range(steps):
            last = i == steps - 1
            writer.append(
                StepRecord(
                    episode_id=f"test-{number}",
                    step_index=i,
                    obs=seen[i],
                    action_executed=np.zeros(7, np.float32),
                    action_policy=np.zeros(7, np.float32),
                    rewards={"success": float(last and success), "process": float(way[i + 1] - way[i])},
                    terminated=last and success,
                    truncated=last and not success,
                    stop_reason=("success" if success else "time_out") if last else "",
                    intervention=False,
                    source=Source.SCRIPTED,
                    policy_version=-1,
                    task=TASK,
                    t_wall_s=1.7e9 + 0.1 * i,
                    t_control_s=0.1 * (i + 1),
                    final_obs=seen[-1] if last else None,
                )
            )
    return path


def record_many(folder: Path, n: int) -> Path:
    """So many episodes, every second one a success."""
    folder.mkdir(parents=True)
    for number in range(n):
        record(folder, number, success=number % 2 == 0)
    return folder
