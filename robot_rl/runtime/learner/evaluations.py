"""Evaluations during training: between two episodes in lock-step, on a spare process otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from robot_rl.policies.published import published_policy
from robot_rl.runtime.environment import Env
from robot_rl.runtime.learner.background import BackgroundEvaluator, Outcome
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.pictures import seeing


def evaluate_now(session: Session, make_env: Callable[[], Env]) -> None:
    """Evaluate the parameters of now in an environment of its own, checkpoint them, and mark the best."""
    from robot_rl.evaluation.evaluate import evaluate_in, evaluation_seeds

    session.plan_next_evaluation()
    session.save()
    config, learner, c = session.config, session.learner, session.learner.counters
    policy = seeing(published_policy(learner.actor_arrays(), learner.version), learner.eyes)
    env: Any = make_env()
    try:
        seeds = evaluation_seeds(config.evaluation.episodes, config.evaluation.validation_seed)
        result = evaluate_in(policy, env, config.task, seeds, task_options=config.env_options)
    finally:
        env.close()
    row = {
        "checkpoint": f"{c.updates:09d}",
        "env_step": c.env_steps,
        "robot_s": c.env_steps / session.hz,
        "wall_s": round(session.wall_s, 3),
        **result.row(),
    }
    session.take_evaluation(row, result.line())


def submit(session: Session, evaluator: BackgroundEvaluator) -> None:
    """Checkpoint the parameters of now and have them evaluated while training goes on."""
    session.plan_next_evaluation()
    c = session.learner.counters
    evaluator.submit(session.save(), c.env_steps, c.env_steps / session.hz, session.wall_s)


def take(session: Session, outcome: Outcome) -> None:
    """Write down how an evaluation in the background went."""
    if outcome.row is None:
        session.note(outcome.line)
    else:
        session.take_evaluation(outcome.row, outcome.line)
