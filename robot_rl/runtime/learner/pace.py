"""How many update calls belong to how many environment steps: pure arithmetic that both training modes share.

UTD is the number of critic gradient steps per environment step, counted from `PaceConfig.learning_starts` on and over
the whole run: what was learned too little or too much is made up for later. Three lines bound it. Below the target an
update call is due. Between target and cap a learner with nothing else to do may make one. Below the floor, give or take
the slack, actors that can wait do so.
"""

from __future__ import annotations

from robot_rl.runtime.config import PaceConfig

UNLIMITED_STEPS = 2**53


def due_updates(pace: PaceConfig, env_steps: int) -> int:
    """Update calls that keep the target after `env_steps` environment steps, warm-up left out."""
    return max(0, env_steps - pace.learning_starts) // pace.env_steps_per_update


def most_updates(pace: PaceConfig, env_steps: int) -> int:
    """Update calls that reach the cap after `env_steps` environment steps, warm-up left out."""
    learned_from = max(0, env_steps - pace.learning_starts)
    return max(due_updates(pace, env_steps), int(pace.utd_cap * learned_from / pace.env_steps_per_update))


def allowed_steps(pace: PaceConfig, updates: int, actors: int = 1) -> int:
    """Environment steps that all actors together may have taken.

    They always suffice for the next update to become due, whatever the slack: actors and learner never wait for each
    other at once.

    Args:
        pace: the lines.
        updates: update calls made, warm-up left out.
        actors: how many act. Each keeps its newest step until it has taken the one after it.

    Returns:
        The number of steps, or `UNLIMITED_STEPS` without a floor.
    """
    if pace.utd_floor <= 0.0:
        return UNLIMITED_STEPS
    paid = int(updates * pace.env_steps_per_update / pace.utd_floor)
    return pace.learning_starts + paid + max(pace.slack, pace.env_steps_per_update + actors)
