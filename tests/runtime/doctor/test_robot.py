"""The way to the robot, against an emulated arm, an old one, and what is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from robot_rl.hardware.cell.description import load_cell
from robot_rl.hardware.fci.messages import ARM_VERSION, CONNECT_REPLY, HEADER, Command
from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.server import FciServer, ServerOptions
from robot_rl.runtime.doctor.check import require_healthy
from robot_rl.runtime.doctor.finding import Level
from robot_rl.runtime.doctor.robot import check_robot, check_route, check_way


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """A server that says the same to everybody."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(0.05)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    line, _ = server.accept()
                except TimeoutError:
                    continue
                with line:
                    line.settimeout(0.5)
                    try:
                        if line.recv(64):
                            line.sendall(reply)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        stack.callback(done.set)
        yield server.getsockname()[1]


def connect_reply(version: int) -> bytes:
    body = CONNECT_REPLY.pack(0, version)
    return HEADER.pack(Command.CONNECT, 0, HEADER.size + len(body)) + body


def test_an_emulated_robot_fits() -> None:
    server = FciServer(ArmPlant(), ServerOptions(arm_port=0, hand_port=0, fault_port=0, rate_hz=0.0))
    done = threading.Event()
    thread = threading.Thread(target=server.run, args=(lambda: not done.is_set(),))
    thread.start()
    try:
        near, firmware = check_robot("127.0.0.1", server.ports[0])
    finally:
        done.set()
        thread.join()
        server.close()
    assert near.name == "robot"
    assert firmware.level is Level.OK
    assert str(ARM_VERSION) in firmware.text


@pytest.mark.parametrize(("version", "remedy"), [(6, "update the robot"), (11, "newer franky-control")])
def test_another_protocol_is_bad_and_says_what_to_update(version: int, remedy: str) -> None:
    with answering(connect_reply(version)) as port:
        _, firmware = check_robot("127.0.0.1", port)
    assert firmware.level is Level.BAD
    assert remedy in firmware.remedy


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_what_is_no_arm(reply: bytes) -> None:
    with answering(reply) as port:
        (robot,) = check_robot("127.0.0.1", port)
    assert robot.level is Level.BAD
    assert "does not answer" in robot.text


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        (robot,) = check_robot("127.0.0.1", unused.getsockname()[1])
    assert robot.level is Level.BAD
    assert "activate FCI" in robot.remedy


def test_a_wireless_way_is_bad_and_a_slow_one_warned_of(tmp_path: Path) -> None:
    (tmp_path / "wlan7" / "wireless").mkdir(parents=True)
    assert check_route("10.9.8.7", tmp_path, "wlan7").level is Level.BAD
    for speed, level in ((100, Level.WARN), (1000, Level.OK)):
        (tmp_path / "eth7").mkdir(exist_ok=True)
        (tmp_path / "eth7" / "speed").write_text(f"{speed}\n")
        assert check_route("10.9.8.7", tmp_path, "eth7").level is level
    assert check_route("127.0.0.1").level is Level.OK


def test_only_a_real_robot_is_looked_for() -> None:
    assert check_way(load_cell("sim")) == []
    assert check_way(load_cell("emulated")) == []


def test_the_refusal_names_what_is_bad(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from robot_rl.core.errors import DeviceError
    from robot_rl.runtime.doctor import check
    from robot_rl.runtime.doctor.finding import Finding, bad, ok

    def found(*_: object) -> list[Finding]:
        return [ok("a", "fine"), bad("clock", "it jumps", "stop it")]

    look: Callable[..., list[Finding]] = found
    monkeypatch.setattr(check, "check_cell", look)
    with pytest.raises(DeviceError, match=r"clock: it jumps \(stop it\)"):
        require_healthy(load_cell("sim"), tmp_path)
