"""The way to the robot, and whether its firmware and our library speak to each other."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.fci.messages import ARM_PORT, ARM_VERSION, CONNECT_REPLY, CONNECT_REQUEST, HEADER, Command
from robot_rl.runtime.doctor.finding import Finding, bad, ok, warn

NETWORKS = Path("/sys/class/net")
ROUTES = Path("/proc/net/route")
TIMEOUT_S = 2.0
CONNECTS = 20
SLOW_MS = 0.5
GIGABIT = 1000
# Server version to system image, from the compatibility table of the robot's library.
SYSTEMS = {5: "4.2", 6: "5.2", 7: "5.5", 8: "5.7.0", 9: "5.7.2", 10: "5.9"}


def check_route(address: str, networks: Path = NETWORKS, interface: str | None = None) -> Finding:
    """Which interface leads to the robot, and whether it is wired, fast and the robot's alone."""
    name = _interface_to(address) if interface is None else interface
    if not name:
        return bad("network", f"no route to {address}", "give this machine an address in the robot's network")
    if name == "lo":
        return ok("network", f"{address} is on this machine")
    if (networks / name / "wireless").exists():
        return bad("network", f"{address} is reached by radio ({name})", "connect the robot by cable, without a switch")
    if name == _default_interface():
        text = f"{address} is reached through {name}, which also carries everything else"
        return warn("network", text, "give the robot a network card of its own: other traffic delays its commands")
    try:
        speed = int((networks / name / "speed").read_text())
    except (OSError, ValueError):
        return ok("network", f"{address} through {name}")
    text = f"{address} through {name}, {speed} Mbit/s"
    return ok("network", text) if speed >= GIGABIT else warn("network", text, "use a gigabit cable and card")


def check_robot(address: str, port: int = ARM_PORT) -> list[Finding]:
    """Whether the robot answers, how fast, and which version of the protocol it speaks. Moves nothing."""
    try:
        times_ms = sorted(_connect_ms(address, port) for _ in range(CONNECTS))
        version = _server_version(address, port)
    except OSError as e:
        remedy = "switch the robot on, unlock its brakes and activate FCI in Desk; check robot.address"
        return [bad("robot", f"{address}:{port} does not answer: {e}", remedy)]
    p50, worst = times_ms[CONNECTS // 2], times_ms[-1]
    text = f"answers in {p50:.2f} ms, {worst:.2f} ms at most"
    near = ok("robot", text) if p50 < SLOW_MS else warn("robot", text, "connect it directly, without a switch")
    return [near, _firmware(version)]


def _firmware(version: int) -> Finding:
    seen = f"speaks protocol {version} (system {SYSTEMS.get(version, 'unknown')} and later)"
    if version == ARM_VERSION:
        return ok("firmware", f"{seen}, as franky-control 2 does")
    if version > ARM_VERSION:
        return bad("firmware", f"{seen}, franky-control 2 speaks {ARM_VERSION}", "install a newer franky-control")
    remedy = f"update the robot to system {SYSTEMS[ARM_VERSION]}, or install franky built for protocol {version}"
    return bad("firmware", f"{seen}, franky-control 2 speaks {ARM_VERSION}", remedy)


def _connect_ms(address: str, port: int) -> float:
    began_s = time.perf_counter()
    with socket.create_connection((address, port), TIMEOUT_S):
        return 1e3 * (time.perf_counter() - began_s)


def _server_version(address: str, port: int) -> int:
    """Introduce ourselves as a client and hang up."""
    with (
        socket.create_connection((address, port), TIMEOUT_S) as line,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as states,
    ):
        states.bind(("", 0))
        body = CONNECT_REQUEST.pack(ARM_VERSION, states.getsockname()[1])
        line.sendall(HEADER.pack(Command.CONNECT, 0, HEADER.size + len(body)) + body)
        reply = b""
        while len(reply) < HEADER.size + CONNECT_REPLY.size:
            piece = line.recv(4096)
            if not piece:
                raise OSError("it hung up; does another program control it?")
            reply += piece
    command, _, size = HEADER.unpack_from(reply)
    if command != Command.CONNECT or size != HEADER.size + CONNECT_REPLY.size:
        raise OSError("what answers there is no Franka arm")
    _, version = CONNECT_REPLY.unpack_from(reply, HEADER.size)
    return int(version)


def _interface_to(address: str) -> str:
    """Name of the interface that leads to an address, or an empty one."""
    if not shutil.which("ip"):
        return "lo" if address.startswith("127.") else _default_interface()
    done = subprocess.run(["ip", "route", "get", address], capture_output=True, text=True, check=False)
    found = re.search(r"\bdev (\S+)", done.stdout)
    return found.group(1) if found else ""


def _default_interface() -> str:
    try:
        rows = [line.split() for line in ROUTES.read_text().splitlines()[1:]]
    except OSError:
        return ""
    return next((row[0] for row in rows if row[1] == "00000000"), "")


def check_way(config: CellConfig) -> list[Finding]:
    """Route, robot and firmware of a cell whose robot this machine drives."""
    if config.robot.provider != "franky" or config.robot.emulated:
        return []
    return [check_route(config.robot.address), *check_robot(config.robot.address)]
