"""``robot-rl cell``: start a cell on ROS 2, look at it, speak to its safety arbiter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.ros import import_ros
from robot_rl.cli.tables import text_table
from robot_rl.core.config import from_dict, parse_yaml, to_dict
from robot_rl.core.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from robot_rl.hardware.cell.description import CellConfig
    from robot_rl.hardware.cell.graph import ProcessSpec
    from robot_rl.hardware.cell.supervisor import RunningCell

USAGE = """\
usage: robot-rl cell list                  bundled cells
       robot-rl cell up CELL               start all processes of a cell and keep them running until Ctrl-C
       robot-rl cell check CELL            validate a description; say what it starts, its topics, and who listens where
       robot-rl cell status CELL           modes, fault and health of a running cell
       robot-rl cell enable CELL           let the arbiter pass commands on; `disable` ends that
       robot-rl cell recover CELL          clear a fault once its cause is gone; `enable` comes after it
       robot-rl cell stop CELL             stop now; needs `recover` afterwards
       robot-rl cell home CELL             move the joints home

CELL is the path of a YAML or the name of a bundled cell; docs/ros.md explains every key."""

ARBITER_VERBS = ("enable", "disable", "recover", "stop", "home")
OVERVIEW = "robot_rl.hardware.ros.overview"
ANSWER_S = 5.0
_PERIOD_S = 0.2
Cell = tyro.conf.Positional[str]
Overrides = Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="KEY=VALUE ...")]


@dataclass(frozen=True)
class UpArguments:
    """Start all processes of a cell and keep them running until Ctrl-C or SIGTERM.

    A process that dies is started again after 1 s, then 2, up to 30 s. The cell ends when one that it cannot do without
    dies five times within a minute, or says that it cannot go on.

    Attributes:
        cell: path of a YAML, or name of a bundled cell.
        task: whose objects a simulated or emulated cell holds; empty for the description's own.
        overrides: keys of the description and what they shall be, for example network.domain_id=50.
        log_dir: folder of one log a process; by default below ~/.local/state/robot_rl/cells.
        quiet: do not repeat what the processes print.
    """

    cell: Cell
    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = ""
    overrides: Overrides = ()
    log_dir: Path | None = None
    quiet: bool = False


@dataclass(frozen=True)
class CellArguments:
    """Which cell.

    Attributes:
        cell: path of a YAML, or name of a bundled cell.
        task: whose objects a simulated or emulated cell holds; empty for the description's own.
        overrides: keys of the description and what they shall be, for example network.domain_id=50.
    """

    cell: Cell
    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = ""
    overrides: Overrides = ()


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    verb, rest = argv[0], argv[1:]
    if verb in ARBITER_VERBS:
        return _ask_arbiter(verb, parse(CellArguments, rest, verb=f"cell {verb}"))
    verbs: dict[str, Callable[[Sequence[str]], int]] = {
        "list": _list,
        "up": lambda rest: _up(parse(UpArguments, rest, verb="cell up")),
        "check": lambda rest: _check(parse(CellArguments, rest, verb="cell check")),
        "status": lambda rest: _status(parse(CellArguments, rest, verb="cell status")),
    }
    if verb not in verbs:
        raise ConfigError(unknown_name("verb of robot-rl cell", verb, (*verbs, *ARBITER_VERBS)))
    return verbs[verb](rest)


def read_cell(cell: str, task: str = "", overrides: Sequence[str] = ()) -> CellConfig:
    """A description with changes.

    Args:
        cell: path or bundled name.
        task: whose objects it holds instead; empty for its own.
        overrides: as ``key.of.it=value``, values in YAML.

    Raises:
        ConfigError: the description or a change is wrong.
    """
    from robot_rl.hardware.cell.description import CellConfig, load_cell
    from robot_rl.hardware.cell.graph import with_task

    data = to_dict(with_task(load_cell(cell), task))
    for override in overrides:
        key, equals, value = override.partition("=")
        if not (key and equals):
            raise ConfigError(f"--set got {override!r}, expected KEY=VALUE, for example network.domain_id=50")
        *path, last = key.split(".")
        section: Any = data
        for name in path:
            section = section.setdefault(name, {}) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            raise ConfigError(f"--set got {override!r}, but {'.'.join(path)} has no keys below it")
        section[last] = parse_yaml(f"value: {value}", f"--set {override}")["value"]
    return from_dict(CellConfig, data)


def _list(_: Sequence[str]) -> int:
    from robot_rl.hardware.cell.description import cell_file, cell_names, load_cell

    rows = []
    for name in cell_names():
        config = load_cell(name)
        robot = "emulated franky" if config.robot.emulated else config.robot.provider
        rows.append([name, robot, config.task, ", ".join(config.cameras) or "none", str(config.network.domain_id)])
    print(text_table(["cell", "robot", "task", "cameras", "domain"], rows, left=(0, 1, 2, 3)))
    print(f"\nTo make your own, copy one: {cell_file('franka')}")
    return 0


def _up(a: UpArguments) -> int:
    from robot_rl.hardware.cell.supervisor import RunningCell
    from robot_rl.runtime.stop import stop_on_signals

    config = read_cell(a.cell, a.task, a.overrides)
    with stop_on_signals() as stop:
        cell = RunningCell(config, log_dir=a.log_dir, say=lambda line: print(line, flush=True), relay=not a.quiet)
        try:
            announced = False
            while not stop.requested:
                cell.check()
                if not announced and not cell.missing():
                    print(f"{_headline(cell)}; logs in {cell.log_dir}", flush=True)
                    announced = True
                threading.Event().wait(_PERIOD_S)
        finally:
            cell.close()
    print(f"down: /{config.name}")
    return 0


def _headline(cell: RunningCell) -> str:
    from robot_rl.hardware.cell.environment import domain_of

    return f"up: /{cell.config.name} on domain {domain_of(cell.config)}: {' '.join(cell.names)}"


def _check(a: CellArguments) -> int:
    from robot_rl.envs.tasks import make_task
    from robot_rl.hardware.cell.description import cell_file
    from robot_rl.hardware.cell.environment import cell_environment, domain_of
    from robot_rl.hardware.cell.graph import processes
    from robot_rl.hardware.ros.interface import endpoints

    config = read_cell(a.cell, a.task, a.overrides)
    make_task(config.task, **config.task_options)
    print(f"{cell_file(a.cell)} is a valid cell: /{config.name} on domain {domain_of(config)}, task {config.task}")
    print("\nEnvironment of every process:")
    for name, value in cell_environment(config).items():
        print(f"  {name}={value}")
    if config.network.reach == "environment":
        print("  as it is (network.reach: environment)")
    specs = processes(config, cell_file(a.cell))
    print("\nProcesses, in the order of their start:")
    for spec in specs:
        print(f"  {spec.name:<16} {'essential' if spec.essential else 'restarted for ever'}")
    print("\nTopics and services:")
    rows = [[e.name, e.kind, e.type, e.by] for e in endpoints(config)]
    print(text_table(["name", "", "type", "by"], rows, left=(0, 1, 2, 3)))
    print()
    print("\n".join(_listeners(config, specs)))
    return 0


def _listeners(config: CellConfig, specs: Sequence[ProcessSpec]) -> list[str]:
    from robot_rl.hardware.cell.presence import running
    from robot_rl.hardware.cell.sockets import open_sockets

    lines, exposed = [], False
    for spec in specs:
        pid = running(config, spec.name) if spec.is_node else None
        for found in open_sockets(pid) if pid else ():
            exposed |= found.reachable
            lines.append(f"  {spec.name:<16} {found}{'  REACHABLE FROM OTHER MACHINES' if found.reachable else ''}")
    if not lines:
        return ["Nothing of it runs on this machine."]
    verdict = "Some can be reached from other machines." if exposed else "None can be reached from another machine."
    return ["Sockets of its running nodes:", *lines, verdict]


def _status(a: CellArguments) -> int:
    config = read_cell(a.cell, a.task, a.overrides)
    state = import_ros(OVERVIEW).look(config)
    print(f"/{config.name}: arbiter {state.mode or 'not heard'}, robot {state.robot_mode or 'not heard'}")
    print(f"fault: {state.fault or 'none'}")
    for name, health in sorted(state.health.items()):
        print(f"\n{name}: {health.level}: {health.text}")
        for key, value in health.values.items():
            print(f"  {key}: {value}")
    return 0


def _ask_arbiter(verb: str, a: CellArguments) -> int:
    config = read_cell(a.cell, a.task, a.overrides)
    timeout_s = ANSWER_S + (config.limits.home_timeout_s if verb == "home" else 0.0)
    done, text = import_ros(OVERVIEW).tell(config, verb, timeout_s)
    print(f"{verb}: {'done' if done else 'refused'}{f': {text}' if text else ''}")
    return 0 if done else 1
