"""The scripted demonstrator, and the scripted corrector that stands in for a person watching a policy.

Both see the true state. They are deliberately imperfect: limited to the speed of a careful person, shaky, now and then
hesitating, so that demonstrations look like demonstrations and may fail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot_rl.controllers.se3 import tool_delta
from robot_rl.core.specs import GRIPPER
from robot_rl.core.types import Float32, TeleopState
from robot_rl.envs.cell_env import CellEnv


@dataclass(frozen=True)
class ExpertStyle:
    """How human the expert is.

    Attributes:
        speed: share of the action range it uses at most.
        tremor: standard deviation of correlated noise, in action units.
        tremor_memory: how much of the noise stays from one step to the next, in [0, 1).
        hesitation: chance per step to pause.
        pause_steps: length of a pause.
        gain: deflection per unit of remaining distance; below 1 it slows down early.
        aim_off_m: it takes everything to be this far from where it is, in the base frame.
    """

    speed: float = 0.8
    tremor: float = 0.12
    tremor_memory: float = 0.7
    hesitation: float = 0.01
    pause_steps: int = 3
    gain: float = 0.9
    aim_off_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


CARELESS = ExpertStyle(aim_off_m=(0.0, 0.04, 0.0))
"""Of somebody who always aims to the same side and does not look: what tasks here forgive no one."""


class ScriptedExpert:
    """Follows the task's plan like a person at a SpaceMouse.

    Args:
        env: the environment it acts in.
        rng: source of its noise.
        style: how human it is.
    """

    def __init__(self, env: CellEnv, rng: np.random.Generator, style: ExpertStyle | None = None) -> None:
        self._env, self._rng, self._style = env, rng, style or ExpertStyle()
        spec = env.action_spec
        self._scale = spec.step
        self._active = np.zeros(7, bool)
        self._active[list(spec.active)] = True
        self.reset()

    def reset(self) -> None:
        """Forget the last episode."""
        self._phase, self._pause = 0, 0
        self._noise = np.zeros(6)

    def act(self) -> Float32:
        """Action ``[7]`` for the state now."""
        style, now = self._style, self._env.snapshot
        waypoint = self._env.task.plan(now, self._phase)
        self._phase = waypoint.phase
        keep = style.tremor_memory
        self._noise = keep * self._noise + np.sqrt(1 - keep**2) * self._rng.normal(0.0, style.tremor, 6)
        if self._pause == 0 and self._rng.random() < style.hesitation:
            self._pause = style.pause_steps
        action = np.zeros(7, np.float32)
        if self._pause > 0:
            self._pause -= 1
            return action
        goal = waypoint.pose_base_tcp.copy()
        goal[:3] += style.aim_off_m
        wanted = style.gain * tool_delta(now.arm.pose_base_tcp, goal) / self._scale
        limit = style.speed * waypoint.speed
        for half in (slice(0, 3), slice(3, 6)):  # slow down without changing direction
            wanted[half] *= min(1.0, limit / max(float(np.abs(wanted[half]).max()), 1e-9))
        # A steady hand when nearly there: tremor grows with the motion.
        moving = 0.15 + 0.85 * np.clip(np.abs(wanted[:3]).max(), 0.0, 1.0)
        action[:6] = np.clip(wanted + moving * self._noise, -1.0, 1.0)
        action[GRIPPER] = waypoint.gripper
        action[~self._active] = 0.0
        return action


@dataclass(frozen=True)
class CorrectorStyle:
    """When the corrector helps.

    Attributes:
        patience_steps: takes over after this many steps without progress.
        min_progress: gain of the task's potential that counts as progress.
        enough: hands back once it has raised the potential by this much since it took over.
        max_steps: hands back after this many steps at the latest.
        grace_steps: leaves the policy alone for this long after handing back.
    """

    patience_steps: int = 10
    min_progress: float = 0.02
    enough: float = 0.35
    max_steps: int = 30
    grace_steps: int = 5


class ScriptedCorrector:
    """An operator device that takes over when progress stalls and hands back when things go well again.

    Implements `robot_rl.core.protocols.Teleop`; read it exactly once per control step.

    Args:
        env: the environment it watches.
        rng: source of its noise.
        style: when it helps.
        expert_style: how it helps.
    """

    def __init__(
        self,
        env: CellEnv,
        rng: np.random.Generator,
        style: CorrectorStyle | None = None,
        expert_style: ExpertStyle | None = None,
    ) -> None:
        self._env, self._style = env, style or CorrectorStyle()
        self._expert = ScriptedExpert(env, rng, expert_style)
        self.reset()

    def reset(self) -> None:
        """A new episode begins; nobody is helping."""
        self._best, self._stalled, self._engaged_steps, self._taken_at = 0.0, 0, 0, 0.0
        self._fresh = True

    def read(self) -> TeleopState:
        """Whether the operator acts now, and how."""
        style = self._style
        progress = self._env.task.progress(self._env.snapshot)
        if self._fresh:
            self._best, self._fresh = progress, False
        if self._engaged_steps == 0:
            self._watch(progress)
        elif progress > self._taken_at + style.enough or self._engaged_steps >= style.max_steps:
            self._engaged_steps, self._stalled, self._best = 0, -style.grace_steps, progress
        if self._engaged_steps == 0:
            return TeleopState()
        self._engaged_steps += 1
        action = self._expert.act()
        return TeleopState(True, action[:6].astype(np.float64), float(action[GRIPPER]), stand_in=True)

    def close(self) -> None:
        """Nothing to release."""

    def _watch(self, progress: float) -> None:
        if progress > self._best + self._style.min_progress:
            self._best, self._stalled = progress, min(self._stalled, 0)
        else:
            self._stalled += 1
        if self._stalled >= self._style.patience_steps:
            self._engaged_steps, self._taken_at = 1, progress
            self._expert.reset()
