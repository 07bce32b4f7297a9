"""Which cell is meant, and what only its own description may decide. Nothing here needs ROS 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.core.config import write_yaml
from robot_rl.core.errors import ConfigError
from robot_rl.envs import make_env
from robot_rl.envs.graph_cell import check_cameras, describe_cell
from robot_rl.hardware.cell.description import CameraConfig, CellConfig, cell_file, load_cell


def written(folder: Path, **changes: object) -> Path:
    values = {"supervision": "automatic", "task": "PegInsert", "task_options": {"clearance_mm": 0.5}, **changes}
    write_yaml(CellConfig(**values), folder / "mine.yaml")  # type: ignore[arg-type]
    return folder / "mine.yaml"


def test_the_bundled_simulation_holds_the_task_that_is_asked_for() -> None:
    config, file = describe_cell("ros", "PegInsert", {"clearance_mm": 0.5, "hz": 20.0})
    assert (config.task, config.task_options, file) == ("PegInsert", {"clearance_mm": 0.5}, None)
    assert config.simulated and config.limits == load_cell("sim").limits
    assert describe_cell("emulated", "PegInsert")[0].task == "PegInsert"


def test_a_real_cell_holds_what_stands_in_it() -> None:
    assert describe_cell("franka", "PegInsert") == (load_cell("franka"), cell_file("franka"))


def test_a_simulated_cell_of_ones_own_must_hold_the_tasks_objects(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert describe_cell(file, "PegInsert", {"clearance_mm": 0.5, "force_limit_n": 20.0}) == (load_cell(file), file)
    with pytest.raises(ConfigError, match=r"PegInsert \(clearance_mm=0.5\), not those of PegInsert \(clearance_mm=0.2"):
        describe_cell(file, "PegInsert", {"clearance_mm": 0.2})
    with pytest.raises(ConfigError, match="not those of PickCube: change task and task_options there, or use --cell"):
        describe_cell(str(file), "PickCube")


def test_an_unknown_cell_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"unknown cell 'frnka': did you mean 'franka'\? .*or give the path"):
        make_env("Reach", cell="frnka")


def test_cameras_are_those_of_the_description() -> None:
    config = CellConfig(cameras={"wrist": CameraConfig(), "side": CameraConfig(view="side")})
    check_cameras(config, ("side", "wrist"))
    with pytest.raises(ConfigError, match="has no camera front, top; it describes these: side, wrist"):
        check_cameras(config, ("front", "wrist", "top"))
    with pytest.raises(ConfigError, match="it describes these: none"):
        check_cameras(CellConfig(), ("wrist",))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image_size": (64, 64)}, "image_size is decided by cameras"),
        ({"imperfections": "franka"}, "imperfections are in its YAML"),
        ({"render_mode": "rgb_array"}, "read one of its cameras, or use the cell sim"),
        ({"cameras": ("front",)}, "has no camera front"),
        ({"clearance": 1.0}, "unknown option"),
    ],
)
def test_what_the_cell_decides_cannot_be_asked_for(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        make_env("PegInsert", cell="ros", **options)  # type: ignore[arg-type]
