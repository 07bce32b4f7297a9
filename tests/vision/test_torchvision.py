"""The import of torchvision and of what needs it, each in an interpreter where nothing was imported before."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

CODE = """
from robot_rl.vision.torchvision import ensure_torchvision
assert ensure_torchvision() in ("native", "stub")
assert ensure_torchvision() in ("native", "stub")
import torchvision.transforms.v2
import timm; assert timm.list_models("resnet10t")
import open_clip; assert open_clip.list_models()
print("ok")
"""


def test_torchvision_and_its_users_import_in_a_fresh_process() -> None:
    """All of them in one, because each import takes seconds."""
    for module in ("torch", "torchvision", "timm", "open_clip"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, timeout=300)
    assert result.stdout == "ok\n", result.stderr


def test_a_missing_torchvision_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from robot_rl.core.errors import ConfigError\n"
        "from robot_rl.vision.torchvision import ensure_torchvision\n"
        "try: ensure_torchvision()\n"
        "except ConfigError as e: print(e)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "robot-rl[vision]" in result.stdout, result.stderr
