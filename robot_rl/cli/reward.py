"""``robot-rl reward VERB``: models that say whether a task is done, from their pictures to their audit."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from robot_rl.core.errors import ConfigError, unknown_name


class SubVerb(NamedTuple):
    """One verb of ``robot-rl reward``.

    Attributes:
        module: holds the function.
        function: ``run(argv) -> exit code``.
        usage: arguments in short.
        text: what it does.
    """

    module: str
    function: str
    usage: str
    text: str


VERBS = {
    "collect": SubVerb("robot_rl.cli.reward_collect", "run", "TASK --out DIR", "film success, and what only looks so"),
    "train": SubVerb("robot_rl.cli.reward_train", "train", "DIR... --out MODEL", "train a success classifier"),
    "evaluate": SubVerb("robot_rl.cli.reward_train", "evaluate", "MODEL DIR...", "judge it on other episodes"),
    "audit": SubVerb("robot_rl.cli.reward_train", "audit", "MODEL DIR...", "one page about it; fails if it does"),
    "mine": SubVerb("robot_rl.cli.reward_mine", "run", "RUN --model MODEL --out DIR", "find what it got wrong"),
    "progress": SubVerb("robot_rl.cli.reward_progress", "run", "DIR... --out MODEL", "learn how far a task has come"),
    "relabel": SubVerb("robot_rl.cli.reward_relabel", "run", "DATA --model MODEL --name NAME", "judge stored episodes"),
    "vlm": SubVerb("robot_rl.cli.reward_vlm", "run", "text|goal|head|lora ...", "a reward from a CLIP"),
    "prefs": SubVerb("robot_rl.cli.reward_prefs", "run", "PREFS DATA --out MODEL", "a reward from preferences"),
}


def usage() -> str:
    """Text of ``robot-rl reward --help``."""
    width = max(len(f"{name} {verb.usage}") for name, verb in VERBS.items())
    lines = [f"  robot-rl reward {f'{name} {verb.usage}':<{width}}  {verb.text}" for name, verb in VERBS.items()]
    return "\n".join(["usage:", *lines, "", "robot-rl reward VERB --help describes every option."])


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] not in VERBS:
        raise ConfigError(unknown_name("verb of robot-rl reward", argv[0], VERBS))
    verb = VERBS[argv[0]]
    return int(getattr(import_module(verb.module), verb.function)(argv[1:]))
