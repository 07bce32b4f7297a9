"""Programs that ask a person to compare clips, as processes of their own or in a thread."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from robot_rl.rewards.labeler_page import PageLabeler
from robot_rl.rewards.labeler_session import label_pairs
from robot_rl.rewards.preferences import Pair, PreferenceStore, Question
from robot_rl.runtime.attend.place import socket_of_questions
from tests.rewards.chat_server import grey_clip, show

PAIRS = [Pair(grey_clip(i), grey_clip(250 - i)) for i in range(6)]
PATIENCE_S = 60.0


def wait_for(condition: Callable[[], Any], what: str = "it") -> Any:
    """The first value that is true."""
    end_s = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end_s, f"{what} did not happen"
        time.sleep(0.01)
    return value


def turned(pair: Pair) -> bool:
    """Whether the second clip is shown on the left."""
    return bool(int(pair.id, 16) & 1)


def label_prefs(data: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    """The verb, asking a person."""
    argv = [sys.executable, "-m", "robot_rl.cli", "label-prefs", str(data), "--out", str(out), "--labeler", "person"]
    return subprocess.Popen([*argv, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def asking(folder: Path) -> Iterator[PreferenceStore]:
    """Somebody who asks about `PAIRS`, until the end of the block."""
    store = PreferenceStore(folder, Question("make it bright", ("side",)))
    page = PageLabeler(path=socket_of_questions())
    thread = threading.Thread(target=label_pairs, args=(PAIRS, page, store, show))
    thread.start()
    try:
        yield store
    finally:
        page.close()
        thread.join()
