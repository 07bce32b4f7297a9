"""``robot-rl base-card TASK FILE``: the card of somebody else's checkpoint, see docs/adapters.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.errors import ConfigError
from robot_rl.runtime.config import Option

if TYPE_CHECKING:
    from robot_rl.core.specs import StateSpec
    from robot_rl.policies.base.adapters.card import ActionMap


@dataclass(frozen=True)
class BaseCardArguments:
    """Write the card that says how somebody else's checkpoint is asked and what its actions are.

    Without --inputs and --cameras it only lists what the task's state is made of.

    Attributes:
        task: id of the task that the checkpoint is to do.
        file: the card: NAME.json beside a TorchScript module NAME.pt, robot_rl.json in a LeRobot checkpoint.
        name: of the checkpoint, for people; empty for the file's.
        inputs: its inputs, each of parts of our state, as observation.state=tcp_position,tcp_velocity.
        cameras: our cameras and its inputs, as wrist=observation.images.wrist.
        image_size: height and width of the pictures, in pixels.
        action: what its numbers are: empty for seven of ours; otherwise which of ours, each with how much of it is full
            deflection of ours, as x=0.02 y=0.02 z=0.02 gripper=-1 (m, rad; negative where the sign differs).
        horizon: actions used of each of its answers.
        observations: how many of the newest it looks at.
        noise: steps and dimensions of the noise of one answer; 0 0 if it takes none.
        words: what it is told to do, if it understands words.
        cell: sim, another bundled cell, or the path of a cell's YAML.
        task_options: options of the task, as NAME=VALUE.
    """

    task: Annotated[str, tyro.conf.Positional]
    file: Annotated[Path, tyro.conf.Positional]
    name: str = ""
    inputs: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    image_size: tuple[int, int] = (128, 128)
    action: tuple[str, ...] = ()
    horizon: int = 16
    observations: int = 1
    noise: tuple[int, int] = (0, 0)
    words: str = ""
    cell: str = IN_PROCESS
    task_options: dict[str, Option] = field(default_factory=dict)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: BaseCardArguments = parse(BaseCardArguments, argv, verb="base-card")
    from robot_rl.envs import make_env
    from robot_rl.policies.base.adapters.card import CameraInput, Card, write_card

    options: dict[str, Any] = dict(a.task_options)
    with closing(make_env(a.task, cell=a.cell, **options)) as env:
        spec, hz = env.state_spec, env.hz
    if not (a.inputs or a.cameras):
        print(f"{a.task} at {hz:g} Hz; parts of the state for --inputs:")
        print("\n".join(_lines(spec)))
        return 0
    card = Card(
        name=a.name or a.file.stem,
        hz=hz,
        horizon=a.horizon,
        state=spec,
        inputs={name: tuple(parts.split(",")) for name, parts in _pairs("--inputs", a.inputs).items()},
        cameras={n: CameraInput(v, (*a.image_size, 3)) for n, v in _pairs("--cameras", a.cameras).items()},
        action=_action(_pairs("--action", a.action)),
        observations=a.observations,
        noise_shape=a.noise,
        task=a.words,
    )
    try:
        write_card(a.file, card)
    except OSError as e:
        raise ConfigError(f"cannot write {a.file}: {e.strerror}") from e
    print(f"wrote {a.file}")
    return 0


def _lines(spec: StateSpec) -> list[str]:
    return [f"  {p.name:24} {p.size} {p.unit}{f', in the frame {p.frame}' if p.frame else ''}" for p in spec.parts]


def _pairs(flag: str, given: Sequence[str]) -> dict[str, str]:
    out = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals and value) or name in out:
            raise ConfigError(f"{flag} got {pair!r}, expected NAME=VALUE, each name once")
        out[name] = value
    return out


def _action(given: Mapping[str, str]) -> ActionMap:
    from robot_rl.policies.base.adapters.card import ActionMap

    if not given:
        return ActionMap()
    try:
        return ActionMap(tuple(given), tuple(map(float, given.values())))
    except ValueError as e:
        raise ConfigError(f"--action got {', '.join(given.values())}, expected numbers, as x=0.02 y=0.02") from e
