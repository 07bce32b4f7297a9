"""Shared pieces of the verbs' argument parsing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from robot_rl.core.errors import ConfigError


def parse(target: Any, argv: Sequence[str], *, verb: str, description: str = "", default: Any = None) -> Any:
    """Parse arguments into a dataclass with tyro.

    Args:
        target: the dataclass.
        argv: arguments after the verb.
        verb: for the usage line.
        description: shown above the options.
        default: values of options that are not given.
    """
    import tyro

    extra = {} if default is None else {"default": default}
    return tyro.cli(target, args=spread_pairs(argv), prog=f"robot-rl {verb}", description=description or None, **extra)


def spread_pairs(argv: Sequence[str], flag: str = "--task-options") -> list[str]:
    """Turn ``--task-options a=1 b=2`` into the ``a 1 b 2`` that the parser takes.

    Raises:
        ConfigError: a value after the flag is not of the form NAME=VALUE.
    """
    out: list[str] = []
    inside = False
    for arg in argv:
        if arg == flag or arg.startswith("-"):
            inside = arg == flag
            out.append(arg)
        elif inside:
            name, sep, value = arg.partition("=")
            if not (sep and name and value):
                raise ConfigError(f"{flag} got {arg!r}, expected NAME=VALUE, for example clearance_mm=0.5")
            out += [name, value]
        else:
            out.append(arg)
    return out


def take_option(argv: list[str], flag: str) -> str | None:
    """Remove ``flag VALUE`` or ``flag=VALUE`` from the arguments and return the value.

    Raises:
        ConfigError: the flag stands last.
    """
    for i, arg in enumerate(argv):
        if arg == flag:
            if i + 1 >= len(argv):
                raise ConfigError(f"{flag} needs a value")
            value = argv[i + 1]
            del argv[i : i + 2]
            return value
        if arg.startswith(f"{flag}="):
            del argv[i]
            return arg.partition("=")[2]
    return None
