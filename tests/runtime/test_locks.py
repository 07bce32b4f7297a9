"""A folder has one process at a time, and a dead one does not keep it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from robot_rl.core.errors import ConfigError, StorageError
from robot_rl.runtime.locks import FolderLock

HOLD = """
import sys, time
from pathlib import Path
from robot_rl.runtime.locks import FolderLock
lock = FolderLock(Path(sys.argv[1]), "trains in")
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_one_is_told_who_and_since_when_until_the_first_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        said = rf"process {holder.pid} on {socket.gethostname()}, since 20.*, trains in {tmp_path}: end it first"
        with pytest.raises(ConfigError, match=said):
            FolderLock(tmp_path, "trains in")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        FolderLock(tmp_path, "trains in").close()
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path, "trains in")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lock.close()
        lock.close()
        FolderLock(tmp_path, "trains in").close()
    finally:
        child.kill()
        child.wait()


def test_one_that_waits_gets_it_when_the_first_lets_go(tmp_path: Path) -> None:
    code = HOLD.replace("time.sleep(60)", "sys.stdin.readline(); time.sleep(0.3)")
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdin is not None and holder.stdout is not None and holder.stdout.readline() == "held\n"
        holder.stdin.write("\n")
        holder.stdin.flush()
        FolderLock(tmp_path, "trains in", wait_s=60.0).close()


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"cannot lock {tmp_path}/absent: No such file"):
        FolderLock(tmp_path / "absent", "trains in")


def test_the_lock_file_says_who_holds_it(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path, "trains in")
    assert f'"pid": {os.getpid()}' in (tmp_path / ".lock").read_text()
    lock.close()
