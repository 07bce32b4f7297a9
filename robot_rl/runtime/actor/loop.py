"""The actor's control loop: act, write, hand over; hold when a learner, the disk or an old policy asks for it.

An arm that moves in real time is told to stand still before the loop waits in the middle of an episode. An actor of a
pair of tasks has two sides, of which one acts at a time; everything else is the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from robot_rl.core.errors import DeviceError
from robot_rl.runtime.actor.side import Side
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.attend.tell import Teller
from robot_rl.runtime.operator import Seat
from robot_rl.runtime.stop import StopFlag
from robot_rl.runtime.turns import Turns, disputed

FLUSH_S = 10.0
WAIT_S = 0.02
CHECK_DISK_EVERY_S = 1.0


class Actor:
    """One actor's loop around a robot; nothing in it waits for the network.

    Args:
        sides: the run to act for, or the two runs of a pair.
        attended: who may take over; closed by whoever made it.
        turns: which of two sides acts.
        patience_s: how long a learner may be silent while the actor has nothing to do.
    """

    def __init__(
        self, sides: Sequence[Side], attended: Attended, turns: Turns | None = None, *, patience_s: float = math.inf
    ) -> None:
        self._sides, self._turns, self._patience_s = tuple(sides), turns, patience_s
        self._attended, self._teller, self._seat = attended, Teller(attended), Seat()
        self._said = ""
        self._waiting = False
        self._objection, self._objection_s = "", -math.inf
        if attended.problem:
            print(f"nobody can take over: {attended.problem}", flush=True)

    @property
    def _side(self) -> Side:
        """The one that acts."""
        return self._sides[0 if self._turns is None else self._turns.turn]

    def run(self, stop: StopFlag) -> None:
        """Act until a learner says stop or the flag is set.

        Raises:
            StorageError: a spool's disk refuses.
            DeviceError: the environment or a learner is gone, or a learner refuses this actor.
        """
        if not self._begin(stop):
            return
        try:
            while not self._must_end(stop):
                self._turn()
            for side in self._sides:
                side.leave()
            self._flush(stop)
        finally:
            self._seat.close()

    def _turn(self) -> None:
        side = self._side
        self._tell_guests(side)
        for each in self._sides:
            each.adopt()
        if self._must_hold(side):
            self._stand_still(side)
            self._wait(side)
            return
        self._waiting = False
        self._step(side)

    def _begin(self, stop: StopFlag) -> bool:
        """Introduce what predecessors left, and wait for the first parameters; False to end instead."""
        for side in self._sides:
            side.introduce()
        while awaited := [side for side in self._sides if not side.ready]:
            if self._must_end(stop):
                self._flush(stop)
                return False
            self._wait(awaited[0])
        for side in self._sides:
            side.begin(self._seat)
        return True

    def _must_end(self, stop: StopFlag) -> bool:
        statuses = [side.status() for side in self._sides]
        for problem in (problem for side in self._sides for problem in side.new_problems()):
            print(problem, flush=True)
        return stop.requested or any(status.stop for status in statuses)

    def _must_hold(self, side: Side) -> bool:
        """Whether no step may be taken now; a reason that a person can do something about is said once."""
        between = side.collector.between_episodes
        stale = [each for each in self._sides if each.status().policy_age_s > each.config.pace.max_policy_age_s]
        pause = any(each.config.pace.pause_when_stale for each in stale)
        reason = ""
        for each in stale:
            what = "holding after this episode" if pause else "going on with it"
            limit_s = each.config.pace.max_policy_age_s
            reason = f"{each.learner} has not confirmed policy {each.version} for {limit_s:g} s: {what}"
        objection = self._disk_objection() if between else ""
        if objection:
            reason = f"no new episode: {objection}, until the learner has caught up"
        if reason and reason != self._said:
            print(reason, flush=True)
        elif self._said and not reason:
            print("acting goes on as usual", flush=True)
        self._said = reason
        waits = side.taken >= side.status().allowed or self._all_taken()
        return waits or (between and bool(objection or pause))

    def _all_taken(self) -> bool:
        """Whether a pair has all its steps: its learners hear late what the other one has."""
        if self._turns is None:
            return False
        # One more, since the newest step is handed out when the one after it has been taken.
        total = sum(side.config.env_steps for side in self._sides) + 1
        return sum(side.collector.env_steps for side in self._sides) >= total

    def _stand_still(self, side: Side) -> None:
        """Once when a wait begins; at the end of an episode the environment has done so."""
        if not (self._waiting or side.collector.between_episodes):
            side.env.hold()
        self._waiting = True

    def _disk_objection(self) -> str:
        now = time.monotonic()
        if now - self._objection_s > CHECK_DISK_EVERY_S:
            objections = (side.spool.objection() for side in self._sides)
            self._objection, self._objection_s = next(filter(None, objections), ""), now
        return self._objection

    def _step(self, side: Side) -> None:
        collector = side.collector
        between, bad, episode = collector.between_episodes, collector.bad_episodes, collector.next_episode
        side.step()
        if collector.bad_episodes > bad:
            print(f"the episode was cut by a bad observation: {collector.last_problem}", flush=True)
        if collector.last_refusal:
            print(f"the episode was ended by a device: {collector.last_refusal}", flush=True)
        ended = collector.between_episodes and (not between or collector.next_episode > episode)
        if self._turns is not None:
            for each, count in zip(self._sides, self._turns.put_back(), strict=True):
                each.link.put_back = count
            if ended:
                self._pass_on(side, self._turns)

    def _pass_on(self, side: Side, turns: Turns) -> None:
        disputes = turns.disputes
        turns.pass_on(succeeded=side.succeeded)
        if turns.disputes > disputes:
            print(disputed(side.config), flush=True)
        if self._side is not side:
            # What the operator asked of the arm holds for whatever it does.
            self._side.collector.paused, self._side.collector.ended = side.collector.paused, side.collector.ended

    def _tell_guests(self, side: Side) -> None:
        if self._attended.attended:
            self._teller.tell(side.collector, side.told())

    def _wait(self, awaited: Side) -> None:
        """For news of the learner of a side, a little."""
        start_s = time.monotonic()
        awaited.link.wait(WAIT_S)
        awaited.link.waited_s += time.monotonic() - start_s
        for side in self._sides:
            silent_s = side.link.status.silent_s
            if silent_s > self._patience_s:
                raise DeviceError(
                    f"{side.learner} has been silent for {silent_s:.0f} s; nothing is lost: {side.spool.folder}"
                )

    def _flush(self, stop: StopFlag) -> None:
        """Wait a little until the learners have everything; what they do not get now a successor sends later."""
        end_s = time.monotonic() + FLUSH_S
        for side in self._sides:
            while not (side.link.settled or stop.urgent) and time.monotonic() < end_s:
                side.status()
                side.link.wait(WAIT_S)
