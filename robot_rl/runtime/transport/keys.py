"""CURVE keys: who may join a learner from another machine.

The learner's folder holds its pair and the public key of every actor it admits; an actor's folder is made beside them
and is copied to the actor's machine as it is::

    DIR/learner.key             public, part of every actor's folder
    DIR/learner.key_secret      stays here
    DIR/authorized/NAME.key     removing it shuts the actor NAME out, adding one lets it in; no restart needed
    DIR/actors/NAME/            learner.key and NAME.key_secret: move this folder to the actor's machine

Each file holds one key in Z85 text. Secret files that others can read are not used.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from robot_rl.core.errors import ConfigError
from robot_rl.runtime.transport.fields import is_name

PUBLIC = ".key"
SECRET = ".key_secret"
LEARNER = "learner"
CREATE = "robot-rl keys create DIR --actor NAME"
_KEY_CHARACTERS = 40


@dataclass(frozen=True)
class LearnerKeys:
    """The learner's pair, and where the public keys of its actors are.

    Attributes:
        folder: see the module's text.
        public: Z85.
        secret: Z85.
    """

    folder: Path
    public: bytes
    secret: bytes = field(repr=False)

    def name_of(self, public: bytes) -> str | None:
        """The actor a public key was authorised for, as the folder says now; None for strangers."""
        for path in sorted((self.folder / "authorized").glob(f"*{PUBLIC}")):
            try:
                if _read(path) == public and is_name(path.stem):
                    return path.stem
            except ConfigError:
                continue  # an unreadable key admits nobody and must not shut out the others
        return None


@dataclass(frozen=True)
class ActorKeys:
    """An actor's pair and the learner's public key.

    Attributes:
        name: under which the learner authorised it.
        public: Z85.
        secret: Z85.
        learner: Z85.
    """

    name: str
    public: bytes
    secret: bytes = field(repr=False)
    learner: bytes = b""


def create_keys(folder: Path, actors: tuple[str, ...] = ()) -> list[Path]:
    """Make the learner's pair if there is none, and a folder for each new actor.

    Args:
        folder: of the learner's keys.
        actors: names of actors that have no keys yet.

    Returns:
        The actors' folders, to be moved to their machines.

    Raises:
        ConfigError: a name is not usable, an actor has keys already, or the disk refuses.
    """
    for name in actors:
        if not is_name(name) or name == LEARNER:
            raise ConfigError(f"an actor cannot be called {name!r}, expected up to 64 letters, digits and _.-")
        if (folder / "authorized" / f"{name}{PUBLIC}").exists() or actors.count(name) > 1:
            raise ConfigError(f"the actor {name!r} has keys in {folder} already: remove them first to make new ones")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / f"{LEARNER}{SECRET}").exists():
            _write_pair(folder, folder, LEARNER)
        learner = load_learner_keys(folder)
        made = []
        for name in actors:
            own = folder / "actors" / name
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "authorized").mkdir(exist_ok=True)
            _write(own / f"{LEARNER}{PUBLIC}", learner.public, 0o644)
            _write_pair(own, folder / "authorized", name)
            made.append(own)
    except OSError as e:
        raise ConfigError(f"cannot write keys to {folder}: {e.strerror}") from e
    return made


def load_learner_keys(folder: Path) -> LearnerKeys:
    """The keys a learner listens with.

    Raises:
        ConfigError: there are none, one is damaged, or others can read the secret.
    """
    secret = _read_secret(folder / f"{LEARNER}{SECRET}")
    return LearnerKeys(folder, zmq.curve_public(secret), secret)


def load_actor_keys(folder: Path) -> ActorKeys:
    """The keys an actor connects with.

    Raises:
        ConfigError: it is no actor's folder, a key is damaged, or others can read the secret.
    """
    found = sorted(folder.glob(f"*{SECRET}")) if folder.is_dir() else []
    if len(found) != 1 or found[0].stem == LEARNER:
        raise ConfigError(f"{folder} is no actor's folder of keys: make one with `{CREATE}` and copy DIR/actors/NAME")
    secret = _read_secret(found[0])
    return ActorKeys(found[0].stem, zmq.curve_public(secret), secret, _read(folder / f"{LEARNER}{PUBLIC}"))


def _write_pair(secret_folder: Path, public_folder: Path, name: str) -> None:
    public, secret = zmq.curve_keypair()
    _write(secret_folder / f"{name}{SECRET}", secret, 0o600)
    _write(public_folder / f"{name}{PUBLIC}", public, 0o644)


def _write(path: Path, key: bytes, mode: int) -> None:
    # The mode is there from the first byte on: no moment in which a secret can be read by others.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(key + b"\n")


def _read(path: Path) -> bytes:
    try:
        key = path.read_bytes().strip()
    except OSError as e:
        raise ConfigError(f"cannot read the key {path}: {e.strerror}; keys are made with `{CREATE}`") from e
    try:
        ok = len(key) == _KEY_CHARACTERS and len(z85.decode(key)) == 32
    except (KeyError, ValueError, OverflowError):
        ok = False
    if not ok:
        raise ConfigError(f"{path} does not hold a key: expected {_KEY_CHARACTERS} characters of Z85 text")
    return key


def _read_secret(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
    except OSError as e:
        raise ConfigError(f"cannot read the key {path}: {e.strerror}; keys are made with `{CREATE}`") from e
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"the secret key {path} can be read by others and is not used: run `chmod 600 {path}`")
    return _read(path)
