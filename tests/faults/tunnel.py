"""Two network namespaces joined by a link that loses, delays and reorders IP packets, or is cut.

The link is a pair of TUN devices with a thread between them, so TCP meets real loss below it on every Linux kernel,
with or without ``tc netem``. Needs root.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from itertools import count

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
LEARNER_IP, ACTOR_IP = "10.99.7.1", "10.99.7.2"
_numbers = count()


@dataclass(frozen=True)
class Weather:
    """What happens to a packet on its way, in each direction.

    Attributes:
        delay_s: time every packet is held.
        jitter_s: more, uniformly random; reorders packets by itself.
        loss: share of packets that vanish.
        reorder: share of packets that overtake those held.
        cut: nothing gets through.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    cut: bool = False


def tunnel_problem() -> str:
    """Why this machine cannot make the link, or nothing when it can."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    try:
        Tunnel().close()
    except (OSError, subprocess.SubprocessError) as e:
        return f"no network namespaces here: {e}"
    return ""


class Tunnel:
    """The link. `learner` and `actor` prefix a command that shall run at that end.

    Attributes:
        weather: may be replaced at any time.
        carried: packets that arrived.
        lost: packets that vanished.
        overtaken: packets that arrived before an older one.
    """

    def __init__(self) -> None:
        tag = f"{os.getpid() % 10_000}{next(_numbers)}"
        self._spaces = (f"rl{tag}", f"ra{tag}")
        self.learner, self.actor = (["ip", "netns", "exec", space] for space in self._spaces)
        self.weather = Weather()
        self.carried = self.lost = self.overtaken = 0
        self._fds: list[int] = []
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            for space, here, there in zip(self._spaces, (LEARNER_IP, ACTOR_IP), (ACTOR_IP, LEARNER_IP), strict=True):
                self._end(space, here, there)
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Remove link and namespaces; whatever runs there keeps running without a network. May be called twice."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        for fd in self._fds:
            os.close(fd)
        self._fds = []
        for space in self._spaces:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)

    def _end(self, space: str, here: str, there: str) -> None:
        device = f"t{space}"
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self._fds.append(fd)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        inside = f"ip -n {space}"
        for line in (
            f"ip netns add {space}",
            f"ip link set {device} netns {space}",
            f"{inside} link set lo up",
            f"{inside} addr add {here} peer {there} dev {device}",
            f"{inside} link set {device} up",
        ):
            subprocess.run(line.split(), check=True, capture_output=True)

    def _carry(self) -> None:
        rng, numbers = random.Random(0), count()
        waiting: list[tuple[float, int, int, bytes]] = []
        newest = dict.fromkeys(self._fds, -1)
        a, b = self._fds
        while not self._closed.is_set():
            now = time.monotonic()
            wait_s = max(0.0, min(0.05, waiting[0][0] - now)) if waiting else 0.05
            for fd in select.select(self._fds, [], [], wait_s)[0]:
                weather, to = self.weather, b if fd == a else a
                while (packet := _read(fd)) is not None:
                    if weather.cut or rng.random() < weather.loss:
                        self.lost += 1
                        continue
                    held = 0.0 if rng.random() < weather.reorder else weather.delay_s + rng.random() * weather.jitter_s
                    heapq.heappush(waiting, (time.monotonic() + held, next(numbers), to, packet))
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, number, to, packet = heapq.heappop(waiting)
                if self.weather.cut:
                    self.lost += 1
                    continue
                self.overtaken += number < newest[to]
                newest[to] = max(newest[to], number)
                self.carried += _write(to, packet)


def _read(fd: int) -> bytes | None:
    try:
        return os.read(fd, 65_536)
    except BlockingIOError:
        return None


def _write(fd: int, packet: bytes) -> bool:
    try:
        os.write(fd, packet)
    except OSError:  # a full queue loses packets, as on a real link
        return False
    return True
