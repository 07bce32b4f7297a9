"""What a user installs: the wheel holds every package and its data, and works away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AMENT_FILES = [
    "share/ament_index/resource_index/packages/robot_rl",
    "share/robot_rl/package.xml",
    *(f"share/robot_rl/launch/{p.name}" for p in (ROOT / "launch").glob("*.launch.py")),
    *(f"lib/robot_rl/{p.name}" for p in (ROOT / "launch" / "bin").iterdir()),
]

pytestmark = pytest.mark.slow


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build folder is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "node_modules")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=ignore)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(copy), cwd=folder)
    (built,) = folder.glob("robot_rl-*.whl")
    return built


def test_nothing_generic_is_installed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0].split("-")[0] for n in names} == {"robot_rl"}
    data = [n.split(".data/data/")[1] for n in names if ".data/data/" in n]
    assert sorted(data) == sorted(AMENT_FILES)


def test_a_virtual_environment_is_an_ament_prefix(wheel: Path, tmp_path: Path) -> None:
    """What `ros2 launch` and `ros2 run` look for lies where they look, and can be run."""
    prefix = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(prefix), cwd=tmp_path)
    python = str(prefix / "bin" / "python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", str(wheel), cwd=tmp_path)
    assert all((prefix / name).is_file() for name in AMENT_FILES)
    for name in (n for n in AMENT_FILES if n.startswith("lib/")):
        assert os.access(prefix / name, os.X_OK), name


def test_every_module_and_data_file_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"robot_rl/py.typed"}
    for folder in ("controllers", "envs", "hardware", "policies", "agents", "cli", "core", "data", "evaluation"):
        base = ROOT / "robot_rl" / folder
        files = (p for p in base.rglob("*") if p.suffix in {".py", ".xml", ".yaml", ".html", ".css", ".js"})
        wanted |= {f"robot_rl/{folder}/{p.relative_to(base).as_posix()}" for p in files}
    assert not wanted - names


def test_runs_from_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """Installed into an empty folder that comes first on the path; the third-party libraries are the present ones."""
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel), cwd=tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r}); import robot_rl.envs as e; "
        "env = e.make_env('Reach'); obs, _ = env.reset(seed=0); "
        "print(e.__file__, obs['state'].shape == (env.state_spec.size,))"
    )
    # -P keeps the working folder off the path; the editable install must lose against the target.
    where, same = run(sys.executable, "-P", "-W", "ignore", "-c", code, cwd=Path("/")).split()
    assert Path(where).is_relative_to(target)
    assert same == "True"
    help_text = run(
        sys.executable, "-P", "-W", "ignore", "-c",
        f"import sys; sys.path.insert(0, {str(target)!r}); sys.argv = ['robot-rl', '--help']; "
        "from robot_rl.cli.main import main; main()",
        cwd=Path("/"),
    )  # fmt: skip
    assert "train" in help_text
