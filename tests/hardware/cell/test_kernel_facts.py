"""What is read from the kernel: who holds a name, which sockets are open, whose shared memory is left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from robot_rl.core.errors import ConfigError
from robot_rl.hardware.cell import shared_memory
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.presence import Presence, running
from robot_rl.hardware.cell.sockets import open_sockets

CONFIG = replace(CellConfig(), name=f"t{os.getpid()}")


@pytest.mark.parametrize("part", ["arbiter", "camera:" + 200 * "long"])
def test_a_part_runs_once(part: str) -> None:
    assert running(CONFIG, part) is None
    presence = Presence(CONFIG, part)
    assert running(CONFIG, part) == os.getpid()
    with pytest.raises(ConfigError, match=f"process {os.getpid()} already runs"):
        Presence(CONFIG, part)
    presence.close()
    presence.close()
    assert running(CONFIG, part) is None


def test_a_part_may_be_asked_for_often() -> None:
    """The kernel queues a few thousand questions at most; the answer stays that it runs."""
    presence = Presence(CONFIG, "arm")
    for _ in range(5000):
        if running(CONFIG, "arm") == 0:
            break
    assert running(CONFIG, "arm") is not None
    presence.close()
    assert running(CONFIG, "arm") is None


@pytest.mark.parametrize(("address", "reachable"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_sockets_are_told_apart(address: str, reachable: bool) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.create_server((address, 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as silent,
    ):
        udp.bind((address, 0))
        silent.bind(("127.0.0.1", 0))
        found = {(s.protocol, s.port): s for s in open_sockets(os.getpid())}
        for protocol, opened in (("udp", udp), ("tcp", tcp)):
            seen = found[protocol, opened.getsockname()[1]]
            assert (str(seen.address), seen.reachable) == (address, reachable)
        assert ("tcp", silent.getsockname()[1]) not in found


def test_sockets_of_version_6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        try:
            udp.bind(("::1", 0))
        except OSError as e:
            pytest.skip(f"no IPv6 loopback here: {e}")
        (seen,) = [s for s in open_sockets(os.getpid()) if s.port == udp.getsockname()[1]]
        assert (str(seen.address), seen.reachable) == ("::1", False)


def test_a_process_that_is_gone_has_no_sockets() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert open_sockets(done.pid) == []


def test_only_abandoned_memory_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "YOUNG_S", 0.0)
    held, left, other = "fastdds_00000000000000aa", "fastdds_00000000000000bb", "fastdds_port7411"
    for name in (held, left, other):
        (tmp_path / name).write_bytes(b"segment")
        (tmp_path / f"{name}_el").touch()
    code = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / f"{held}_el"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert shared_memory.sweep(tmp_path) == [left]
        assert {p.name for p in tmp_path.iterdir()} == {held, f"{held}_el", other, f"{other}_el"}
        holder.kill()
    assert shared_memory.sweep(tmp_path) == [held]
    monkeypatch.setattr(shared_memory, "YOUNG_S", 1e9)
    (tmp_path / f"{left}_el").touch()
    assert shared_memory.sweep(tmp_path) == []
    assert shared_memory.sweep(tmp_path / "absent") == []
