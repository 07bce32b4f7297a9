"""The folder builds as a ROS 2 package, in a throw-away environment with colcon from the package index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "launch"
# The newest setuptools lacks the command that colcon uses for symbolic links.
PACKAGES = ["colcon-core", "colcon-library-path", "colcon-python-setup-py", "colcon-ros", "setuptools<80"]

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path, path: Path) -> str:
    env = {**os.environ, "PATH": os.pathsep.join((str(path), os.environ["PATH"]))}
    env.pop("PYTHONWARNINGS", None)
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the programs of an environment with colcon."""
    prefix = tmp_path_factory.mktemp("colcon") / "venv"
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    run(prefix / "bin" / "python", "-m", "pip", "install", "-q", *PACKAGES, cwd=prefix, path=prefix / "bin")
    return prefix / "bin"


@pytest.mark.parametrize("option", ["--merge-install", "--symlink-install"])
def test_builds_and_runs(option: str, tools: Path, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "src" / "robot_rl", symlinks=True)
    run(tools / "colcon", "build", option, cwd=tmp_path, path=tools)
    prefix = tmp_path / "install" if option == "--merge-install" else tmp_path / "install" / "robot_rl"
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "robot_rl").exists()
    assert (prefix / "share" / "robot_rl" / "package.xml").is_file()
    launch = {p.name for p in (prefix / "share" / "robot_rl" / "launch").iterdir()}
    assert launch == {p.name for p in FOLDER.glob("*.launch.py")}
    installed = {p.name for p in (prefix / "lib" / "robot_rl").iterdir()}
    assert installed == {p.name for p in (FOLDER / "bin").iterdir()}
    # Run by the Python that comes first on the path, as in an environment with the Python package.
    text = run(prefix / "lib" / "robot_rl" / "arbiter", "--help", cwd=tmp_path, path=Path(sys.executable).parent)
    assert "usage: robot-rl node" in text
