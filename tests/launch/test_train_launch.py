"""The launch file runs against recording doubles of the few ROS 2 classes it names."""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "launch" / "train.launch.py"


@dataclass
class Recorded:
    """Remembers how it was made."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


def double(name: str) -> type[Recorded]:
    def init(self: Recorded, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    return type(name, (Recorded,), {"__init__": init})


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    names = {
        "launch": ["LaunchDescription"],
        "launch.actions": ["DeclareLaunchArgument", "EmitEvent", "ExecuteProcess"],
        "launch.events": ["Shutdown"],
        "launch.substitutions": ["LaunchConfiguration"],
    }
    for module, classes in names.items():
        fake = ModuleType(module)
        for c in classes:
            setattr(fake, c, double(c))
        monkeypatch.setitem(sys.modules, module, fake)
    made = runpy.run_path(str(FILE))["generate_launch_description"]()
    assert isinstance(made, Recorded)
    return made


def test_declares_every_argument_with_default_and_description(description: Recorded) -> None:
    declared = {a.args[0]: a.kwargs for a in description.args[0] if type(a).__name__ == "DeclareLaunchArgument"}
    assert declared.keys() == {"task", "seed"}
    assert declared["task"]["default_value"] == "PickCube"
    assert declared["seed"]["default_value"] == "0"
    assert all(len(k["description"]) > 20 for k in declared.values())


def test_command_uses_declared_arguments_only(description: Recorded) -> None:
    (process,) = [a for a in description.args[0] if type(a).__name__ == "ExecuteProcess"]
    words = [w if isinstance(w, str) else f"<{w.args[0]}>" for w in process.kwargs["cmd"]]
    assert words == ["robot-rl", "train", "<task>", "--seed", "<seed>"]


def test_ends_with_the_training(description: Recorded) -> None:
    (process,) = [a for a in description.args[0] if type(a).__name__ == "ExecuteProcess"]
    (ending,) = process.kwargs["on_exit"]
    assert type(ending.kwargs["event"]).__name__ == "Shutdown"
