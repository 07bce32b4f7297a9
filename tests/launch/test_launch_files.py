"""Every launch file declares what it uses, and starts what the cell's description says."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError
from robot_rl.hardware.cell.description import cell_file, load_cell
from robot_rl.hardware.cell.graph import processes
from robot_rl.hardware.cell.tether import PARENT
from robot_rl.runtime.config import TrainConfig
from tests.launch.doubles import FOLDER, Recorded, load, of_kind

FILES = sorted(p.name for p in FOLDER.glob("*.launch.py"))


def description(name: str, monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    made = load(name, monkeypatch)["generate_launch_description"]()
    return list(made.args[0])


@pytest.mark.parametrize("name", FILES)
def test_declares_every_argument_with_a_description(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for argument in of_kind("DeclareLaunchArgument", description(name, monkeypatch)):
        assert len(argument.kwargs["description"]) > 20


@pytest.mark.parametrize("name", ["train.launch.py", "learner.launch.py"])
def test_commands_use_declared_arguments_and_parse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entities = description(name, monkeypatch)
    declared = {a.args[0]: a.kwargs.get("default_value") for a in of_kind("DeclareLaunchArgument", entities)}
    (process,) = of_kind("ExecuteProcess", entities)
    assert {w[1:-1] for w in process.words if w.startswith("<")} == declared.keys()
    values = [declared[w[1:-1]] or "folder" if w.startswith("<") else w for w in process.words]
    assert values[:2] == ["robot-rl", "train"]
    config: TrainConfig = parse(TrainConfig, values[3:], verb="train")
    assert config.seed == 0
    if name == "learner.launch.py":
        assert (config.actors, config.listen, config.cell) == (0, "tcp://0.0.0.0:5555", "ros")
        assert str(config.keys) == "folder"


@pytest.mark.parametrize("name", ["train.launch.py", "learner.launch.py"])
def test_ends_with_the_training(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (process,) = of_kind("ExecuteProcess", description(name, monkeypatch))
    (ending,) = process.kwargs["on_exit"]
    assert type(ending.kwargs["event"]).__name__ == "Shutdown"


def started(monkeypatch: pytest.MonkeyPatch, **arguments: str) -> tuple[list[Recorded], dict[str, Any]]:
    """What cell.launch.py starts for some arguments, and what it defines."""
    defined = load("cell.launch.py", monkeypatch)
    (opaque,) = of_kind("OpaqueFunction", defined["generate_launch_description"]().args[0])
    context = {"cell": "", "task": "", "only": "", **arguments}
    return opaque.kwargs["function"](context), defined


@pytest.mark.parametrize("cell", ["sim", "emulated", "franka"])
def test_a_cell_starts_the_same_list_as_the_command(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = processes(load_cell(cell), cell_file(cell))
    entities, _ = started(monkeypatch, cell=cell)
    found = of_kind("ExecuteProcess", entities)
    assert [tuple(p.words) for p in found] == [s.argv for s in specs]
    for process, spec in zip(found, specs, strict=True):
        assert process.kwargs["additional_env"] == {**spec.env, PARENT: str(os.getpid())}
        assert process.kwargs["respawn"] is True
    watched = [e.args[0].kwargs["target_action"] for e in of_kind("RegisterEventHandler", entities)]
    assert watched == [p for p, s in zip(found, specs, strict=True) if s.essential]


def test_the_task_reaches_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    entities, _ = started(monkeypatch, cell="sim", task="Reach")
    assert all(p.words[-2:] == ["--task", "Reach"] for p in of_kind("ExecuteProcess", entities))


def test_some_processes_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    entities, _ = started(monkeypatch, cell="franka", only="camera:wrist, arm")
    assert [p.kwargs["name"] for p in of_kind("ExecuteProcess", entities)] == ["arm", "camera_wrist"]
    with pytest.raises(ConfigError, match="unknown process of this cell 'teleop'"):
        started(monkeypatch, cell="franka", only="teleop")


def test_only_a_process_that_said_why_ends_the_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    _, defined = started(monkeypatch, cell="sim")
    running = SimpleNamespace(is_shutdown=False)
    for code in (0, 1, -9):
        assert defined["ended"](SimpleNamespace(returncode=code, process_name="arm"), running) is None
    (action,) = defined["ended"](SimpleNamespace(returncode=2, process_name="arm"), running)
    assert type(action.kwargs["event"]).__name__ == "Shutdown"
    assert defined["ended"](SimpleNamespace(returncode=2), SimpleNamespace(is_shutdown=True)) is None


@pytest.mark.parametrize(
    ("name", "passed"),
    [
        ("sim_cell.launch.py", {"cell": "sim", "task": ""}),
        ("emulated_cell.launch.py", {"cell": "emulated", "task": ""}),
        ("teleop.launch.py", {"cell": None, "only": "teleop"}),
    ],
)
def test_others_include_the_cell(name: str, passed: dict[str, str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    entities = description(name, monkeypatch)
    declared = {a.args[0]: a.kwargs.get("default_value") for a in of_kind("DeclareLaunchArgument", entities)}
    (included,) = of_kind("IncludeLaunchDescription", entities)
    given = {k: v if isinstance(v, str) else declared[v.args[0]] for k, v in included.kwargs["launch_arguments"]}
    assert given == passed
    folder, file = included.args[0].args[0]
    assert type(folder).__name__ == "ThisLaunchFileDir"
    assert (FOLDER / file.removeprefix("/")).is_file()
    if name != "teleop.launch.py":
        assert load_cell(given["cell"]).simulated
