"""``robot-rl fci-emulator``: the simulated cell behind the network protocol of a Franka arm and hand."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.config import Option

if TYPE_CHECKING:
    from robot_rl.hardware.fci.server import ServerOptions
    from robot_rl.runtime.stop import StopFlag

DESCRIPTION = """\
The simulated cell behind the network protocol of a Franka arm and hand (version 10), for the unmodified clients of
real ones: franky, pylibfranka. Connect them to the address; inject faults with lines such as `user-stop on` sent to
the fault port. docs/fci_emulator.md says what is emulated and what is not. Ctrl-C and SIGTERM end it.
"""


@dataclass(frozen=True)
class EmulatorArguments:
    """Arguments of ``robot-rl fci-emulator``.

    Attributes:
        task: whose objects and start state the cell has; `robot-rl tasks` lists them.
        task_options: of the task, as NAME=VALUE.
        address: IP address to listen at.
        allow_remote: allow an address that other machines can reach; the protocol has no password.
        rate_hz: ticks per second of wall time, 0 for as fast as it goes; a tick is a millisecond of the robot's time.
        strict: keep the rate whether or not commands come, as a real robot; 20 missing in a row then abort a motion.
        fault_port: TCP port of the fault lines.
        report_s: how often to print rate and work time, in seconds; 0 for at the end only.
        duration_s: end after so many seconds; 0 for never.
        seed: of the start state and of injected losses.
    """

    task: str = "Reach"
    task_options: dict[str, Option] = field(default_factory=dict)
    address: str = "127.0.0.1"
    allow_remote: bool = False
    rate_hz: float = 1000.0
    strict: bool = False
    fault_port: int = 1339
    report_s: float = 10.0
    duration_s: float = 0.0
    seed: int = 0


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: EmulatorArguments = parse(EmulatorArguments, argv, verb="fci-emulator", description=DESCRIPTION)
    from robot_rl.hardware.fci.server import ServerOptions
    from robot_rl.runtime.stop import stop_on_signals

    for flag, value in (("--report-s", a.report_s), ("--duration-s", a.duration_s)):
        if not value >= 0:
            raise ConfigError(f"{flag} is {value}, expected at least 0")
    options = ServerOptions(
        address=a.address,
        fault_port=a.fault_port,
        rate_hz=a.rate_hz,
        strict=a.strict,
        allow_remote=a.allow_remote,
        seed=a.seed,
    )
    if not ip_address(a.address).is_loopback:
        print(f"robot-rl: warning: whoever reaches {a.address} can move the emulated robot", file=sys.stderr)
    with stop_on_signals() as stop:
        _serve(a, options, stop)
    return 0


def _serve(a: EmulatorArguments, options: ServerOptions, stop: StopFlag) -> None:
    """Serve until told to end; says how the rate is kept."""
    from robot_rl.envs.tasks import make_task
    from robot_rl.hardware.fci.plant import ArmPlant
    from robot_rl.hardware.fci.server import FciServer, StartState
    from robot_rl.hardware.mujoco import ik, panda

    task = make_task(a.task, **a.task_options)
    plant = ArmPlant(task.objects)
    start = task.sample_start(np.random.default_rng(a.seed))
    q_rad = ik.solve(plant.model, panda.TCP_SITE, start.pose_base_tcp, panda.Q_HOME_RAD)
    server = FciServer(plant, options, StartState(q_rad, start.gripper_width_m, start.objects))
    arm, hand, faults = server.ports
    print(f"{task.id} at {a.address}: arm {arm}, hand {hand}, faults {faults}", flush=True)

    end_s = time.monotonic() + (a.duration_s or math.inf)

    def before(time_s: float) -> bool:
        return not stop.requested and time.monotonic() < min(time_s, end_s)

    try:
        while before(math.inf):
            server.run(partial(before, time.monotonic() + (a.report_s or math.inf)))
            print(server.pace.report().line(), flush=True)
    finally:
        server.close()
