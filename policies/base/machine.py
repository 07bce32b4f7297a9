"""What torch computes with on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from robot_rl.core.errors import ConfigError


def training_device(wanted: str) -> str:
    """A device of torch to train on.

    Args:
        wanted: its name, or ``auto`` for a GPU if there is one.

    Raises:
        ConfigError: there is no such device here.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as e:
        raise ConfigError(f"torch cannot compute on {wanted!r} here: {str(e).splitlines()[0]}") from e
    return wanted


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes with one thread: what a robot's computer spares, and fastest for small networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
