"""``robot-rl keys create DIR``: who may join a learner over a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError, unknown_name

USAGE = """\
usage: robot-rl keys create DIR [--actor NAME ...]   make the learner's keys, and a folder of keys for each actor"""


@dataclass(frozen=True)
class CreateArguments:
    """Make keys for actors on other machines; call it again to add actors.

    Attributes:
        dir: folder of the learner's keys, for `robot-rl train --keys DIR`.
        actor: names of actors; move DIR/actors/NAME to the machine of each, for `robot-rl act --keys`.
    """

    dir: Annotated[Path, tyro.conf.Positional]
    actor: tuple[str, ...] = ()


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    if argv[0] != "create":
        raise ConfigError(unknown_name("verb of robot-rl keys", argv[0], ["create"]))
    a: CreateArguments = parse(CreateArguments, argv[1:], verb="keys create")
    from robot_rl.runtime.transport.keys import create_keys

    made = create_keys(a.dir, a.actor)
    print(f"the learner's keys are in {a.dir}: robot-rl train TASK --listen tcp://HOST:PORT --keys {a.dir}")
    for folder in made:
        print(f"move {folder} to the machine of actor {folder.name}: robot-rl act --learner ... --keys {folder.name}")
    return 0
