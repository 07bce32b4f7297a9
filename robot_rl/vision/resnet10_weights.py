"""The weight file of the ResNet-10: which arrays it holds, and how it is made of the file that SERL published.

That file is a pickle of nested dictionaries of JAX arrays, under the names that are used here, with the head of the
classifier that the network was trained as. It is read as data (`robot_rl.data.exchange.restricted_pickle`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError, StorageError
from robot_rl.data.exchange.restricted_pickle import load_plain
from robot_rl.vision.frozen import checked_weights

WIDTHS = (64, 128, 256, 512)
HEAD = "output_head"
PUBLISHED_SHA256 = "175745d43d30233eb01b5369465d1c24c11b8ee71ccb734cc1c1bca13e07f57b"
"""Of ``resnet10_params.pkl`` in the release ``resnet10`` of SERL."""


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"conv_init/kernel": (7, 7, 3, WIDTHS[0])}
    norms = {"norm_init": WIDTHS[0]}
    before = WIDTHS[0]
    for i, width in enumerate(WIDTHS):
        block = f"ResNetBlock_{i}"
        shapes[f"{block}/Conv_0/kernel"] = (3, 3, before, width)
        shapes[f"{block}/Conv_1/kernel"] = (3, 3, width, width)
        norms |= {f"{block}/MyGroupNorm_0": width, f"{block}/MyGroupNorm_1": width}
        if before != width:
            shapes[f"{block}/conv_proj/kernel"] = (1, 1, before, width)
            norms[f"{block}/norm_proj"] = width
        before = width
    return shapes | {f"{name}/{part}": (width,) for name, width in norms.items() for part in ("scale", "bias")}


SHAPES = _shapes()
"""Of every array in a weight file, by name; 4,905,792 numbers in all."""


class Converted(NamedTuple):
    """What became of a pickle.

    Attributes:
        sha256: of the pickle.
        published: it is the file that SERL published.
        numbers: how many weights were written.
        dropped: names of arrays that no encoder needs.
    """

    sha256: str
    published: bool
    numbers: int
    dropped: tuple[str, ...]


def convert_pickle(source: Path, target: Path) -> Converted:
    """Write the weight file ``resnet10:FILE`` of a pickle of nested dictionaries; nothing in that is executed.

    Args:
        source: the pickle.
        target: the safetensors file; it may not exist.

    Raises:
        DataError: the target exists, the pickle cannot be read as data, or it holds other arrays than those of `SHAPES`
            and the head.
        StorageError: the disk refuses.
    """
    from safetensors.numpy import save

    if target.exists():
        raise DataError(f"{target} exists already and is not overwritten: remove it or choose another file")
    arrays = dict(_leaves(load_plain(source), "", source))
    dropped = tuple(sorted(name for name in arrays if name.split("/")[0] == HEAD))
    weights = checked_weights({n: a for n, a in arrays.items() if n not in dropped}, SHAPES, source)
    blob = save({name: np.ascontiguousarray(array) for name, array in weights.items()})
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(blob)
        part.replace(target)
    except OSError as e:
        raise StorageError(f"cannot write {target}: {e.strerror or e}") from e
    with open(source, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Converted(sha256, sha256 == PUBLISHED_SHA256, sum(a.size for a in weights.values()), dropped)


def _leaves(tree: Any, prefix: str, source: Path) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The arrays of nested dictionaries, names joined by slashes."""
    if isinstance(tree, np.ndarray):
        yield prefix, tree
    elif isinstance(tree, Mapping):
        for key, inner in tree.items():
            yield from _leaves(inner, f"{prefix}/{key}" if prefix else str(key), source)
    else:
        where = f"as {prefix[:100]!r}" if prefix else "as a whole"
        raise DataError(f"{source} holds a {type(tree).__name__} {where}, expected nested dictionaries of arrays")
