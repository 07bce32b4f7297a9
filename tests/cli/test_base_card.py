"""Cards of foreign checkpoints, written by the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.cli.main import main
from robot_rl.envs import make_env
from robot_rl.policies.base.adapters.card import ActionMap, CameraInput, read_card


def test_the_parts_of_the_state_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["base-card", "Reach", str(tmp_path / "c.json")]) == 0
    assert "tcp_position" in capsys.readouterr().out
    assert not (tmp_path / "c.json").exists()


def test_a_card_says_what_was_given(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    arguments = ["--inputs", "observation.state=tcp_position,tcp_velocity", "--cameras", "wrist=observation.images.w"]
    arguments += ["--image-size", "96", "64", "--action", "x=0.02", "gripper=-1", "--noise", "16", "2"]
    assert main(["base-card", "Reach", str(file), *arguments, "--observations", "2", "--words", "go"]) == 0
    card, env = read_card(file), make_env("Reach")
    assert card.state == env.state_spec
    assert (card.name, card.hz, card.horizon, card.observations, card.task) == ("mine", env.hz, 16, 2, "go")
    assert card.inputs == {"observation.state": ("tcp_position", "tcp_velocity")}
    assert card.cameras == {"wrist": CameraInput("observation.images.w", (96, 64, 3))}
    assert card.action == ActionMap(("x", "gripper"), (0.02, -1.0))
    assert card.noise_shape == (16, 2)
    env.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--inputs", "state"],
        ["--inputs", "s=tcp_positon"],
        ["--inputs", "s=tcp_position", "--action", "x=far"],
        ["--inputs", "s=tcp_position", "--action", "forward=1"],
        ["--inputs", "s=tcp_position", "s=tcp_velocity"],
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    assert main(["base-card", "Reach", str(tmp_path / "c.json"), *arguments]) == 2
    assert not (tmp_path / "c.json").exists()
