"""The network between actor and learner, with keys: cut, slow, lossy, out of order, reset."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from robot_rl.runtime.transport.keys import create_keys
from tests.faults.cases_processes import free_ports, hold
from tests.faults.proxy import Proxy
from tests.faults.rig import SLACK, Rig
from tests.faults.table import Row, judged
from tests.faults.tunnel import LEARNER_IP, Tunnel, Weather, tunnel_problem

FAULT_S = 10.0
PORT = 5600
WEATHERS = {
    "delayed 200 ms": Weather(delay_s=0.2),
    "5 % of packets lost": Weather(loss=0.05),
    "reordered: 25 % of packets overtake the others by 20 ms": Weather(delay_s=0.02, reorder=0.25),
    "5 % lost, delayed 50 to 100 ms and reordered": Weather(delay_s=0.05, jitter_s=0.05, loss=0.05),
}


@dataclass
class Net:
    """A rig and what can be done to its network.

    Attributes:
        rig: with an actor that is started apart, and keys.
        tunnel: the link, or None if there is only a proxy.
        proxy: or None.
    """

    rig: Rig
    tunnel: Tunnel | None = None
    proxy: Proxy | None = None

    @property
    def how(self) -> str:
        """In words."""
        return "namespaces with a TUN link" if self.tunnel is not None else "TCP proxy"


@contextmanager
def network(folder: Path) -> Iterator[Net]:
    """Two network namespaces where that is possible, otherwise a proxy on the loopback interface."""
    create_keys(folder / "keys", ("a0",))
    keys, own = folder / "keys", folder / "keys" / "actors" / "a0"
    if not tunnel_problem():
        tunnel = Tunnel()
        endpoint = f"tcp://{LEARNER_IP}:{PORT}"
        rig = Rig(
            folder,
            listen=endpoint,
            keys=keys,
            actor_keys=own,
            learner_prefix=tunnel.learner,
            actor_prefix=tunnel.actor,
        )
        net = Net(rig, tunnel=tunnel)
    else:
        port, outside = free_ports(), free_ports()
        ends = [f"tcp://127.0.0.1:{p}" for p in (port, port + 1)]
        proxy = Proxy(ends, [outside, outside + 1])
        rig = Rig(folder, listen=ends[0], dial=proxy.endpoints[0], keys=keys, actor_keys=own)
        net = Net(rig, proxy=proxy)
    try:
        yield net
    finally:
        net.rig.close()
        for end in (net.tunnel, net.proxy):
            if end is not None:
                end.close()


def networks(folder: Path) -> list[Row]:
    """Every fault of the network, one after the other on the same run."""
    rows: list[Row] = []
    with network(folder) as net:
        rig = net.rig
        rig.start_learner()
        rig.start_actor()
        cut = Row(f"network cut for {FAULT_S:.0f} s ({net.how})")
        rows.append(cut)
        try:
            rig.await_progress(60)
            rows += _cut(net, cut) + (_lossy(net) if net.tunnel is not None else _proxied(net))
            rig.await_progress(20)
            rig.stop()
        except TimeoutError as e:
            rows[-1].wrong.append(str(e))
            rig.close()
        account = rig.audit()
    for row in rows:
        if not row.not_run:
            row.audit = account
    return [judged(row) for row in rows]


def _cut(net: Net, row: Row) -> list[Row]:
    start_s = time.monotonic()
    _set_cut(net, True)
    time.sleep(FAULT_S)
    _set_cut(net, False)
    row.recovered_s.append(net.rig.await_progress() - start_s - FAULT_S)
    hold(row, net.rig, start_s, start_s + FAULT_S, 3 * SLACK)
    net.rig.await_progress(20)
    return []


def _set_cut(net: Net, cut: bool) -> None:
    if net.tunnel is not None:
        net.tunnel.weather = Weather(cut=cut)
    elif net.proxy is not None:
        net.proxy.cut = cut
        net.proxy.reset()


def _lossy(net: Net) -> list[Row]:
    rows = []
    assert net.tunnel is not None
    for name, weather in WEATHERS.items():
        row = Row(f"network {name}, {FAULT_S:.0f} s ({net.how})")
        rows.append(row)
        lost, overtaken, carried = net.tunnel.lost, net.tunnel.overtaken, net.tunnel.carried

        def change(weather: Weather = weather, tunnel: Tunnel = net.tunnel) -> None:
            tunnel.weather = weather

        _for_a_while(net, row, change)
        net.tunnel.weather = Weather()
        lost, overtaken = net.tunnel.lost - lost, net.tunnel.overtaken - overtaken
        carried = net.tunnel.carried - carried
        row.notes.append(f"{carried} packets arrived, {lost} were lost, {overtaken} came out of order")
    return rows


def _proxied(net: Net) -> list[Row]:
    proxy = net.proxy
    assert proxy is not None
    slow, stalled, reset = Row("network delayed 200 ms (proxy)"), Row("network stalled for 5 s (proxy)"), Row("resets")

    def delay() -> None:
        proxy.delay_s = 0.2

    _for_a_while(net, slow, delay)
    proxy.delay_s = 0.0
    start_s = time.monotonic()
    proxy.stalled = True
    time.sleep(5.0)
    proxy.stalled = False
    stalled.recovered_s.append(net.rig.await_progress() - start_s - 5.0)
    for _ in range(10):
        start_s = time.monotonic()
        proxy.reset()
        reset.recovered_s.append(net.rig.await_progress() - start_s)
    reset.fault, reset.times = "connections reset (proxy)", 10
    lossy = Row("network with packet loss", not_run=f"needs network namespaces: {tunnel_problem()}")
    return [slow, stalled, reset, lossy]


def _for_a_while(net: Net, row: Row, change: Callable[[], None]) -> None:
    """Steps go on arriving while the network is bad."""
    start_s = time.monotonic()
    change()
    row.recovered_s.append(net.rig.await_progress() - start_s)
    before = net.rig.progress()
    time.sleep(FAULT_S)
    row.robot = f"{(net.rig.progress() - before) / FAULT_S:.0f} steps/s arrived"
    if net.rig.progress() == before:
        row.wrong.append("nothing arrived")


def strangers(folder: Path) -> list[Row]:
    """Peers without keys, with unknown keys, and under another's name, while a good actor works."""
    create_keys(folder / "other", ("a0",))
    row = Row("unauthenticated peers: no keys, unknown keys, a known key under another name", 3)
    with network(folder) as net:
        rig = net.rig
        try:
            rig.start_learner()
            rig.start_actor()
            rig.await_progress(60)
            # The stranger knows the learner's public key, which is no secret.
            (folder / "other" / "actors" / "a0" / "learner.key").write_text(
                (folder / "keys" / "learner.key").read_text()
            )
            tries = [
                rig.another_actor("--name", "a9", "--keys", str(folder / "other" / "actors" / "a0")),
                rig.another_actor("--name", "a1", "--spool", str(folder / "s1")),
            ]
            if net.tunnel is not None:
                tries.append(_without_keys(rig, net.tunnel, folder))
            rig.await_progress(200)
            time.sleep(5.0)
            welcomed = [p.pid for p in tries if _welcomed(rig, p.pid)]
            if welcomed:
                row.wrong.append(f"{len(welcomed)} of {len(tries)} were let in")
            row.notes.append(f"exit codes {[p.poll() for p in tries]} after {len(tries)} tries")
            for process in tries:
                process.kill()
                process.wait()
            rig.await_progress(20)
            rig.stop()
            row.audit = rig.audit()
        except TimeoutError as e:
            row.wrong.append(str(e))
    return [judged(row)]


def _without_keys(rig: Rig, tunnel: Tunnel, folder: Path):  # type: ignore[no-untyped-def]
    """A peer that speaks the protocol in the clear."""
    import subprocess
    import sys

    code = (
        "import zmq, time; from robot_rl.runtime.transport.wire import Hello, encode\n"
        f"s = zmq.Context().socket(zmq.DEALER); s.connect('tcp://{LEARNER_IP}:{PORT}')\n"
        "while True:\n    s.send_multipart(encode(Hello('', 'a7', 's', 'h'))); time.sleep(0.2)\n"
        "    if s.poll(0): print('answered'); break\n"
    )
    return subprocess.Popen([*tunnel.actor, sys.executable, "-c", code], cwd=Path(__file__).parents[2])


def _welcomed(rig: Rig, pid: int) -> bool:
    path = rig.witness / f"{pid}.log"
    return path.exists() and b"welcome" in path.read_bytes()
