"""A line of ``process.csv``."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ProcessRow:
    """One line of ``process.csv``: what the process model made of a training episode.

    Attributes:
        episode: number of finished training episodes before it.
        env_step: environment steps of the run when it ended.
        success: 1 if the task was solved.
        helped: 1 if a person was in command in it; the monitor leaves it out.
        process_return: see `robot_rl.rewards.monitor.EpisodeSummary`.
        paid: sum of the process reward stored in the replay, before its weight.
        high_share: share of its steps with progress above `robot_rl.rewards.monitor.MonitorConfig.high`.
        phi_end: progress after its last step.
        beta: weight of the process reward after it.
        alarm: 0 green, 1 amber, 2 red.
        correlation: of process return and success over the monitor's window, empty while unknown.
    """

    episode: int
    env_step: int
    success: int
    helped: int
    process_return: float
    paid: float
    high_share: float
    phi_end: float
    beta: float
    alarm: int
    correlation: float | None


PROCESS_COLUMNS = tuple(f.name for f in fields(ProcessRow))
