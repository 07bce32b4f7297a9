"""A pair of tasks in processes: a learner for each, and one actor that holds the robot and joins both.

This process only starts and watches them. It tells each learner how many steps the other one has, since both end when
all steps of the pair have been taken. Whichever of the three dies is started again and goes on; nothing that was
acknowledged is lost, as for a run alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.learner.child import (
    ACTOR_MODULE,
    EXIT_INTERRUPTED,
    LEARNER_MODULE,
    ActorProcess,
    LearnerProcess,
)
from robot_rl.runtime.run_folder import RunFolder
from robot_rl.runtime.stop import StopFlag

POLL_S = 0.05
LEAVE_S = 90.0
"""How long a learner may take to let the actor end, save, and end."""


def train_in_processes(
    configs: Sequence[TrainConfig],
    runs: Sequence[RunFolder],
    stop: StopFlag,
    note: Callable[[str], None],
    *,
    resumed: bool,
    accept_loss: bool,
    actor_module: str = ACTOR_MODULE,
    learner_module: str = LEARNER_MODULE,
) -> bool:
    """Train both tasks until all steps are taken or somebody asks to stop.

    Args:
        configs: of the two runs.
        runs: their folders, with demonstrations and configurations; locked by nobody.
        stop: looked at between turns.
        note: prints a line that stays.
        resumed: go on with what the folders hold.
        accept_loss: although a log lacks steps.
        actor_module: what the actor's process runs.
        learner_module: what the learners' processes run.

    Returns:
        Whether all steps were taken.

    Raises:
        DeviceError: the actor or a learner cannot go on; everything learned so far is saved.
    """
    learners = [
        LearnerProcess(r.path, c.task, resumed=resumed, accept_loss=accept_loss, module=learner_module)
        for c, r in zip(configs, runs, strict=True)
    ]
    household = _Household(learners, runs, configs[0].actors > 0, actor_module, note)
    try:
        while not (stop.requested or household.ended):
            household.look_after()
            time.sleep(POLL_S)
    finally:
        household.close(stop)
    return all(one.exit_code == 0 for one in learners)


class _Household:
    """Two learners and the actor that acts for both, where it is started here."""

    def __init__(
        self,
        learners: Sequence[LearnerProcess],
        runs: Sequence[RunFolder],
        acts_here: bool,
        actor_module: str,
        note: Callable[[str], None],
    ) -> None:
        self._learners, self._runs, self._note = tuple(learners), tuple(runs), note
        self._acts_here, self._actor_module = acts_here, actor_module
        self._actor: ActorProcess | None = None

    @property
    def ended(self) -> bool:
        """Whether both learners have ended, or one was stopped by somebody."""
        codes = [one.exit_code for one in self._learners]
        return all(code == 0 for code in codes) or EXIT_INTERRUPTED in codes

    def look_after(self) -> None:
        for one in self._learners:
            one.listen()
            if one.exit_code not in (0, EXIT_INTERRUPTED):
                self._tell(one.check())
        first, second = self._learners
        first.tell_elsewhere(second.env_steps)
        second.tell_elsewhere(first.env_steps)
        if self._actor is None:
            self._start_actor()
        elif not any(one.ending for one in self._learners):
            self._tell(self._actor.check())

    def close(self, stop: StopFlag) -> None:
        """Learners first: they tell the actor to end, and take its last records."""
        for one in self._learners:
            one.ask_to_end()
        end_s = time.monotonic() + LEAVE_S
        while any(one.running for one in self._learners) and time.monotonic() < end_s:
            if stop.urgent:
                for one in self._learners:
                    one.ask_to_end()
                end_s = min(end_s, time.monotonic() + 10.0)
            time.sleep(POLL_S)
        for one in self._learners:
            one.stop()
        if self._actor is not None:
            self._actor.stop()

    def _start_actor(self) -> None:
        first, second = (one.at for one in self._learners)
        if not self._acts_here or first is None or second is None:
            return
        # Whichever of the two runs is gone on with, the spool lies in the same one of them.
        home = min(run.path.resolve() for run in self._runs)
        self._actor = ActorProcess(home, first.records, first.parameters, pair=second, module=self._actor_module)

    def _tell(self, line: str | None) -> None:
        if line is not None:
            self._note(line)
