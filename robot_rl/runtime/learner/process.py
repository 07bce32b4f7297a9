"""Training with several processes: this one learns, children or other machines act.

UTD is kept from both sides: the learner makes an update call when the experience pays for it, and tells every actor how
many steps it may take. A simulated actor waits at that line. The learner may be killed at any time: its archive holds
what it acknowledged, the actors' spools the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from robot_rl.core.errors import RobotRlError
from robot_rl.runtime.learner.background import BackgroundEvaluator, await_all
from robot_rl.runtime.learner.child import ACTOR_MODULE, ActorProcess
from robot_rl.runtime.learner.evaluations import submit, take
from robot_rl.runtime.learner.line import Endpoints
from robot_rl.runtime.learner.partner import Partner
from robot_rl.runtime.learner.service import LearnerService, listening
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.learner.warmup import warm_up
from robot_rl.runtime.stop import StopFlag

IDLE_WAIT_S = 0.01
GOODBYE_S = 15.0
QUIET_S = 1.5


def train_two_processes(
    session: Session, stop: StopFlag, *, actor_module: str = ACTOR_MODULE, partner: Partner | None = None
) -> bool:
    """Learn here, act in other processes, until all environment steps are taken or somebody asks to stop.

    Args:
        session: begun or resumed.
        stop: looked at between updates.
        actor_module: what the child processes run.
        partner: the other learner of a pair, whose actor somebody else starts; None starts those that are configured.

    Returns:
        Whether the run came to its end, rather than being stopped.

    Raises:
        DeviceError: an actor of this machine cannot go on; everything learned so far is saved.
        StorageError: the disk refuses; what was acknowledged is on it, the rest in the actors' spools.
    """
    learner, config = session.learner, session.config
    if learner.counters.updates == learner.counters.warmup_updates:
        warm_up(session, stop)
    service = listening(session, None if partner is None else partner.at)
    evaluator = BackgroundEvaluator(session.run.path, config)
    session.needed_checkpoints = lambda: evaluator.pinned
    children: list[ActorProcess] = []
    try:
        if partner is not None:
            partner.listening(Endpoints(service.server.endpoint, service.publisher.endpoint))
        elif not session.finished:
            children += [_start(session, service, f"a{k}", actor_module) for k in range(config.actors)]
        serve(session, service, stop, children, evaluator, partner)
        if partner is not None:
            partner.ending()
        _say_goodbye(service, children)
        service.write_rows()
        session.save()
        await_all(evaluator, lambda outcome: take(session, outcome), session.note, lambda: stop.requested)
    except RobotRlError:
        with suppress(RobotRlError):  # the first reason is the one to tell
            session.save()
        raise
    finally:
        for child in children:
            child.ask_to_end()
        for child in children:
            child.stop()
        evaluator.close()
        service.close()
    return session.finished


def serve(
    session: Session,
    service: LearnerService,
    stop: StopFlag,
    children: Sequence[ActorProcess] = (),
    evaluator: BackgroundEvaluator | None = None,
    partner: Partner | None = None,
) -> None:
    """The learner's loop.

    Args:
        session: the run.
        service: its sockets.
        stop: looked at between updates.
        children: the actor processes to watch; others are started elsewhere.
        evaluator: evaluates checkpoints while training goes on, or None.
        partner: the other learner of a pair, or None.
    """
    busy = False
    while not (stop.requested or session.finished):
        if partner is not None:
            partner.exchange()
        arrived = service.exchange(0.0 if busy else IDLE_WAIT_S)
        busy = service.work(ahead=not arrived)
        if evaluator is not None and session.evaluation_due:
            submit(session, evaluator)
        elif session.checkpoint_due:
            session.save()
        for child in children:
            note = child.check()
            if note is not None:
                session.event(note)
        for outcome in evaluator.poll() if evaluator is not None else ():
            take(session, outcome)
        session.show()
    while not stop.requested and service.work():
        # The updates that the last steps have paid for.
        service.exchange(0.0)
        session.show()


def _start(session: Session, service: LearnerService, name: str, module: str) -> ActorProcess:
    return ActorProcess(session.run.path, service.server.endpoint, service.publisher.endpoint, name=name, module=module)


def _say_goodbye(service: LearnerService, children: Sequence[ActorProcess]) -> None:
    """Let the actors end their episodes and take their last records."""
    service.say_stop()
    end_s = time.monotonic() + GOODBYE_S
    while time.monotonic() < end_s:
        service.exchange(0.05)
        heard = any(service.server.silent_s(name) < QUIET_S for name in service.server.actors)
        if not any(child.running for child in children) and (not heard or len(service.server.actors) <= len(children)):
            break
    service.exchange(0.0)
