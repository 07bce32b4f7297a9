"""``robot-rl crop``: choose what part of a camera's picture a policy sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.config import Range, check_ranges
from robot_rl.core.crops import Crop
from robot_rl.core.errors import ConfigError, DataError, unknown_name
from robot_rl.runtime.config import Option

if TYPE_CHECKING:
    from robot_rl.evaluation.region_sheet import View
    from robot_rl.evaluation.region_views import Sight
    from robot_rl.hardware.cell.description import CameraConfig

USUAL_CAMERAS = ("side", "wrist")


@dataclass(frozen=True)
class CropArguments:
    """Show what cameras see with rulers, and what a network sees of a region; write it as a PNG and print the options.

    Simulated pictures are 640 x 480 pixels here, as regions of simulated cameras are given. Recorded episodes of the
    simulator are repeated for it. Pictures of other episodes are taken as they were recorded.

    Attributes:
        source: id of a task, whose scripted expert then acts; an episode file or a folder of them; or a cell's name or
            YAML, whose cameras are opened without their crop, or whose task is simulated if it is simulated.
        cameras: their names; by default side and wrist, and all of episodes and cells.
        roi: left, top, width, height by camera in the pixels of the rulers: a region to look at.
        auto: propose the smallest square that keeps tool and objects in view where their places are known, and
            everything that moves where they are not. Cameras named in roi keep theirs.
        margin: of a proposed region on each side, as a share of it.
        size: height and width in pixels of what the network sees.
        episodes: how many to look at.
        seed: of the first initial state, for a task.
        task_options: options of the task, as NAME=VALUE.
        cell: YAML of the cell on which episodes were recorded; the region is then also given in its cameras' pixels.
        seconds: for how long the cameras of a cell are watched.
        out: the picture to write.
    """

    source: Annotated[str, tyro.conf.Positional]
    cameras: tuple[str, ...] = ()
    roi: dict[str, Crop] = field(default_factory=dict)
    auto: bool = False
    margin: Annotated[float, Range(0.0, 1.0)] = 0.1
    size: Annotated[int, Range(16, 1024)] = 128
    episodes: Annotated[int, Range(1, 1000)] = 3
    seed: Annotated[int, Range(0)] = 0
    task_options: dict[str, Option] = field(default_factory=dict)
    cell: Path | None = None
    seconds: Annotated[float, Range(0.1, 600.0)] = 5.0
    out: Path = Path("crop.png")

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: CropArguments = parse(CropArguments, argv, verb="crop")
    from robot_rl.evaluation.region_sheet import View, write_sheet

    sights, simulated, described = _look(a)
    for name in a.roi:
        if name not in sights:
            raise ConfigError(unknown_name("camera of --roi", name, sights))
    views = [
        View(
            name,
            sight.frames[len(sight.frames) // 2],
            _region(a, name, sight),
            sight.usual,
            np.empty((0, 2)) if sight.pixels is None else sight.pixels,
        )
        for name, sight in sights.items()
    ]
    print(f"{write_sheet(views, a.size, a.out)}: rulers in pixels; dots are corners of tool and objects")
    print("\n".join(_text(view, a.size) for view in views))
    if simulated:
        flags = " ".join(f"{v.name} {' '.join(map(str, v.region))}" for v in views)
        print(f"in simulation, for robot-rl train and robot-rl demos record: --crops {flags}")
    if simulated or described:
        print("in a cell's YAML:\ncameras:")
    for view in views:
        region = _on_device(view, described[view.name]) if view.name in described else view.region
        if simulated or view.name in described:
            print(f"  {view.name}:\n    crop: {list(region)}")
    return 0


def _look(a: CropArguments) -> tuple[dict[str, Sight], bool, Mapping[str, CameraConfig]]:
    """What the cameras see, whether it was simulated, and the cameras of the cell in whose pixels a crop is wanted."""
    from robot_rl.data.episode_log import PARTIAL, SUFFIX
    from robot_rl.envs.tasks import TASKS
    from robot_rl.evaluation.region_views import sights_of_devices, sights_of_task
    from robot_rl.hardware.cell.description import load_cell

    usual = a.cameras or USUAL_CAMERAS
    if a.source in TASKS:
        return sights_of_task(a.source, a.task_options, usual, episodes=a.episodes, seed=a.seed), True, {}
    path = Path(a.source)
    if path.is_dir() or path.name.endswith((SUFFIX, PARTIAL)):
        return _look_at_episodes(a, path)
    config = load_cell(a.source)
    if config.simulated:
        options = {**config.task_options, **a.task_options}
        views = a.cameras or tuple(dict.fromkeys(c.view for c in config.cameras.values())) or usual
        return sights_of_task(config.task, options, views, episodes=a.episodes, seed=a.seed), True, {}
    wanted = a.cameras or tuple(config.cameras)
    for name in wanted:
        if name not in config.cameras:
            raise ConfigError(unknown_name("camera of the cell", name, config.cameras))
    if not wanted:
        raise ConfigError(f"the cell {a.source} has no cameras")
    chosen = {name: config.cameras[name] for name in wanted}
    # They are opened as they are, so that the pixels at hand are those of the device.
    whole = {name: replace(camera, crop=None, image_size=None) for name, camera in chosen.items()}
    return sights_of_devices(chosen, a.seconds), False, whole


def _look_at_episodes(a: CropArguments, path: Path) -> tuple[dict[str, Sight], bool, Mapping[str, CameraConfig]]:
    from robot_rl.data.catalog import find_episodes
    from robot_rl.data.episode_log import read_episode
    from robot_rl.evaluation.region_views import sights_of_records, sights_of_repetition
    from robot_rl.hardware.cell.description import load_cell
    from robot_rl.runtime.repeat import read_repeat_facts

    episodes = [read_episode(file, strict=False) for file in find_episodes(path)[: a.episodes]]
    if len({episode.meta.task for episode in episodes}) > 1:
        raise DataError(f"{path} holds episodes of several tasks: give a folder of one of them")
    described = {} if a.cell is None else load_cell(a.cell).cameras
    try:
        facts = [read_repeat_facts(episode.meta)[1] for episode in episodes]
    except DataError:
        return sights_of_records(episodes, a.cameras), False, described
    if any(options != facts[0] for options in facts):
        raise DataError(f"{path} holds episodes recorded with different options: give a folder of one kind")
    recorded = tuple(sorted({name for e in episodes for r in e.records[:1] for name in r.obs.images}))
    return sights_of_repetition(episodes, a.cameras or recorded or USUAL_CAMERAS), True, {}


def _region(a: CropArguments, name: str, sight: Sight) -> Crop:
    from robot_rl.evaluation.regions import check_region, enclosing_region, moving_pixels

    height, width = sight.frames[0].shape[:2]
    if name in a.roi:
        return check_region(name, a.roi[name], height, width)
    if not a.auto:
        return sight.usual
    pixels = moving_pixels(sight.frames) if sight.pixels is None else sight.pixels
    return enclosing_region(pixels, height, width, a.margin)


def _text(view: View, size_px: int) -> str:
    height, width = view.image.shape[:2]
    left, top, wide, high = view.region
    relative = ", ".join(f"{v:.4f}" for v in (left / width, top / height, wide / width, high / height))
    gain = min(view.usual[2] / wide, view.usual[3] / high)
    return (
        f"{view.name}: left {left}, top {top}, width {wide}, height {high} of {width}x{height}; relative [{relative}]; "
        f"things are {gain:.2f} times as large at {size_px} px as without it"
    )


def _on_device(view: View, camera: CameraConfig) -> Crop:
    from robot_rl.evaluation.regions import region_in

    shown = camera.crop or (0, 0, camera.width, camera.height)
    return region_in(view.region, (view.image.shape[0], view.image.shape[1]), shown)
