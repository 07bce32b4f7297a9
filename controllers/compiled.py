"""How functions that run every millisecond are compiled: cached on disk, without the interpreter lock."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile with numba when first called; the machine code is cached beside the source file.

    Division by zero gives inf or nan as in numpy, instead of an exception that would need the interpreter.
    """
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))


def source_stamp(*files: str) -> int:
    """Checksum of source files, to be captured by a compiled function that calls into other modules.

    The cache on disk is keyed by a function's own file and captured values only: without the stamp a change in the
    called module would go unnoticed and the old machine code would run.
    """
    return zlib.crc32(b"".join(Path(name).read_bytes() for name in files))
