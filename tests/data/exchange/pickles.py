"""Pickles to read: the one place of the tests that writes them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

HIGHEST = pickle.HIGHEST_PROTOCOL


def write_pickle(path: Path, value: Any, protocol: int = 4) -> Path:
    """Write a value as other programs do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def load_unsafely(data: bytes) -> Any:
    """What the standard machine does with it, to show that a gadget is one."""
    return pickle.loads(data)
