"""Frozen encoders: what makes a small map of features of a picture, once, by weights that nothing trains.

A frozen encoder is opened by name on every machine that looks at pictures, from a file of that machine; its weights
never travel and are in no checkpoint. What travels is its checksum, of the weights, the preprocessing and the
version of the code: features of different checksums are never mixed.

Names: ``resnet10:FILE`` a ResNet-10 from a safetensors file (`robot_rl.vision.resnet10`), ``timm:NAME:FILE`` any
backbone of timm with a local weight file, ``open_clip:DIR`` the image tower in a folder as open_clip writes it, and
``random:small[:SEED]`` or ``random:resnet10[:SEED]``, whose weights are generated: a baseline, and for tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import ConfigError, DataError, unknown_name
from robot_rl.core.types import Features, Float32, Image

CODE_VERSION = 1
"""Raised when the same weights come to give other features."""


class FrozenEncoder(Protocol):
    """Pictures in, features out; the same picture gives the same features."""

    @property
    def checksum(self) -> str:
        """Of weights, preprocessing and code."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(h, w, C) of the features of one picture."""
        ...

    def encode(self, images: Image) -> Features:
        """Features of pictures.

        Args:
            images: ``uint8[N, H, W, 3]`` of any size.

        Returns:
            ``float16[N, h, w, C]``.

        Raises:
            DataError: these are no pictures, or the features are not finite.
        """
        ...

    def close(self) -> None:
        """Free the memory. May be called twice."""
        ...


def open_encoder(name: str) -> FrozenEncoder:
    """Open a frozen encoder by its name.

    Args:
        name: ``KIND:REST``, see above.

    Raises:
        ConfigError: unknown kind, a file that is not there, or a library that is not installed; names the extra.
        DataError: the file holds something else.
    """
    kind, _, rest = name.partition(":")
    if kind not in _KINDS:
        raise ConfigError(unknown_name("frozen encoder", kind, [f"{k}:{form}" for k, (_, form) in _KINDS.items()]))
    opener, form = _KINDS[kind]
    if not rest:
        raise ConfigError(f"the frozen encoder {name!r} lacks its part after the colon, expected {kind}:{form}")
    try:
        return opener(rest)
    except ModuleNotFoundError as e:
        raise ConfigError(
            f"the frozen encoder {name!r} needs {e.name}, which is not installed: pip install 'robot-rl[vision]'"
        ) from e


def check_name(name: str) -> None:
    """Check the form of an encoder's name without opening it.

    Raises:
        ConfigError: unknown kind, or nothing after the colon.
    """
    kind, _, rest = name.partition(":")
    if kind not in _KINDS or not rest:
        forms = ", ".join(f"{k}:{form}" for k, (_, form) in _KINDS.items())
        raise ConfigError(f"{name!r} names no frozen encoder, expected one of {forms}")


def weights_checksum(kind: str, weights: Mapping[str, npt.NDArray[np.generic]], preprocessing: str) -> str:
    """Short hash of what features depend on.

    Args:
        kind: of the network, with what else shapes its output.
        weights: arrays by name.
        preprocessing: checksum of the `robot_rl.vision.preprocess.PreprocessSpec`.
    """
    digest = hashlib.sha256(f"{CODE_VERSION} {kind} {preprocessing}".encode())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def read_weights(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Float32]:
    """Arrays of a safetensors file, checked.

    Args:
        path: of the file.
        expected: shapes by name; the file holds exactly these.

    Raises:
        ConfigError: there is no such file.
        DataError: it is no safetensors file, or holds other arrays; names the first that differs.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise ConfigError(f"there is no weight file {path.absolute()}: put it there, or give its path on this machine")
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as e:
        raise DataError(f"{path} is no readable safetensors file: {e}") from e
    return checked_weights(arrays, expected, path)


def checked_weights(
    arrays: Mapping[str, npt.NDArray[np.generic]], expected: Mapping[str, tuple[int, ...]], path: Path
) -> dict[str, Float32]:
    """The arrays of a network as float32.

    Args:
        arrays: by name.
        expected: shapes by name; there are exactly these.
        path: of the file that they come from.

    Raises:
        DataError: there are others, naming the first that differs, or numbers that are not finite.
    """
    for name in sorted(expected.keys() | arrays.keys()):
        got, wanted = arrays.get(name), expected.get(name)
        if got is None or wanted is None or got.shape != wanted:
            have = "nothing" if got is None else str(list(got.shape))
            want = "nothing" if wanted is None else str(list(wanted))
            raise DataError(f"{path} holds {have} as {name!r}, expected {want}: it is of another network")
    out = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    for name, array in out.items():
        if not np.isfinite(array).all():
            raise DataError(f"{path} holds numbers in {name!r} that are not finite: the file is damaged")
    return out


def _open_resnet10(file: str) -> FrozenEncoder:
    from robot_rl.vision.resnet10 import resnet10_encoder
    from robot_rl.vision.resnet10_weights import SHAPES

    return resnet10_encoder(read_weights(Path(file).expanduser(), SHAPES))


def _open_timm(rest: str) -> FrozenEncoder:
    from robot_rl.vision.backbones import timm_encoder

    name, _, file = rest.partition(":")
    if not file:
        raise ConfigError(
            f"timm:{rest} names no weight file, and random weights are not meant: give timm:{name}:FILE, a safetensors "
            "file of that model"
        )
    return timm_encoder(name, Path(file).expanduser())


def _open_clip(folder: str) -> FrozenEncoder:
    from robot_rl.vision.backbones import open_clip_encoder

    return open_clip_encoder(Path(folder).expanduser())


def _open_random(rest: str) -> FrozenEncoder:
    from robot_rl.vision.resnet10 import random_resnet10, resnet10_encoder
    from robot_rl.vision.small import random_small

    network, _, seed = rest.partition(":")
    if network not in ("small", "resnet10") or not (seed.isdecimal() or not seed):
        raise ConfigError(
            f"random:{rest} is no generated encoder, expected random:small[:SEED] or random:resnet10[:SEED]"
        )
    number = int(seed or 0)
    return random_small(number) if network == "small" else resnet10_encoder(random_resnet10(number))


_KINDS: dict[str, tuple[Callable[[str], FrozenEncoder], str]] = {
    "resnet10": (_open_resnet10, "FILE"),
    "timm": (_open_timm, "NAME:FILE"),
    "open_clip": (_open_clip, "DIR"),
    "random": (_open_random, "small[:SEED]"),
}
