"""How often something had to be put back for a run of a pair, in ``run.json``."""

from __future__ import annotations

from robot_rl.runtime.run_folder import RunFolder

RESETS, BY_ACTOR = "resets", "resets_by_actor"
"""Entries of ``run.json``: how often an object was put back, and that by the process of the actor which counted it."""


class Resets:
    """Adds up what actors count since their start. Being told twice, or by a learner's successor, changes nothing.

    Args:
        run: whose ``run.json`` holds the figures.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._counts: dict[str, int] = dict(run.info().get(BY_ACTOR, {}))

    def tell(self, process: str, count: int) -> None:
        """Take an actor's count.

        Args:
            process: random name of the actor's process.
            count: since it began.

        Raises:
            StorageError: it cannot be written down.
        """
        if count > self._counts.get(process, 0):
            self._counts[process] = count
            self._run.update_info(**{BY_ACTOR: self._counts, RESETS: sum(self._counts.values())})
