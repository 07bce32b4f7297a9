"""What an episode file says about itself before its first step."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, StateSpec

METADATA_NAME = "robot_rl"
FORMAT = "2"
_LIBRARIES = ("robot-rl", "numpy", "mujoco", "gymnasium", "mcap", "rosbags")


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape an episode; absent ones are left out."""
    out = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


@dataclass(frozen=True)
class EpisodeMeta:
    """Header of an episode file.

    Attributes:
        task: id of the task, the same in every step.
        state_spec: layout of the state rows.
        action_spec: meaning of the actions.
        run_id: which run recorded it.
        seed: with which the episode began.
        versions: of the libraries at the time of writing.
        extra: anything else worth keeping, as strings.
    """

    task: str
    state_spec: StateSpec
    action_spec: ActionSpec
    run_id: str = ""
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=library_versions)
    extra: Mapping[str, str] = field(default_factory=dict)

    def to_strings(self) -> dict[str, str]:
        """As string pairs, structured values as JSON."""
        pairs = {
            "format": FORMAT,
            "task": self.task,
            "run_id": self.run_id,
            "seed": str(self.seed),
            "state_spec": json.dumps(self.state_spec.to_list()),
            "state_checksum": self.state_spec.checksum,
            "action_spec": json.dumps(asdict(self.action_spec)),
            "versions": json.dumps(dict(self.versions)),
            "extra": json.dumps(dict(self.extra)),
        }
        return {**pairs, "checksum": _checksum(pairs)}

    @staticmethod
    def from_strings(pairs: Mapping[str, str]) -> EpisodeMeta:
        """Inverse of `to_strings`.

        Raises:
            DataError: a value is missing or malformed, the format is unknown, or a checksum does not hold.
        """
        if pairs.get("format") != FORMAT:
            raise DataError(f"episode of format {pairs.get('format')!r}, this program reads format {FORMAT!r}")
        if pairs.get("checksum") != _checksum(pairs):
            raise DataError("damaged episode header: its checksum does not hold")
        try:
            action: dict[str, Any] = json.loads(pairs["action_spec"])
            action["active"] = tuple(action["active"])
            meta = EpisodeMeta(
                task=pairs["task"],
                state_spec=StateSpec.from_list(json.loads(pairs["state_spec"])),
                action_spec=ActionSpec(**action),
                run_id=pairs["run_id"],
                seed=int(pairs["seed"]),
                versions=json.loads(pairs["versions"]),
                extra=json.loads(pairs["extra"]),
            )
            checksum = meta.state_spec.checksum
        except (KeyError, TypeError, ValueError) as e:
            raise DataError(f"unreadable episode header: {type(e).__name__} {e}") from e
        if checksum != pairs.get("state_checksum"):
            raise DataError(f"state layout with checksum {checksum}, the header says {pairs.get('state_checksum')}")
        return meta


def _checksum(pairs: Mapping[str, str]) -> str:
    # the header lies outside the checked chunks, and a file that was cut has no checksum over its whole
    kept = sorted((name, value) for name, value in pairs.items() if name != "checksum")
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()[:16]
