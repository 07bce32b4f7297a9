"""Recording doubles of the few ROS 2 launch classes that the launch files name."""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "launch"
NAMES = {
    "launch": ["LaunchContext", "LaunchDescription", "LaunchDescriptionEntity"],
    "launch.actions": [
        "DeclareLaunchArgument", "EmitEvent", "ExecuteProcess", "IncludeLaunchDescription", "OpaqueFunction",
        "RegisterEventHandler",
    ],
    "launch.event_handlers": ["OnProcessExit"],
    "launch.events": ["Shutdown"],
    "launch.events.process": ["ProcessExited"],
    "launch.launch_description_sources": ["PythonLaunchDescriptionSource"],
    "launch.substitutions": ["LaunchConfiguration", "ThisLaunchFileDir"],
}  # fmt: skip


@dataclass
class Recorded:
    """Remembers how it was made."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def perform(self, context: dict[str, str]) -> str:
        """As a substitution: the value of the argument that it names."""
        return context[self.args[0]]

    @property
    def words(self) -> list[str]:
        """Command of an `ExecuteProcess`, arguments as ``<name>``."""
        return [w if isinstance(w, str) else f"<{w.args[0]}>" for w in self.kwargs["cmd"]]


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a launch file defines."""
    for module, classes in NAMES.items():
        fake = ModuleType(module)
        for c in classes:
            setattr(fake, c, _double(c))
        monkeypatch.setitem(sys.modules, module, fake)
    return runpy.run_path(str(FOLDER / name))


def of_kind(kind: str, entities: Any) -> list[Recorded]:
    """Those that were made as a class."""
    return [e for e in entities if type(e).__name__ == kind]


def _double(name: str) -> type[Recorded]:
    def init(self: Recorded, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    return type(name, (Recorded,), {"__init__": init})
