"""``robot-rl reward collect TASK --out DIR``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.config import Option

if TYPE_CHECKING:
    from robot_rl.runtime.collector import Collector
    from robot_rl.runtime.filming import Filmed


@dataclass(frozen=True)
class CollectArguments:
    """Film frames for a success classifier: success, and everything that only looks like it.

    Without a device, scripted behaviours do it in simulation, judged by the simulator's truth: the expert who succeeds
    and stays, who stops short, who flies off with an empty hand, who drops it again, and aimless motion. With a device
    you drive and say what is to be seen: hold `success` while the task is done; tap `failure` when it nearly was (the
    last second counts as a near miss), twice to take back what was said about the last second. `abort` ends an episode,
    `discard` throws it away, `end` ends the session. Everything not marked is taken for not done.

    Attributes:
        task: id of the task.
        out: folder of the episodes; numbering goes on after those that exist.
        success_frames: wanted; 50 to 200, with at least five episodes of success in different places.
        cameras: through which the classifier may look.
        image_size: side of the pictures in pixels, in simulation.
        randomise: how far the simulated scene looks different from episode to episode: none, lights, lab, wild.
        seed: of initial states and behaviours.
        task_options: options of the task, as NAME=VALUE.
        cell: as in robot-rl demos record.
        device: what you hold, as in robot-rl demos record; None for the scripted behaviours.
        mode: of the device, as in robot-rl demos record.
    """

    task: Annotated[str, tyro.conf.Positional]
    out: Path
    success_frames: Annotated[int, Range(1, 100_000)] = 200
    cameras: tuple[str, ...] = ("wrist", "side")
    image_size: Annotated[int, Range(16, 2048)] = 128
    randomise: str = "none"
    seed: Annotated[int, Range(0)] = 0
    task_options: dict[str, Option] = field(default_factory=dict)
    cell: str = IN_PROCESS
    device: str | None = None
    mode: Literal["hold", "latch"] = "hold"

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: CollectArguments = parse(CollectArguments, argv, verb="reward collect")
    if not a.cameras:
        raise ConfigError("--cameras is empty: a classifier needs pictures")
    from robot_rl.envs import make_env
    from robot_rl.envs.judging import NeverDone
    from robot_rl.runtime.paced import Paced

    options: dict[str, Any] = dict(a.task_options)
    if a.cell == IN_PROCESS:
        options |= {"image_size": (a.image_size, a.image_size), "randomise": a.randomise}
    with ExitStack() as stack:
        env = make_env(a.task, cell=a.cell, cameras=a.cameras, detector=NeverDone(), **options)
        stack.enter_context(closing(env))
        filmed = _scripted(a, env, options) if a.device is None else _by_hand(a, Paced(env))
    print()
    print(f"{filmed.episodes} episodes, {filmed.success} frames of success, {filmed.other} others: {a.out}")
    return 0


def _scripted(a: CollectArguments, env: Any, options: dict[str, Any]) -> Filmed:
    from robot_rl.envs.behaviours import BEHAVIOURS, Behaviour
    from robot_rl.runtime.filming import film_behaviours

    if env.cell.unseen or env.cell.placed_by_person:
        raise ConfigError(f"the cell {a.cell} does not know where its objects are, so drive yourself: --device NAME")

    def tell(filmed: Filmed) -> None:
        print(f"\r{filmed.success}/{a.success_frames} frames of success, {filmed.other} others", end="", flush=True)

    told = {name: value for name, value in options.items() if name != "image_size"}
    return film_behaviours(
        env,
        lambda kind, rng: Behaviour(env, kind, rng),
        BEHAVIOURS,
        success_frames=a.success_frames,
        seed=a.seed,
        folder=a.out,
        task_options=told,
        on_episode=tell,
    )


def _by_hand(a: CollectArguments, env: Any) -> Filmed:
    from robot_rl.hardware.devices import describe_teleop, open_teleop
    from robot_rl.runtime.filming import film_by_hand

    assert a.device is not None
    said = [""]

    def tell(collector: Collector, filmed: Filmed) -> None:
        text = collector.prompt or f"{filmed.success}/{a.success_frames} frames of success, {filmed.other} others"
        if text != said[0]:
            print(f"\r{text}", end="", flush=True)
        said[0] = text

    print(describe_teleop(a.device))
    print("hold success: it is done   tap failure: nearly   tap it twice: take back   abort: next episode   end: stop")
    with closing(open_teleop(a.device, mode=a.mode)) as device:
        return film_by_hand(env, device, success_frames=a.success_frames, seed=a.seed, folder=a.out, on_step=tell)
