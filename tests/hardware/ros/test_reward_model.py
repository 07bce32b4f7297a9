"""A success classifier as the judge of a running cell: pictures of the simulated camera, over ROS 2, to a reward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs the extra ros")

from std_msgs.msg import Float64MultiArray

from robot_rl.cli.node import make_judge
from robot_rl.core.errors import ConfigError
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.cell.description import CameraConfig, load_cell
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.reward_message import reward_of
from robot_rl.rewards.detector import SuccessDetector
from tests.hardware.ros.conftest import NodeProcess, test_cell, wait_until
from tests.hardware.ros.serving import Listener
from tests.hardware.ros.sim_cell import SimCell
from tests.rewards.bright import bright_model


def classifier(folder: Path) -> Path:
    home = tuple(make_task("PickCube").home_base_tcp.tolist())
    return bright_model(folder, watched=False, home_base_tcp=home)


def test_a_real_cell_wants_an_evaluated_model(tmp_path: Path) -> None:
    real = replace(load_cell("franka"), task="PickCube", reward_model=classifier(tmp_path))
    with pytest.raises(ConfigError, match="may not reward a real robot"):
        make_judge(real)
    assert isinstance(make_judge(replace(real, reward_unevaluated=True)), SuccessDetector)


@pytest.mark.gl
def test_what_the_camera_shows_becomes_a_reward(tmp_path: Path, start_node: Callable[..., NodeProcess]) -> None:
    model = classifier(tmp_path / "model")
    camera = CameraConfig(provider="sim", view="side", image_size=(24, 32))
    config = test_cell(task="PickCube", cameras={"side": camera}, reward=True, reward_model=model)
    cell, listener = SimCell(config, tmp_path), Listener(config)
    try:
        rewards = listener.listen(Float64MultiArray, names.REWARD)
        camera_node = start_node(config, "camera:side")
        judge = start_node(config, "reward")
        wait_until(lambda: len(rewards) > 3, "judgements")
        _, components = reward_of(rewards[-1])
        assert set(components) == {"success", "p_success"}
        assert 0.0 <= components["p_success"] <= 1.0 and np.isfinite(components["p_success"])
        assert judge.close() == 0
        assert camera_node.close() == 0
    finally:
        listener.close()
        cell.close()
