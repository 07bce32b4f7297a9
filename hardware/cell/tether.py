"""A process that ends when the one that started it does, however that one dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT = "ROBOT_RL_PARENT"
"""Environment variable that a supervisor sets to its process id."""

_PR_SET_PDEATHSIG = 1


def tie_to_parent() -> None:
    """Have the kernel send SIGTERM when the parent is gone, if the parent asked for it in `PARENT`."""
    parent = os.environ.pop(PARENT, "")
    if not parent.isdigit():
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the kernel was told
        sys.exit(0)
