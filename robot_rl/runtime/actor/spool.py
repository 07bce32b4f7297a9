"""What an actor has made and the learner has not confirmed, on the actor's disk.

``<root>/<run id>/<actor>/<number>.mcap``, one file per episode, ``.partial`` while it goes on. A step is here before it
is sent. A file goes when the learner has confirmed its last step, so what is here at a start is what a predecessor
did not get across. One thread writes, another one reads and deletes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from robot_rl.core.errors import DataError, StorageError
from robot_rl.core.transition import StepRecord
from robot_rl.data.codec import pack_record
from robot_rl.data.episode_log import PARTIAL, SUFFIX, continue_episode, read_episode
from robot_rl.data.mcap_scan import NoHeader
from robot_rl.runtime.actor.held import HeldStep
from robot_rl.runtime.episode_files import EpisodeSink, episode_files
from robot_rl.runtime.locks import FolderLock
from robot_rl.runtime.transport.stream import is_before, place_of
from robot_rl.runtime.transport.wire import Place

HELD = ".held"
LIMIT_BYTES = 20 * 10**9
MIN_FREE_BYTES = 10**9


def default_spool() -> Path:
    """Where actors keep their spools: ``$XDG_STATE_HOME/robot_rl/spool``, by default in ``~/.local/state``."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return base / "robot_rl" / "spool"


class Spool:
    """The spool of one actor in one run; only one process may have it open.

    Args:
        root: folder of all spools on this disk.
        run_id: of the run.
        actor: its name.
        limit_bytes: how much may wait here before no new episode is begun.
        min_free_bytes: how much of the disk stays free.
        wait_s: how long to wait for a predecessor that is about to end.

    Raises:
        ConfigError: another process is this actor.
        StorageError: the disk refuses.

    Attributes:
        folder: of the files.
        last: place of the last step found here at the start, None if there was none.
        next_episode: a number larger than those of the files found.
        problems: sentences about files found that cannot be read.
    """

    def __init__(
        self,
        root: Path,
        run_id: str,
        actor: str,
        *,
        limit_bytes: float = LIMIT_BYTES,
        min_free_bytes: float = MIN_FREE_BYTES,
        wait_s: float = 0.0,
    ) -> None:
        self.folder = root / run_id / actor
        self.last: Place | None = None
        self.next_episode = 0
        self.problems: list[str] = []
        self._limit_bytes, self._min_free_bytes = limit_bytes, min_free_bytes
        self._steps: dict[int, int] = {}
        self._sink: EpisodeSink | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise StorageError(f"cannot make the spool {self.folder}: {e.strerror}") from e
        self._lock = FolderLock(self.folder, f"is the actor {actor} and fills", wait_s=wait_s)
        self._held = HeldStep(self.folder / HELD)
        self._take_stock()
        self._found = dict(self._steps)

    def write_to(self, sink: EpisodeSink) -> None:
        """Use this for `append`, from the start on; it writes into `folder`.

        A step that a killed predecessor held goes to the end of its log now.

        Raises:
            StorageError: the disk refuses.
        """
        self._sink = sink
        record = self._held.get()
        if record is not None and self._follows(place_of(record)):
            number, step = place_of(record)
            if step:
                with continue_episode(self._path(number, PARTIAL)) as writer:
                    writer.append(record)
            else:
                sink.append(record)
                sink.close()
            self._steps[number] = step + 1
            self._found = dict(self._steps)
            self.last, self.next_episode = (number, step), number + 1

    def append(self, record: StepRecord) -> None:
        """Write a step.

        Raises:
            StorageError: the disk refuses; every step before is kept.
        """
        assert self._sink is not None
        self._sink.append(record)
        if record.last:
            # From here on the file may be deleted, so this comes after the sink has closed it.
            number, step = place_of(record)
            self._steps[number] = step + 1

    def hold(self, record: StepRecord | None) -> None:
        """Keep a step that will be appended later, and nothing any more of the one held before.

        Raises:
            StorageError: the disk refuses.
        """
        self._held.put(record)

    def steps_after(self, cursor: Place | None) -> int:
        """How many of the steps found at the start come after a place."""
        first, step = cursor if cursor is not None else (0, -1)
        found = self._found.items()
        return sum(n if number > first else max(0, n - 1 - step) for number, n in found if number >= first)

    def read_after(self, cursor: Place | None) -> Iterator[tuple[Place, bytes]]:
        """Every step after a place that is here now, packed for sending.

        Raises:
            StorageError: the disk does not give a file away.
        """
        for number in [n for n in episode_files(self.folder) if cursor is None or n >= cursor[0]]:
            for record in self._records(number):
                place = place_of(record)
                if is_before(cursor, place):
                    yield place, pack_record(record)

    def acknowledge(self, cursor: Place | None) -> None:
        """Delete the episodes that have ended and lie before a place or end there.

        Raises:
            StorageError: a file cannot be deleted.
        """
        for number, steps in self._steps.copy().items():
            if cursor is None or (number, steps - 1) > cursor:
                break
            self._delete(number)
            del self._steps[number]

    def objection(self) -> str:
        """Why no new episode should begin now, as a sentence; empty if one may."""
        used = self.size_bytes()
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as e:
            raise StorageError(f"the spool {self.folder} is gone: {e.strerror}") from e
        if used >= self._limit_bytes:
            return f"the spool {self.folder} holds {used / 1e9:.1f} GB, its limit is {self._limit_bytes / 1e9:.1f} GB"
        if free < self._min_free_bytes:
            least = self._min_free_bytes / 1e9
            return f"the disk of the spool {self.folder} has {free / 1e9:.1f} GB left, {least:.1f} GB stay free"
        return ""

    def size_bytes(self) -> int:
        """Size of the files that wait here."""
        total = 0
        for path in episode_files(self.folder).values():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue  # confirmed or renamed in between
        return total

    def close(self) -> None:
        """Close the open file and let others in. May be called twice.

        Raises:
            StorageError: the disk refuses.
        """
        try:
            if self._sink is not None:
                self._sink.close()
                self._sink = None
        finally:
            self._held.close()
            self._lock.close()

    def _take_stock(self) -> None:
        for number, path in episode_files(self.folder).items():
            self.next_episode = number + 1
            steps = len(self._records(number, images=False))
            if steps:
                self._steps[number] = steps
                self.last = (number, steps - 1)
            elif not self.problems or str(path) not in self.problems[-1]:
                self._delete(number)

    def _follows(self, place: Place) -> bool:
        """Whether a step is the next one of the newest episode here, which has no end, or begins a new one."""
        number, step = place
        if step == 0:
            return number >= self.next_episode
        newest = number == self.next_episode - 1 and self._path(number, PARTIAL).exists()
        return newest and step == self._steps.get(number, 0)

    def _path(self, number: int, partial: str = "") -> Path:
        return self.folder / f"{number:06d}{SUFFIX}{partial}"

    def _delete(self, number: int) -> None:
        try:
            for path in (self._path(number), self._path(number, PARTIAL)):
                path.unlink(missing_ok=True)
        except OSError as e:
            raise StorageError(f"cannot delete {self._path(number)}: {e.strerror}") from e

    def _records(self, number: int, *, images: bool = True) -> tuple[StepRecord, ...]:
        """The complete steps of an episode; it may get its final name or be deleted at the same moment."""
        for path in (self._path(number), self._path(number, PARTIAL), self._path(number)):
            if not path.exists():
                continue
            try:
                episode = read_episode(path, strict=False, images=images, labels=False)
            except NoHeader:
                return ()
            except DataError as e:
                if not path.exists():
                    continue
                if isinstance(e, StorageError):
                    raise
                self.problems.append(f"no step of {path} can be read and sent: {e}")
                return ()
            if path.suffix == SUFFIX and not episode.complete:
                self.problems.append(f"{path} is damaged: only its first {len(episode.records)} steps can be sent")
            return episode.records
        return ()
