"""A made-up run folder, clearly labelled as such, and a tiny environment: nothing here was measured."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.evaluation.stats import wilson_interval

SPEC = StateSpec((Part("position", 1, "m"), Part("clock", 1, "s")))
EPISODE_STEPS = 30
HZ = 10.0


@dataclass(frozen=True)
class LineTask:
    episode_steps: int = EPISODE_STEPS


@dataclass
class LineEnv:
    """A point on a line that succeeds beyond 1.0; even seeds start close, odd seeds start far."""

    nan_at: int = -1
    picture: bool = True
    task: LineTask = field(default_factory=LineTask)
    state_spec: StateSpec = SPEC
    action_spec: ActionSpec = field(default_factory=lambda: ActionSpec(0.1, 0.1))
    hz: float = HZ
    lockstep: bool = True
    raises_at: int = -1
    holds: int = 0
    closed: bool = False
    resets: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    looks: int = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        assert seed is not None
        self.resets.append(seed)
        self.x, self.steps = (0.5 if seed % 2 == 0 else -9.0), 0
        return self._obs(), {"t_control_s": 0.0}

    def wanted(self) -> str:
        return self.requests.pop(0) if self.requests else ""

    def look(self) -> Any:
        self.looks += 1
        return self._obs()

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.x += 0.1 * float(action[0])
        self.steps += 1
        if self.steps == self.raises_at:
            raise DataError("no reading at the end of a step")
        success = self.x >= 1.0 - 1e-9
        truncated = not success and self.steps >= self.task.episode_steps
        reason = "success" if success else "time_out" if truncated else ""
        return self._obs(), float(success), success, truncated, {"success": success, "stop_reason": reason}

    def hold(self) -> None:
        self.holds += 1

    def render(self) -> Any:
        if not self.picture:
            return None
        image = np.full((48, 64, 3), 40, np.uint8)
        image[:, : int(np.clip(32 * self.x, 0, 64))] = (200, 80, 20)
        return image

    def close(self) -> None:
        self.closed = True

    def _obs(self) -> dict[str, Any]:
        x = math.nan if self.steps == self.nan_at else self.x
        return {"state": np.array([x, self.steps / self.hz], np.float32)}


class ForwardPolicy:
    """Goes forward at full speed; insists on being asked for deterministic actions."""

    version = 7

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> np.ndarray:
        assert deterministic
        assert obs.state.dtype == np.float32
        return np.array([1, 0, 0, 0, 0, 0, 0], np.float32)


@pytest.fixture
def line_env(monkeypatch: pytest.MonkeyPatch) -> LineEnv:
    """`robot_rl.envs.make_env` gives this environment for the task ``Line``."""
    import robot_rl.envs

    env = LineEnv()
    monkeypatch.setattr(robot_rl.envs, "make_env", lambda task, **options: env, raising=False)
    return env


def make_run(
    folder: Path, *, seed: int = 0, episodes: int = 200, corrections: bool = True, evaluations: int = 4
) -> Path:
    """A made-up run that learns along a logistic curve; its task is called ``Synthetic``."""
    rng = np.random.default_rng(seed)
    path = folder / "Synthetic" / f"2000-01-01_00-00-{seed:02d}_seed{seed}"
    (path / "videos").mkdir(parents=True)
    config = {"task": "Synthetic", "task_options": {"clearance_mm": 0.5}, "seed": seed, "demos": {"n": 0, "dir": None}}
    config["corrections"] = "scripted" if corrections else "none"
    config["pace"] = {"utd_floor": 0.5, "utd_cap": 2.0}
    (path / "config.yaml").write_text("# SYNTHETIC: made up for tests\n" + yaml.safe_dump(config))
    meta = {
        "run_id": "synthetic",
        "task": "Synthetic",
        "argv": ["/somewhere/robot-rl", "train", "Synthetic", "--note", "made up <for> tests"],
        "start": "2000-01-01T00:00:00+00:00",
        "end": "2000-01-01T00:20:00+00:00",
        "status": "finished",
        "versions": {"python": "3.11", "robot-rl": "synthetic"},
        "git_commit": "0" * 40,
        "machine": {"processor": "none, this run is made up", "cores": 2, "system": "none"},
        "hz": HZ,
        "state_spec": SPEC.to_list(),
        "state_checksum": SPEC.checksum,
        "counters": {"env_steps": 0},
    }
    steps, rows, learner, actors = 0, [], [], list[str]()
    for k in range(episodes):
        skill = 1 / (1 + math.exp(-(k - episodes * 0.4) / (episodes * 0.08)))
        helped = int(rng.integers(5, 25)) if corrections and rng.random() > skill else 0
        success = int(rng.random() < max(skill, 0.8 if helped else 0.02))
        length = int(rng.integers(25, 60)) if success else 100
        steps += length
        reason = "success" if success else "time_out"
        source = "policy+operator" if helped else "policy"
        cells = (k, steps, steps / HZ, steps / 15, length, success, success, reason, helped, helped / length, k, source)
        rows.append(",".join(map(str, cells)))
        scalars = (0.2 * math.exp(-k / 60) + 0.01 * rng.random(), -skill, 0.1 * math.exp(-k / 50), -3.0 + skill)
        waits = (0.01 * min(steps, 5000), 0.004 * steps)
        pace = (4.0 - math.exp(-k / 20), 4.0, *waits, 30 + rng.random(), 15.0)
        learner.append(",".join(map(str, (k * 50, steps, steps / 15, *pace, *scalars, skill))))
        seen = ("a0", "robot-pc", steps, steps - steps // 4, 0.75, 2, 0.05 + 0.01 * rng.random(), 0.4 + rng.random())
        other = ("a1", "second-pc", steps, steps // 4, 0.25, 7, 0.2 + 0.1 * rng.random(), 1.5 + rng.random())
        actors += [",".join(map(str, seen)), ",".join(map(str, other))]
    meta["counters"] = {"env_steps": steps, "episodes": episodes}
    meta["events"] = [{"time": "2000-01-01T00:07:00+00:00", "env_step": 4200, "text": "resumed after <a> kill"}]
    (path / "run.json").write_text(json.dumps(meta))
    header = "episode,env_step,robot_s,wall_s,length,return,success,stop_reason,intervention_steps,intervention_share"
    (path / "episodes.csv").write_text("\n".join([header + ",policy_version,source", *rows]) + "\n")
    header = (
        "update,env_step,wall_s,utd,utd_target,learner_wait_s,actor_wait_s,updates_per_s,env_steps_per_s,critic_loss,"
        "actor_loss,temperature,entropy,q_mean"
    )
    (path / "learner.csv").write_text("\n".join([header, *learner]) + "\n")
    header = "actor,host,env_step,env_steps,share,lag_steps,lag_s,policy_age_s"
    (path / "actors.csv").write_text("\n".join([header, *actors]) + "\n")
    with (path / "evaluations.jsonl").open("w") as file:
        for k in range(evaluations):
            share = (k + 1) / evaluations
            successes = round(100 / (1 + math.exp(-(share - 0.5) * 9)))
            interval = wilson_interval(successes, 100)
            row = {"checkpoint": f"{k:09d}", "env_step": int(steps * share), "robot_s": steps * share / HZ, "n": 100}
            row |= {"successes": successes, "success": successes / 100, "wilson_low": interval.low}
            row |= {
                "wilson_high": interval.high,
                "mean_time_to_success_s": 10 - 6 * share,
                "median_time_to_success_s": None,
            }
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs")
