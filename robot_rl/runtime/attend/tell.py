"""How an acting loop tells its guests how it goes and shows them the cell."""

from __future__ import annotations

import time
from dataclasses import replace

from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.attend.view import view_of
from robot_rl.runtime.collector import Collector

SHOW_EVERY_S = 0.04
IDLE_EVERY_S = 0.5


class Teller:
    """Speaks to the guests of one acting loop; call `tell` at every turn of it.

    Args:
        attended: who they are.
    """

    def __init__(self, attended: Attended) -> None:
        self._attended = attended
        self._shown: tuple[str, int] = ("", -1)
        self._shown_s = 0.0

    def tell(self, collector: Collector, status: ActorStatus) -> None:
        """Tell them, and show a step they have not seen; at most 25 times a second.

        Args:
            collector: what it does; its part of the status is filled in here.
            status: the rest.
        """
        self._attended.tell(
            replace(
                status,
                paused=collector.paused,
                episode=collector.next_episode,
                env_steps=collector.env_steps,
                prompt=status.prompt or collector.prompt,
                late_p99_ms=1e3 * collector.lateness.quantile_s(0.99) if collector.lateness.total else None,
                missed=collector.lateness.missed,
            )
        )
        if self._attended.watched:
            self._show(collector)

    def _show(self, collector: Collector) -> None:
        newest, now_s = collector.newest, time.monotonic()
        step = ("", -1) if newest is None else (newest.episode_id, newest.step_index)
        wait_s = IDLE_EVERY_S if step == self._shown else SHOW_EVERY_S
        readings = collector.env.readings()
        if readings is not None and now_s - self._shown_s >= wait_s:
            self._shown, self._shown_s = step, now_s
            self._attended.show(view_of(readings, newest, collector.seen))
