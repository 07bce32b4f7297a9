"""How long a base policy thinks about a plan, and what fewer steps of sampling cost in success."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robot_rl.core.base import BasePolicy
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.base.config import BaseConfig, FitConfig, NetworkConfig
from robot_rl.runtime.cloning.config import CloneConfig
from robot_rl.runtime.cloning.episodes import demonstration, gather
from robot_rl.runtime.cloning.meter import MakeMeter, no_meter
from robot_rl.runtime.config import Option
from robot_rl.runtime.tasks import open_simulation

if TYPE_CHECKING:
    from robot_rl.evaluation.evaluate import Evaluation

Row = dict[str, Any]
CALLS = 200
REPLAN_EVERY = 4
MODEL = BaseConfig(network=NetworkConfig(width=256), fit=FitConfig(steps=3000))
"""What is trained: small enough for a processor."""


def base_rates(
    *,
    task: str = "PegInsert",
    task_options: Mapping[str, Option] | None = None,
    demos: int = 50,
    episodes: int = 100,
    calls: int = CALLS,
    model: BaseConfig = MODEL,
    seed: int = 0,
    meter: MakeMeter = no_meter,
) -> list[Row]:
    """Milliseconds of one plan and success rate: three steps of the score model, 16 of DDIM, 100 of DDPM.

    All have the same network and see the same demonstrations of the scripted expert; the latter two share their
    weights. One thread, one situation at a time; the samplers take turns, so that a busy machine is busy for all. Times
    are by the clock, and those that the processor was at it, which other programs hardly lengthen.

    Args:
        task: id of the task.
        task_options: of it; ``clearance_mm=0.2`` for PegInsert unless given.
        demos: recorded.
        episodes: of each sampler, from the same initial states.
        calls: timed of each sampler.
        model: network and training.
        seed: of demonstrations and training.
        meter: shows progress and time left.

    Returns:
        One row per sampler.
    """
    from robot_rl.policies.base.machine import one_thread

    usual: dict[str, Option] = {"clearance_mm": 0.2} if task == "PegInsert" else {}
    given = usual if task_options is None else dict(task_options)
    config = CloneConfig(
        task=task, task_options=given, n_demos=demos, replan_every=REPLAN_EVERY, model=model, seed=seed
    )
    with closing(open_simulation(config.world)) as env, one_thread():
        bases = _train(config, env, meter)
        obs, _ = env.reset(seed=seed)
        times_ms = _times_ms(list(bases.values()), Observation(np.array(obs["state"], np.float32)), calls)
        return [
            _row(name, base, ms, _play(config, base, env, episodes, meter(name)))
            for (name, base), ms in zip(bases.items(), times_ms, strict=True)
        ]


def _train(config: CloneConfig, env: Any, meter: MakeMeter) -> dict[str, BasePolicy]:
    from robot_rl.policies.base.policy import TorchBase
    from robot_rl.policies.base.train import train_base

    with tempfile.TemporaryDirectory() as folder:
        episodes = gather(config, Path(folder), env, lambda line: None, meter)
    shown = [demonstration(e) for e in episodes]
    trained = {}
    for objective in ("edm", "ddpm"):
        show = meter(f"training {objective}")
        model = replace(config.model, objective=objective)
        reports = train_base(
            model, shown, state_spec=env.state_spec, action_spec=env.action_spec, hz=env.hz, seed=config.seed
        )
        for report in reports:
            show(report.step, report.steps, f"loss {report.loss:.3g}")
        trained[objective] = report.snapshot()
    edm, ddim = trained["edm"], trained["ddpm"]
    ancestral = replace(ddim.config, ddpm=replace(ddim.config.ddpm, sampler="ddpm"))
    return {
        f"EDM, {edm.config.evaluations} steps": TorchBase(edm),
        f"DDIM, {ddim.config.evaluations} steps": TorchBase(ddim),
        f"DDPM, {ancestral.evaluations} steps": TorchBase(replace(ddim, config=ancestral)),
    }


def _times_ms(bases: Sequence[BasePolicy], obs: Observation, calls: int) -> list[Float32]:
    """By the clock and of the processor, of each call of each base ``[calls, 2]``."""
    rng = np.random.default_rng(0)
    out = np.empty((len(bases), calls, 2), np.float32)
    for k in range(-5, calls):
        for row, base in zip(out, bases, strict=True):
            noise = rng.standard_normal((1, *base.info.noise_shape), np.float32)
            began, began_cpu = time.perf_counter(), time.thread_time()
            base.propose([obs] * base.info.observations, noise)
            if k >= 0:
                row[k] = 1e3 * (time.perf_counter() - began), 1e3 * (time.thread_time() - began_cpu)
    return list(out)


def _play(config: CloneConfig, base: BasePolicy, env: Any, episodes: int, show: Any) -> Evaluation:
    from robot_rl.evaluation.evaluate import Evaluation, evaluation_seeds
    from robot_rl.evaluation.rollout import play_episode, time_limit_s
    from robot_rl.policies.plan import Planner
    from robot_rl.policies.planned import PlannedPolicy

    policy = PlannedPolicy(Planner(base, replan_every=min(config.replan_every, base.info.horizon)))
    played = []
    for k, seed in enumerate(evaluation_seeds(episodes, config.eval_seed), 1):
        played.append(play_episode(policy, env, seed))
        show(k, episodes, f"{sum(e.success for e in played)} succeeded")
    return Evaluation(config.task, tuple(played), time_limit_s(env))


def _row(name: str, base: BasePolicy, ms: Float32, result: Evaluation) -> Row:
    return {
        "sampler": name,
        "p50 (ms)": float(np.percentile(ms[:, 0], 50)),
        "p99 (ms)": float(np.percentile(ms[:, 0], 99)),
        "processor p50 (ms)": float(np.percentile(ms[:, 1], 50)),
        "success": result.success,
        "lower": result.interval.low,
        "upper": result.interval.high,
        "episodes": result.n,
    }
