"""Processes are kept running, ended in order, and never left behind. The children here are real, but no nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from robot_rl.core.config import write_yaml
from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.hardware.cell import process as process_module
from robot_rl.hardware.cell import supervisor as supervisor_module
from robot_rl.hardware.cell.description import CellConfig, NetworkConfig, load_cell
from robot_rl.hardware.cell.graph import ProcessSpec, Stage
from robot_rl.hardware.cell.presence import SUPERVISOR, Presence, running
from robot_rl.hardware.cell.process import CellProcess, stop_together
from robot_rl.hardware.cell.supervisor import RunningCell, start_if_absent

ROOT = Path(__file__).parents[3]
# What a node does, without ROS: says that it is there, ends at SIGINT, and notes when.
NODE = """
import signal, sys, time
from pathlib import Path
from robot_rl.hardware.cell.description import load_cell
from robot_rl.hardware.cell.presence import Presence
from robot_rl.hardware.cell.tether import tie_to_parent
def end(*_):
    with open(folder / "ended", "a") as f:
        f.write(name + "\\n")
    sys.exit(0)
name, folder = sys.argv[1], Path(sys.argv[2])
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
tie_to_parent()
here = Presence(load_cell(folder / "cell.yaml"), name, wait_s=2.0)
print("hello from", name, flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def config() -> CellConfig:
    return replace(load_cell("sim"), name=f"t{os.getpid()}", network=NetworkConfig(44))


@pytest.fixture
def start(config: CellConfig, tmp_path: Path) -> Iterator[Callable[..., RunningCell]]:
    write_yaml(config, tmp_path / "cell.yaml")
    with ExitStack() as stack:

        def run(*specs: ProcessSpec, said: list[str] | None = None, relay: bool = False) -> RunningCell:
            say = said.append if said is not None else None
            cell = RunningCell(config, log_dir=tmp_path, specs=specs, say=say, relay=relay)
            stack.callback(cell.close)
            return cell

        yield run


def spec(name: str, code: str, *args: str, stage: Stage = Stage.REST, essential: bool = False) -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-c", code, *args), {"PYTHONPATH": str(ROOT)}, stage, essential)


def node(name: str, folder: Path, stage: Stage = Stage.REST) -> ProcessSpec:
    return spec(name, NODE, name, str(folder), stage=stage, essential=stage != Stage.REST)


def until(condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_process_is_started_again(start: Callable[..., RunningCell], tmp_path: Path) -> None:
    said: list[str] = []
    cell = start(node("sim", tmp_path, Stage.ARM), node("arbiter", tmp_path, Stage.ARBITER), said=said, relay=True)
    cell.wait_ready()
    before = cell.pids
    os.kill(before["sim"], signal.SIGKILL)
    until(lambda: cell.restarts == {"sim": 1, "arbiter": 0} and not cell.missing(), "the process to be back")
    assert cell.pids["sim"] != before["sim"]
    assert cell.pids["arbiter"] == before["arbiter"]
    until(lambda: said.count("[sim] hello from sim") == 2, "both greetings")
    assert "sim ended by SIGKILL; starting it again in 1 s" in said
    cell.check()


def test_what_moves_the_arm_ends_last(start: Callable[..., RunningCell], tmp_path: Path, config: CellConfig) -> None:
    stages = {"recorder": Stage.GROUND, "arm": Stage.ARM, "arbiter": Stage.ARBITER, "world": Stage.REST}
    cell = start(*(node(name, tmp_path, stage) for name, stage in stages.items()))
    cell.wait_ready()
    pids = cell.pids
    cell.close()
    assert (tmp_path / "ended").read_text().split() == ["world", "arbiter", "arm", "recorder"]
    assert not any(alive(pid) for pid in pids.values())
    assert running(config, SUPERVISOR) is None
    cell.close()


def test_one_supervisor_a_cell(start: Callable[..., RunningCell], tmp_path: Path, config: CellConfig) -> None:
    start(node("arbiter", tmp_path))
    with pytest.raises(ConfigError, match=f"process {os.getpid()} already runs the supervisor of /{config.name}"):
        start(node("arbiter", tmp_path))
    assert start_if_absent(config) is None
    # Another namespace or domain is another cell.
    Presence(replace(config, name="other"), SUPERVISOR).close()
    Presence(replace(config, network=NetworkConfig(45)), SUPERVISOR).close()


def test_a_part_that_runs_by_itself_is_not_doubled(
    start: Callable[..., RunningCell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "GONE_S", 0.3)
    config = load_cell(tmp_path / "cell.yaml")
    held = Presence(config, "arbiter")
    try:
        assert start_if_absent(config) is None
        with pytest.raises(ConfigError, match="already runs the arbiter"):
            start(node("arbiter", tmp_path))
    finally:
        held.close()
    assert running(config, SUPERVISOR) is None


def test_a_cell_of_the_environment_is_not_started_here(config: CellConfig) -> None:
    assert start_if_absent(replace(config, network=NetworkConfig(44, "environment"))) is None


def test_processes_end_with_a_killed_supervisor(tmp_path: Path, config: CellConfig) -> None:
    write_yaml(config, tmp_path / "cell.yaml")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from tests.hardware.cell.test_supervisor import node\n"
        "from robot_rl.hardware.cell.description import load_cell\n"
        "from robot_rl.hardware.cell.supervisor import RunningCell\n"
        "folder = Path(sys.argv[1])\n"
        "specs = [node('arm', folder), node('world', folder)]\n"
        "cell = RunningCell(load_cell(folder / 'cell.yaml'), log_dir=folder, specs=specs)\n"
        "cell.wait_ready(); print(*cell.pids.values(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        supervisor.kill()
    until(lambda: not any(alive(pid) for pid in pids), "the orphans to end")
    assert sorted((tmp_path / "ended").read_text().split()) == ["arm", "world"]


def test_a_process_that_says_why_is_not_tried_again(start: Callable[..., RunningCell]) -> None:
    says_why = "import sys; print('robot-rl: unknown task Reech'); sys.exit(2)"
    said: list[str] = []
    cell = start(spec("camera:wrist", says_why), said=said)
    until(lambda: said, "the sentence")
    assert said == ["camera:wrist cannot go on: unknown task Reech; the cell goes on without it"]
    cell.check()
    cell.close()
    cell = start(spec("arm", says_why, essential=True))
    with pytest.raises(DeviceError, match="^arm cannot go on: unknown task Reech$"):
        cell.wait_ready()


def test_an_essential_process_that_keeps_dying_ends_the_cell(
    start: Callable[..., RunningCell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "FIRST_DELAY_S", 0.01)
    said: list[str] = []
    dies = spec("arm", "import sys; print('no such arm'); sys.exit(3)", stage=Stage.ARM, essential=True)
    cell = start(dies, node("world", tmp_path), said=said)
    with pytest.raises(DeviceError, match="arm died 5 times within 60 s, at last ended with exit code 3: no such arm"):
        cell.wait_ready()
    assert len(said) == 4
    until(lambda: not cell.pids, "the others to be ended")


def test_delays_double_up_to_half_a_minute(tmp_path: Path) -> None:
    process = CellProcess(spec("arm", ""), tmp_path)
    assert [process.put_off() for _ in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    process.close()


def test_a_program_that_does_not_exist_is_named(start: Callable[..., RunningCell]) -> None:
    cell = start(ProcessSpec("arm", ("/nonexistent/robot",), {}, Stage.ARM, True))
    with pytest.raises(DeviceError, match="cannot start arm"):
        cell.wait_ready()


def test_deaf_processes_and_their_children_are_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    process = CellProcess(spec("camera", deaf), tmp_path)
    process.start()
    pid = process.pid
    assert pid is not None
    until(lambda: process.last_line(), "the child")
    child = int(process.last_line())
    stop_together([process], interrupt_s=0.2, terminate_s=0.2)
    until(lambda: not (alive(pid) or alive(child)), "both to be gone")
    process.close()


def test_the_log_before_is_kept(tmp_path: Path) -> None:
    for text in ("first", "second"):
        process = CellProcess(spec("camera:wrist", f"print({text!r})"), tmp_path)
        process.start()
        assert process.wait(time.monotonic() + 30)
        process.close()
    assert (tmp_path / "camera_wrist.log").read_text() == "second\n"
    assert (tmp_path / "camera_wrist.log.1").read_text() == "first\n"
