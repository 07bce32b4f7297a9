"""``robot-rl data export``, ``robot-rl data import`` and ``robot-rl data convert-encoder``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError, DataError


@dataclass(frozen=True)
class ExportArguments:
    """Write the finished episodes at a path as a LeRobotDataset v3.0, which LeRobot's own reader opens.

    Attributes:
        path: a run, a folder of episodes or one file.
        to: folder of the dataset; it may not exist.
        video: pictures as MP4 videos, smaller and with loss; otherwise as PNG, which an import reads back bit for bit.
        fps: frames a second; None takes the control rate of the first episode.
        robot_type: name of the robot, written into the dataset.
    """

    path: Annotated[Path, tyro.conf.Positional]
    to: Path
    video: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    fps: int | None = None
    robot_type: str | None = None


@dataclass(frozen=True)
class ImportArguments:
    """Write a LeRobotDataset v3.0, or pickles of SERL and HIL-SERL, as episode files.

    What robot-rl exported comes back as it was and needs no further option; other data needs to be told what it is.

    Attributes:
        path: folder of a LeRobot dataset, a .pkl file, or a folder of them.
        to: folder of the episode files; it may not exist.
        mapping: YAML file with any of the options below, and with parts, action_index, action_scale and cameras.
        task: id of the task that the episodes belong to.
        state: columns that make up the state.
        action: column of the action.
        position_m: translation in metres that an action of 1 stood for.
        rotation_rad: rotation in rad that an action of 1 stood for.
        success: column that is above 0.5 where a step succeeded; or all, or none.
        source: whose actions they are; None means demo.
        clip: cut actions to [-1, 1] instead of refusing them.
    """

    path: Annotated[Path, tyro.conf.Positional]
    to: Path
    mapping: Path | None = None
    task: str | None = None
    state: tuple[str, ...] = ()
    action: str | None = None
    position_m: float | None = None
    rotation_rad: float | None = None
    success: str | None = None
    source: Literal["policy", "operator", "demo", "scripted", "sim"] | None = None
    clip: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


@dataclass(frozen=True)
class ConvertEncoderArguments:
    """Write the weight file of the frozen encoder resnet10:FILE of the pickle that SERL published.

    The pickle, resnet10_params.pkl, is read as data: nothing in it is executed, and JAX is not needed.

    Attributes:
        pickle: nested dictionaries of arrays.
        to: the safetensors file; it may not exist.
    """

    pickle: Annotated[Path, tyro.conf.Positional]
    to: Path


def run_export(argv: Sequence[str]) -> int:
    """``robot-rl data export``."""
    a: ExportArguments = parse(ExportArguments, argv, verb="data export")
    if a.fps is not None and a.fps < 1:
        raise ConfigError(f"--fps is {a.fps}, expected at least 1")
    from robot_rl.data.exchange.lerobot_out import export_lerobot

    report = export_lerobot(a.path, a.to, video=a.video, fps=a.fps, robot_type=a.robot_type)
    rest = f"; {report.unfinished} half-written ones left out, see robot-rl data repair" if report.unfinished else ""
    print(f"{report.episodes} episodes, {report.frames} frames at {report.fps} Hz{rest}: {a.to}")
    return 0


def run_import(argv: Sequence[str]) -> int:
    """``robot-rl data import``."""
    a: ImportArguments = parse(ImportArguments, argv, verb="data import")
    from robot_rl.core.config import from_dict, read_yaml
    from robot_rl.data.exchange.foreign import ImportMapping
    from robot_rl.data.exchange.lerobot_in import import_lerobot, is_lerobot
    from robot_rl.data.exchange.serl import import_serl, serl_files

    given = read_yaml(a.mapping) if a.mapping is not None else {}
    options = [f.name for f in fields(ImportArguments) if f.name not in ("path", "to", "mapping")]
    given |= {name: list(v) if isinstance(v, tuple) else v for name in options if (v := getattr(a, name))}
    mapping = from_dict(ImportMapping, given, "mapping") if given else None
    if is_lerobot(a.path):
        report = import_lerobot(a.path, a.to, mapping)
    elif serl_files(a.path):
        if mapping is None:
            raise ConfigError(f"{a.path} does not say what it holds: give --task, --position-m and --rotation-rad")
        report = import_serl(a.path, a.to, mapping)
    else:
        raise DataError(
            f"{a.path} is neither a LeRobot dataset (a folder with meta/info.json) nor a SERL pickle (.pkl)"
        )
    exact = ", every record as it was exported" if report.exact else ""
    rest = f"; {report.left_out} of a single step without a known outcome left out" if report.left_out else ""
    print(f"{report.episodes} episodes, {report.steps} steps{exact}{rest}: {a.to}")
    return 0


def run_convert_encoder(argv: Sequence[str]) -> int:
    """``robot-rl data convert-encoder``."""
    a: ConvertEncoderArguments = parse(ConvertEncoderArguments, argv, verb="data convert-encoder")
    from robot_rl.vision.resnet10_weights import convert_pickle

    done = convert_pickle(a.pickle, a.to)
    left_out = f", {', '.join(done.dropped)} left out" if done.dropped else ""
    known = "the published file" if done.published else "not the published file: features will be others"
    print(f"{done.numbers:,} weights{left_out}: {a.to}")
    print(f"sha256 of {a.pickle}: {done.sha256}, {known}")
    print(f"use it as --pictures.encoder resnet10:{a.to}")
    return 0
