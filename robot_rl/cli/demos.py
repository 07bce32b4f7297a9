"""``robot-rl demos record TASK`` and ``robot-rl demos inspect PATH``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.config import Range, check_ranges, to_dict
from robot_rl.core.crops import CROPS, Crop, check_crops
from robot_rl.core.errors import ConfigError, DataError, unknown_name
from robot_rl.core.imperfections import env_options
from robot_rl.core.randomisation import RANDOMISE, read_randomisation
from robot_rl.runtime.config import Option

if TYPE_CHECKING:
    from robot_rl.runtime.collector import Collector
    from robot_rl.runtime.demos import DemoReport
    from robot_rl.runtime.environment import Env
USAGE = """\
usage: robot-rl demos record TASK [--n 20] [--out DIR]   record demonstrations from the task's scripted expert
       robot-rl demos record TASK --device spacemouse    record yours
       robot-rl demos record TASK --policy RUN           record those of a trained policy, to be cloned
       robot-rl demos inspect PATH                       what an episode file or a folder of them holds"""


@dataclass(frozen=True)
class RecordArguments:
    """Record successful demonstrations of the task's scripted expert, of a policy, or yours, without failed attempts.

    For learning from stored data of mixed quality, --careless and --keep-failures make such data.

    With a device, the arm waits after each reset until you take over, so there is no hurry and nothing to confirm. An
    attempt ends when the task is done, by the clock, or when you say so: success, failure, discard, abort. One that ran
    out of time can be called a success for two more seconds. docs/devices.md shows keys, buttons and axes.

    With a policy, what it does can be cloned into another one that sees other things: give --cameras, --randomise lab
    for pictures of many looks, and --task-options observe_objects=False if the other one is not told where the objects
    are. See docs/residual_ppo.md.

    Attributes:
        task: id of the task.
        n: demonstrations to record.
        out: folder of the files; None means demos/TASK. Numbering goes on after files that exist.
        seed: of initial states and of the expert's noise.
        task_options: options of the task, as NAME=VALUE.
        randomise: how far the simulated scene looks different from episode to episode: none, lights, lab, wild.
        crops: left, top, width, height by camera: the part of its picture, taken as 640 x 480 pixels, that is
            recorded; robot-rl crop finds them.
        cell: where to demonstrate: sim for the simulation in this process, ros for the same as ROS 2 nodes in real
            time, another bundled cell, or the path of a cell's YAML. The expert must see there where the objects are.
        device: what you hold: spacemouse, gamepad, gamepad:/dev/input/js1, keyboard, or several joined by a plus sign;
            console for the browser of a `robot-rl console` of this machine; None for the scripted expert.
        policy: folder of a run or checkpoint whose policy demonstrates, without exploring; task options of its run hold
            unless others are given.
        cameras: names of those whose pictures are recorded, too.
        careless: share of the scripted expert's attempts in which it aims 4 cm to one side of where things are.
        keep_failures: write failed attempts too, of the scripted expert or the policy; n then counts all attempts.
        mode: of the device: hold takes over while it is moved or its button held; latch until the button is pressed
            again.
    """

    task: Annotated[str, tyro.conf.Positional]
    n: int = 20
    out: Path | None = None
    seed: int = 0
    task_options: dict[str, Option] = field(default_factory=dict)
    randomise: str = "none"
    crops: dict[str, Crop] = field(default_factory=dict)
    cell: str = IN_PROCESS
    device: str | None = None
    policy: Path | None = None
    cameras: tuple[str, ...] = ()
    mode: Literal["hold", "latch"] = "hold"
    careless: Annotated[float, Range(0.0, 1.0)] = 0.0
    keep_failures: bool = False

    def __post_init__(self) -> None:
        """Check what only fits together.

        Raises:
            ConfigError: the share is no share, a person is asked to err, or several are to demonstrate.
        """
        check_ranges(self)
        if self.device is not None and (self.careless or self.keep_failures):
            raise ConfigError("--careless and --keep-failures are for the scripted expert: leave out --device")
        if self.policy is not None and (self.careless or self.device is not None):
            raise ConfigError("a policy demonstrates alone: leave out --device and --careless, or --policy")


@dataclass(frozen=True)
class InspectArguments:
    """Say what episode files hold, and whether they are whole.

    Attributes:
        path: a file (.mcap or .mcap.partial), or a folder of them.
    """

    path: Annotated[Path, tyro.conf.Positional]


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    verbs = {"record": _record, "inspect": _inspect}
    if argv[0] not in verbs:
        raise ConfigError(unknown_name("verb of robot-rl demos", argv[0], verbs))
    return verbs[argv[0]](argv[1:])


def _record(argv: Sequence[str]) -> int:
    a: RecordArguments = parse(RecordArguments, argv, verb="demos record")
    if a.n < 1:
        raise ConfigError(f"--n is {a.n}, expected at least 1")
    from robot_rl.envs import make_env, make_expert
    from robot_rl.envs.experts import CARELESS
    from robot_rl.runtime.demos import record_demos
    from robot_rl.runtime.paced import Paced

    folder = a.out if a.out is not None else Path("demos") / a.task
    options = _env_options(a)
    common: dict[str, Any] = {"n": a.n, "seed": a.seed, "folder": folder, "task_options": options}
    common["on_episode"] = lambda kept, failed: print(f"\r{kept}/{a.n} recorded, {failed} failed", end="", flush=True)
    with ExitStack() as stack:
        if a.policy is not None:
            report = _by_policy(a, a.policy, common)
        elif a.device is None:
            env = stack.enter_context(closing(make_env(a.task, cell=a.cell, cameras=a.cameras, **options)))
            report = record_demos(
                env,
                lambda rng: make_expert(env, rng, CARELESS if a.careless and rng.random() < a.careless else None),
                keep_failures=a.keep_failures,
                **common,
            )
        else:
            from robot_rl.runtime.attend.recorder import CONSOLE

            by_hand = _by_browser if a.device == CONSOLE else _by_device
            made = make_env(a.task, cell=a.cell, cameras=a.cameras, **options)
            report = by_hand(a, stack.enter_context(closing(Paced(made))), common)
    print()
    failures = f" ({report.failed} of them failed)" if a.keep_failures else ""
    minutes = report.robot_s / 60
    print(f"{report.kept} demonstrations{failures}, {report.steps} steps, {minutes:.1f} robot minutes: {folder}")
    return 0


def _env_options(a: RecordArguments) -> dict[str, Any]:
    """Options of the environment, as they go into the episodes' headers; imperfections may be among the task's."""
    looks = to_dict({RANDOMISE: read_randomisation(a.randomise), CROPS: check_crops(a.crops)})
    return {**a.task_options, **env_options(looks)}


def _by_policy(a: RecordArguments, path: Path, common: dict[str, Any]) -> DemoReport:
    from robot_rl.envs import make_env
    from robot_rl.evaluation.checkpoints import load_saved_policy
    from robot_rl.runtime.based import on_base
    from robot_rl.runtime.demos import record_policy
    from robot_rl.runtime.pictures import picture_options

    saved = load_saved_policy(path)
    if saved.task != a.task:
        raise ConfigError(f"the policy of {path} was trained on {saved.task}, not {a.task}")
    options = {**saved.task_options, **common["task_options"]}
    told = {**options, "observe_objects": saved.task_options.get("observe_objects", True)}
    seen = picture_options(saved.pictures, a.cameras, own_size=a.cell == IN_PROCESS)
    made = make_env(a.task, cell=a.cell, **seen, **told)
    hidden = () if options.get("observe_objects", True) else tuple(part.name for part in made.task.parts)
    with closing(on_base(saved.base, made)) as env:
        if saved.state_checksum and env.state_spec.checksum != saved.state_checksum:
            raise DataError(
                f"the policy of {path} expects the state layout {saved.state_checksum}, but {a.task} has "
                f"{env.state_spec.checksum}: {', '.join(env.state_spec.slices)}"
            )
        how: dict[str, Any] = {**common, "task_options": options, "keep_failures": a.keep_failures}
        return record_policy(env, saved.policy, without=hidden, **how)


def _by_device(a: RecordArguments, env: Env, common: dict[str, Any]) -> DemoReport:
    from robot_rl.hardware.devices import describe_teleop, open_teleop
    from robot_rl.runtime.demos import record_by_hand

    assert a.device is not None
    print(describe_teleop(a.device))
    with closing(open_teleop(a.device, mode=a.mode)) as device:
        return record_by_hand(env, device, on_step=_Prompter().tell, **common)


class _Prompter:
    """Prints what a person is asked to do, once."""

    def __init__(self) -> None:
        self._said = ""

    def tell(self, collector: Collector) -> None:
        if collector.prompt and collector.prompt != self._said:
            print(f"\r{collector.prompt}", flush=True)
        self._said = collector.prompt


def _by_browser(a: RecordArguments, env: Env, common: dict[str, Any]) -> DemoReport:
    from robot_rl.runtime.attend.recorder import record_for_guests

    return record_for_guests(env, **common)


def _inspect(argv: Sequence[str]) -> int:
    a: InspectArguments = parse(InspectArguments, argv, verb="demos inspect")
    from robot_rl.data.episode_log import read_episode

    paths = _files(a.path)
    steps = successes = 0
    for path in paths:
        episode = read_episode(path)
        records = episode.records
        helped = sum(r.intervention for r in records)
        steps, successes = steps + len(records), successes + episode.success
        sources = "+".join(sorted({r.source.name.lower() for r in records}))
        print(
            f"{path.name}: {episode.meta.task}, {len(records)} steps, {'success' if episode.success else 'no success'} "
            f"({records[-1].stop_reason}), {sources}, {helped} operator steps"
        )
    print(f"{len(paths)} episodes, {successes} successful, {steps} steps, {steps / len(paths):.1f} steps on average")
    return 0


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted([*path.glob("*.mcap"), *path.glob("*.mcap.partial")]) if path.is_dir() else []
    if not found:
        raise DataError(f"there is no episode file at {path}")
    return found
