"""The list of processes fits the description, and what it says to run can be run."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.cli.arguments import parse
from robot_rl.cli.fci_emulator import EmulatorArguments
from robot_rl.cli.node import NODES, NodeArguments
from robot_rl.core.config import from_dict
from robot_rl.hardware.cell.description import CameraConfig, CellConfig, cell_file, cell_names, load_cell
from robot_rl.hardware.cell.graph import EMULATOR, ROBOT_RL, ProcessSpec, Stage, processes, with_task

SOURCE = Path("cell.yaml")


def arguments_of(spec: ProcessSpec) -> NodeArguments | EmulatorArguments:
    """What the process makes of its command line."""
    assert spec.argv[: len(ROBOT_RL)] == ROBOT_RL
    verb, *rest = spec.argv[len(ROBOT_RL) :]
    kind = {"node": NodeArguments, EMULATOR: EmulatorArguments}[verb]
    arguments: NodeArguments | EmulatorArguments = parse(kind, rest, verb=verb)
    return arguments


@pytest.mark.parametrize("name", cell_names())
def test_bundled_cells_name_nodes_that_exist(name: str) -> None:
    specs = processes(load_cell(name), cell_file(name))
    for spec in specs:
        arguments = arguments_of(spec)
        if isinstance(arguments, NodeArguments):
            assert arguments.name == spec.name
            assert arguments.cell == str(cell_file(name))
            assert find_spec(NODES[spec.name.partition(":")[0]]) is not None, spec.name
    assert {"arbiter"} < {s.name for s in specs if s.essential}


def test_the_simulated_cell_is_one_process_and_the_arbiter() -> None:
    assert [s.name for s in processes(load_cell("sim"), SOURCE)] == ["sim", "arbiter"]


def test_the_emulated_cell_starts_its_robot_first() -> None:
    first, *rest = processes(load_cell("emulated"), SOURCE)
    arguments = arguments_of(first)
    assert isinstance(arguments, EmulatorArguments)
    assert (arguments.address, arguments.task) == ("127.0.0.1", "PegInsert")
    assert [s.name for s in rest] == ["arm", "arbiter", "gripper", "world"]


def test_options_of_the_task_reach_the_emulator() -> None:
    config = replace(load_cell("emulated"), task_options={"clearance_mm": 0.5}, seed=7)
    arguments = arguments_of(processes(config, SOURCE)[0])
    assert isinstance(arguments, EmulatorArguments)
    assert (arguments.task_options, arguments.seed) == ({"clearance_mm": 0.5}, 7)


def test_another_task_reaches_every_process() -> None:
    for spec in processes(load_cell("emulated"), SOURCE, task="Reach"):
        assert arguments_of(spec).task == "Reach"


def test_options_stay_with_their_task() -> None:
    config = replace(load_cell("emulated"), task_options={"clearance_mm": 0.5})
    assert with_task(config, "Reach").task_options == {}
    assert with_task(config, "PegInsert") == with_task(config, "") == config


PROVIDERS = [("sim", "sim", "sim"), ("franky", "franky", "fixed"), ("ros2_control", "position", "fixed")]


@given(
    providers=st.sampled_from(PROVIDERS),
    cameras=st.sets(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), max_size=3),
    teleop=st.sampled_from(["none", "joy", "spacemouse", "leader"]),
    reward=st.booleans(),
    record=st.booleans(),
    gripper=st.booleans(),
)
def test_every_device_has_one_process(
    providers: tuple[str, str, str], cameras: set[str], teleop: str, reward: bool, record: bool, gripper: bool
) -> None:
    robot, hand, world = providers
    config = from_dict(
        CellConfig,
        {
            "robot": {"provider": robot},
            "gripper": {"provider": hand if gripper else "none"},
            "world": {"provider": world},
            "teleop": {"provider": teleop},
            "cameras": dict.fromkeys(cameras, CameraConfig()),
            "reward": reward,
            "record": "records" if record else None,
        },
    )
    specs = processes(config, SOURCE)
    names = [s.name for s in specs]
    wanted = {"sim"} if robot == "sim" else {"arm", "world"} | ({"gripper"} if gripper else set())
    wanted |= {"arbiter"} | {f"camera:{c}" for c in cameras}
    wanted |= {n for n, there in (("teleop", teleop != "none"), ("reward", reward), ("recorder", record)) if there}
    assert len(names) == len(set(names))
    assert set(names) == wanted
    # Nothing that commands the arm outlives the arbiter, and nothing outlives what moves it but what only listens.
    stages = {s.name: s.stage for s in specs}
    arm = stages["sim" if robot == "sim" else "arm"]
    assert arm < stages["arbiter"] < Stage.REST
    assert all(stage >= arm or name == "recorder" for name, stage in stages.items())
    for spec in specs:
        arguments_of(spec)
