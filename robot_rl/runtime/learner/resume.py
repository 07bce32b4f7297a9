"""Going on with a run: from its newest whole checkpoint, its demonstrations and its log."""

from __future__ import annotations

from robot_rl.core.errors import DataError
from robot_rl.runtime.learner.checkpoint import Checkpoint, load_newest_sound
from robot_rl.runtime.learner.compatible import check_compatible, new_encoder
from robot_rl.runtime.learner.rebuild import Rebuilt, ends, from_plain, rebuild
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.learner.trim import trim_tables


def resume(session: Session, *, accept_loss: bool = False) -> bool:
    """Bring a new session to where the run was.

    The replay is rebuilt in the order in which it was filled. What the log holds beyond the checkpoint counts as new
    experience; a lock-step run is about to repeat it to the bit instead, so there it is removed. Rows of tables written
    after the checkpoint are dropped. Without any checkpoint the log alone is taken up in the same way.

    Args:
        session: of the run, nothing done with it yet.
        accept_loss: go on although the log lacks steps.

    Returns:
        Whether there was anything to continue.

    Raises:
        DataError: no checkpoint is whole, the newest whole one does not fit (with all differences), or the log lacks
            steps that it was made with.
    """
    saved, problems = load_newest_sound(session.run.checkpoints)
    for problem in problems:
        session.event(f"{problem}; an older one is used")
    if saved is not None:
        learner = session.learner
        check_compatible(saved, learner.state()[0], session.state_spec, session.action_spec, learner.views)
        changed = new_encoder(saved, learner.views)
        if changed:
            session.event(changed)
        session.learner.restore(saved.agent, saved.state)
    session.plan()
    trim_tables(session.run.path, session.learner.counters if saved is not None else None)
    session.begin()
    _check_demos(session, saved, accept_loss=accept_loss)
    done = _rebuild(session, saved, accept_loss=accept_loss)
    session.plan()
    if session.config.lockstep:
        return saved is not None
    return saved is not None or done.new > 0


def _rebuild(session: Session, saved: Checkpoint | None, *, accept_loss: bool) -> Rebuilt:
    account = from_plain(saved.state["episodes"]) if saved is not None else {}
    repeats = session.config.lockstep
    done = rebuild(
        session.archive,
        account,
        known=lambda record: session.follow(record, counted=False),
        new=None if repeats else session.follow,
        images=session.config.pictures.on,
        accept_loss=accept_loss,
        report=session.note,
    )
    if repeats:
        session.archive.drop_after(ends(account))
    if done.known + done.new:
        fate = "removed, they are about to be repeated" if repeats else "of them newer than the checkpoint"
        session.note(f"read {done.known + done.new:,} steps from the log in {done.seconds:.1f} s, {done.new:,} {fate}")
    return done


def _check_demos(session: Session, saved: Checkpoint | None, *, accept_loss: bool) -> None:
    expected = 0 if saved is None else int(saved.state["demo_steps"])
    if session.demo_steps < expected and not accept_loss:
        raise DataError(
            f"{session.run.demos} holds {session.demo_steps} steps of demonstrations, the checkpoint was made with "
            f"{expected}: put them back, or go on without them with --accept-loss"
        )
