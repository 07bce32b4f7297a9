"""The tree keeps its promises: links, names, who imports whom, sizes, and what must not be in it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("controllers", "envs", "hardware", "policies")
FOLDERS = (*LINKED, "robot_rl", "launch", "tests", "docs", "scripts")
SUBPACKAGES = ("agents", "cli", "console", "core", "data", "evaluation", "rewards", "runtime", "testing", "vision")
MAX_LINES = 400

# Which packages of ours a package may import at all, itself aside. What is absent may import everything.
MAY_IMPORT = {
    "core": set(),
    "controllers": {"core"},
    "hardware": {"core", "controllers"},
    "envs": {"core", "controllers", "hardware"},
    "policies": {"core"},
    "data": {"core", "controllers"},
    "testing": {"core"},
    "agents": {"core", "data", "policies"},
    "vision": {"core", "data"},
    "rewards": {"core", "controllers", "data", "vision"},
    "console": {"core", "controllers", "hardware", "envs", "data", "runtime", "evaluation"},
}
# What the robot PC runs must work without these, so that it need not install them; its nodes need ROS 2 alone.
HEAVY = {"jax", "jaxlib", "flax", "optax", "torch", "rclpy"}
ROS = re.compile(r"hardware/ros/")
BASES = re.compile(r"policies/base/")
ROS_LIBRARIES = {"rclpy", "rcl_interfaces", "builtin_interfaces", "lifecycle_msgs", "std_srvs"} | {
    f"{kind}_msgs" for kind in ("diagnostic", "geometry", "sensor", "std", "trajectory")
}
# Of a robot's own ROS 2 workspace, where that is what drives it; no package index has them.
ROBOT_WORKSPACE = {"controller_manager_msgs", "franka_msgs"}
LIGHT = ("controllers", "core", "data", "envs", "hardware", "policies", "testing")
JAX = {"jax", "jaxlib", "flax", "optax"}
JAX_MODULES = re.compile(r"robot_rl/agents/|robot_rl/runtime/learner/learner")
TORCH = {"torch", "torchvision", "open_clip", "timm", "transformers"}
TORCH_MODULES = re.compile(r"robot_rl/(?:vision|rewards)/|policies/base/")
# Libraries to compare with: their modules run in an environment of the peer's, never in ours.
PEERS = {"gym_hil", "sbx", "stable_baselines3"}
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# The reader of other programs' pickles, which runs nothing of them, and what makes its test files.
READS_PICKLES = {"robot_rl/data/exchange/restricted_pickle.py", "tests/data/exchange/pickles.py"}


def package_files() -> Iterator[Path]:
    """Every module that is installed, by its real path."""
    for folder in (*LINKED, *(f"robot_rl/{p}" for p in SUBPACKAGES)):
        yield from sorted((ROOT / folder).rglob("*.py"))


def python_files() -> Iterator[Path]:
    yield from package_files()
    for folder in ("tests", "launch", "scripts"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def text_files() -> Iterator[Path]:
    """What a reader of the repository sees."""
    yield from (p for p in sorted(ROOT.iterdir()) if p.is_file() and p.suffix != ".pyc")
    for folder in (*FOLDERS, ".ci"):
        for path in sorted((ROOT / folder).rglob("*")):
            hidden = {"__pycache__", ".mypy_cache", "node_modules"} & set(path.parts)
            if path.is_file() and not hidden and path.suffix not in {".png", ".mp4", ".pyc", ".svg"}:
                yield path


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), relative(path))


def type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(tree: ast.AST, *, module_level: bool) -> set[str]:
    """Dotted names of imported modules; at module level only those that importing the file executes."""
    found: set[str] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{a.name}" for a in node.names}
        if module_level and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or type_checking(node)):
            continue
        todo.extend(ast.iter_child_nodes(node))
    return found


def top(names: set[str]) -> set[str]:
    return {n.partition(".")[0] for n in names}


def package_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "robot_rl" else parts[0]


def run_outside(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as a user would: not from the checkout."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", LINKED)
def test_link_resolves_to_the_folder(name: str) -> None:
    link = ROOT / "robot_rl" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert (link / "__init__.py").is_file()


@pytest.mark.parametrize("name", LINKED)
def test_generic_name_is_refused(name: str, tmp_path: Path) -> None:
    """Neither installed under its short name, nor importable twice from the checkout."""
    assert run_outside(tmp_path, f"import {name}").returncode != 0
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert f"import robot_rl.{name}, not {name}" in done.stderr


def test_launch_does_not_shadow_ros() -> None:
    """With an __init__.py, `launch` would hide the ROS 2 package of that name."""
    assert not (ROOT / "launch" / "__init__.py").exists()


def test_ament_names_agree() -> None:
    """Name, marker and share folder of a ROS 2 package are one; its version is ours."""
    package = ET.parse(ROOT / "launch" / "package.xml").getroot()
    name = package.findtext("name")
    assert name == "robot_rl"
    assert (ROOT / "launch" / "resource" / name).is_file()
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert f'"share/{name}/launch" = ["launch/*.launch.py"]' in pyproject
    assert f'\nversion = "{package.findtext("version")}"\n' in pyproject


def test_versions_agree() -> None:
    import robot_rl

    assert f'\nversion = "{robot_rl.__version__}"\n' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_package_imports_only_what_lies_below_it(package: str) -> None:
    wrong = []
    for path in package_files():
        if package_of(path) != package:
            continue
        for name in imports(parse(path), module_level=False):
            parts = name.split(".")
            inside = parts[0] == "robot_rl" and len(parts) > 1 and parts[1] not in MAY_IMPORT[package] | {package}
            if inside and parts[1] != "__version__":
                wrong.append(f"{relative(path)} imports {name}")
    assert not wrong


def test_what_the_robot_pc_runs_imports_no_heavy_library() -> None:
    wrong = [
        f"{relative(path)} imports {sorted(heavy)}"
        for path in package_files()
        if package_of(path) in LIGHT and (heavy := top(imports(parse(path), module_level=True)) & heavy_for(path))
    ]
    assert not wrong


def heavy_for(path: Path) -> set[str]:
    allowed = {"rclpy"} if ROS.match(relative(path)) else {"torch"} if BASES.match(relative(path)) else set()
    return HEAVY - allowed


def test_jax_is_imported_only_where_learning_happens() -> None:
    wrong = [
        f"{relative(path)} imports {sorted(jax)}"
        for path in package_files()
        if not JAX_MODULES.match(relative(path)) and (jax := top(imports(parse(path), module_level=True)) & JAX)
    ]
    assert not wrong


def test_torch_is_imported_only_where_pictures_are_judged_and_base_policies_live() -> None:
    wrong = [
        relative(path)
        for path in package_files()
        if not TORCH_MODULES.match(relative(path)) and top(imports(parse(path), module_level=False)) & TORCH
    ]
    assert not wrong


def test_ros_is_imported_only_by_nodes_and_their_clients() -> None:
    """Everything else works where ROS 2 is not installed; other modules load those lazily."""
    ros = ROS_LIBRARIES | ROBOT_WORKSPACE
    wrong = []
    for path in package_files():
        outside = not ROS.match(relative(path))
        if outside and top(imports(parse(path), module_level=False)) & ros:
            wrong.append(f"{relative(path)} imports ROS 2")
        loaded = imports(parse(path), module_level=True)
        if outside and any(re.match(r"robot_rl\.hardware\.ros\.(?!names|interface)", name) for name in loaded):
            wrong.append(f"{relative(path)} loads a node")
    assert not wrong


def test_acting_loads_no_heavy_library(tmp_path: Path) -> None:
    """The same by running it, which also sees what third-party packages drag in."""
    done = run_outside(
        tmp_path,
        "import sys; import robot_rl.envs, robot_rl.policies.gaussian, robot_rl.data, robot_rl.runtime.collector; "
        f"print(sorted({HEAVY!r} & set(sys.modules)))",
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_nothing_pickles() -> None:
    wrong = []
    for path in python_files():
        tree = parse(path)
        if top(imports(tree, module_level=False)) & PICKLES and relative(path) not in READS_PICKLES:
            wrong.append(f"{relative(path)} imports a pickling module")
        keywords = [n for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg == "allow_pickle"]
        wrong += [f"{relative(path)}:{k.lineno} allows it" for k in keywords if ast.unparse(k.value) != "False"]
    assert not wrong


def test_modules_are_short() -> None:
    long = {relative(p): n for p in python_files() if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert not long


def test_packages_are_complete() -> None:
    """A folder without __init__.py would be left out of the wheel."""
    wrong = {relative(p.parent) for p in package_files() if not (p.parent / "__init__.py").is_file()}
    assert not wrong


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_has_a_short_readme(folder: str) -> None:
    readme = ROOT / folder / "README.md"
    assert readme.is_file()
    assert len(readme.read_text().splitlines()) <= 30


def test_tree_names_no_machine() -> None:
    """Paths of one person's disk do not work on another's."""
    machine = re.compile(r"/(?:work|root|home|Users|mnt|opt)/[\w.~-]")
    wrong = [
        f"{relative(path)}:{i}: {line.strip()[:100]}"
        for path in text_files()
        for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if machine.search(line)
    ]
    assert not wrong


def test_nothing_is_left_unfinished() -> None:
    marker = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|Not" + r"ImplementedError)\b")
    wrong = [
        f"{relative(path)}:{i}: {line.strip()[:100]}"
        for path in text_files()
        for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if marker.search(line)
    ]
    assert not wrong


def test_every_imported_library_is_declared() -> None:
    """What happens to be installed because another library needs it may be gone tomorrow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    of_code = ("exchange", "bench", "franka", "realsense", "spacemouse", "console", "vision")
    declared = project["dependencies"] + [d for e in of_code for d in extras[e]]
    names = {re.split(r"[\[<>=! ]", d)[0].lower() for d in declared} | {"robot_rl"}
    modules = {
        "pyyaml": "yaml", "pyzmq": "zmq", "pillow": "pil", "numba": "llvmlite", "grpcio": "grpc",
        "franky-control": "franky", "open_clip_torch": "open_clip",
    }  # fmt: skip
    allowed = names | {modules[n] for n in names & modules.keys()}
    if {"ros-rclpy", "ros-kilted-common-interfaces"} <= {d.split(";")[0].split(">")[0] for d in extras["ros"]}:
        allowed |= ROS_LIBRARIES | ROBOT_WORKSPACE
    wrong = {
        f"{relative(path)} imports {name}"
        for path in package_files()
        if package_of(path) != "testing"
        for name in top(imports(parse(path), module_level=False)) - sys.stdlib_module_names - PEERS
        if name.lower() not in allowed
    }
    assert not wrong


def test_only_the_console_knows_the_page() -> None:
    """So that everything else works without what draws it."""
    page = {"aiohttp", "trimesh", "viser"}
    wrong = {
        f"{relative(path)} imports {sorted(found)}"
        for path in package_files()
        if package_of(path) != "console" and (found := page & top(imports(parse(path), module_level=False)))
    }
    assert not wrong


def test_constraints_are_plain_pins() -> None:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if not x.startswith("#")]
    assert "torch==2.13.0" in lines
    wrong = [x for x in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[\w.!+]+", x)]
    assert not wrong
