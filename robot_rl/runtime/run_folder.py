"""The run folder: where everything about one training run lies, and the facts about it in ``run.json``."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from robot_rl.core.config import from_dict, read_yaml, write_yaml
from robot_rl.core.errors import ConfigError, StorageError
from robot_rl.core.specs import ActionSpec, StateSpec
from robot_rl.runtime.config import TrainConfig

PACKAGES = (
    "robot-rl",
    "numpy",
    "jax",
    "optax",
    "torch",
    "mujoco",
    "gymnasium",
    "numba",
    "pyzmq",
    "msgpack",
    "safetensors",
)


class RunConfig(Protocol):
    """What a run folder is named after; the whole configuration is written into it."""

    @property
    def task(self) -> str:
        """Id of the task."""
        ...

    @property
    def seed(self) -> int:
        """Of everything random."""
        ...

    @property
    def out_dir(self) -> Path:
        """Where run folders are made."""
        ...


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run: ``<out_dir>/<task>/<date_time>_seed<k>/``."""

    path: Path

    @property
    def config_file(self) -> Path:
        """The merged configuration, enough to repeat the run."""
        return self.path / "config.yaml"

    @property
    def run_file(self) -> Path:
        """Versions, machine, command, specifications and counters."""
        return self.path / "run.json"

    @property
    def demos(self) -> Path:
        """Demonstrations recorded for this run."""
        return self.path / "demos"

    @property
    def episodes(self) -> Path:
        """Training episodes, the learner's own log: ``<actor>/<number>.mcap``."""
        return self.path / "episodes"

    @property
    def spool(self) -> Path:
        """Spools of the actors that the learner starts itself."""
        return self.path / "spool"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints by update number."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard event files."""
        return self.path / "tb"

    @property
    def videos(self) -> Path:
        """Videos of evaluation episodes."""
        return self.path / "videos"

    @property
    def evaluations_file(self) -> Path:
        """One JSON object per line and evaluation."""
        return self.path / "evaluations.jsonl"

    def config(self) -> TrainConfig:
        """The configuration the run was started with.

        Raises:
            ConfigError: the file is missing or does not describe a training run.
        """
        return from_dict(TrainConfig, read_yaml(self.config_file))

    def info(self) -> dict[str, Any]:
        """The content of ``run.json``.

        Raises:
            ConfigError: the file is missing or damaged.
        """
        try:
            data = json.loads(self.run_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            raise ConfigError(f"{self.run_file} cannot be read as the description of a run: {e}") from e
        if not isinstance(data, dict) or "run_id" not in data:
            raise ConfigError(f"{self.run_file} does not describe a run: it has no run_id")
        return data

    @property
    def run_id(self) -> str:
        """Short name that is unique over all runs; episode ids start with it."""
        return str(self.info()["run_id"])

    def update_info(self, **changes: Any) -> None:
        """Change some entries of ``run.json``; a reader never sees a half-written file.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            replace_text(self.run_file, json.dumps({**self.info(), **changes}, indent=2))
        except OSError as e:
            raise StorageError(f"cannot write {self.run_file}: {e.strerror or e}") from e

    def add_event(self, env_step: int, text: str) -> None:
        """Note in ``run.json`` that something happened to the run besides going on.

        Raises:
            StorageError: it cannot be written.
        """
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        self.update_info(events=[*self.info().get("events", []), {"time": now, "env_step": env_step, "text": text}])


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step: readers see the old content or the new."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def create_run(config: RunConfig, state_spec: StateSpec, action_spec: ActionSpec, hz: float) -> RunFolder:
    """Make a new run folder with its configuration and facts.

    Raises:
        ConfigError: the folder cannot be made.
    """
    parent = config.out_dir / config.task
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_seed{config.seed}"
    run = RunFolder(parent / name)
    try:
        for attempt in range(100):
            if not run.path.exists():
                break
            run = RunFolder(parent / f"{name}_{attempt + 2}")
        for folder in (run.path, run.demos, run.episodes, run.checkpoints, run.tensorboard, run.videos):
            folder.mkdir(parents=True, exist_ok=True)
        write_yaml(config, run.config_file)
        facts = _facts(config, state_spec, action_spec, hz)
        replace_text(run.run_file, json.dumps(facts, indent=2))
    except OSError as e:
        raise ConfigError(f"cannot make the run folder {run.path}: {e.strerror}") from e
    return run


def open_run(path: Path) -> RunFolder:
    """An existing run folder.

    Raises:
        ConfigError: there is no run at this path.
    """
    run = RunFolder(path)
    if not run.config_file.is_file() or not run.run_file.is_file():
        raise ConfigError(f"{path} is not a run folder: it has no {run.config_file.name} and {run.run_file.name}")
    return run


def find_latest(out_dir: Path, task: str) -> RunFolder:
    """The newest run of a task.

    Raises:
        ConfigError: there is none.
    """
    found = sorted(p.parent for p in (out_dir / task).glob("*/run.json"))
    if not found:
        raise ConfigError(f"there is no run of {task} in {out_dir}")
    return RunFolder(found[-1])


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape results."""
    out = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "not installed"
    return out


def machine() -> dict[str, Any]:
    """Processor, cores and system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.machine())


@cache
def git_commit() -> str:
    """Of the program as it was when first asked; empty outside a repository."""
    try:
        out = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return out.stdout.strip()


def _facts(config: RunConfig, state_spec: StateSpec, action_spec: ActionSpec, hz: float) -> dict[str, Any]:
    return {
        "run_id": uuid.uuid4().hex[:8],
        "task": config.task,
        "argv": sys.argv,
        "start": datetime.now().astimezone().isoformat(timespec="seconds"),
        "end": None,
        "status": "running",
        "versions": versions(),
        "git_commit": git_commit(),
        "machine": machine(),
        "hz": hz,
        "state_spec": state_spec.to_list(),
        "state_checksum": state_spec.checksum,
        "action_spec": {
            "position_m": action_spec.position_m,
            "rotation_rad": action_spec.rotation_rad,
            "active": list(action_spec.active),
        },
        "counters": {},
    }
