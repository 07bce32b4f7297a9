"""A LeRobot checkpoint as base policy, run in a process of its own by the Python of LeRobot's environment.

LeRobot wants another Python and another numpy than this package, so it lives in a virtual environment of its own::

    python3.12 -m venv lerobot-env && lerobot-env/bin/pip install 'lerobot[diffusion]'
    export ROBOT_RL_LEROBOT_PYTHON=lerobot-env/bin/python

The checkpoint's folder needs a card ``robot_rl.json``, see `robot_rl.policies.base.adapters.card`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.base.adapters import lerobot_server
from robot_rl.policies.base.adapters.card import read_card
from robot_rl.policies.base.adapters.remote import HttpBase
from robot_rl.policies.base.adapters.wire import KEY_VARIABLE

PYTHON_VARIABLE = "ROBOT_RL_LEROBOT_PYTHON"
END_S = 10.0


class LerobotBase:
    """Starts the server and asks it; implements `robot_rl.core.base.BasePolicy`. The server ends with this process.

    Args:
        folder: of the checkpoint.
        python: interpreter of an environment with LeRobot; None for the one in the variable `PYTHON_VARIABLE`.
        device: for PyTorch there.
        start_s: how long loading may take.
        timeout_s: for one answer.

    Raises:
        ConfigError: the folder holds no checkpoint with a card, or there is no such interpreter.
        DeviceError: the server does not come up; with what it said.
    """

    def __init__(
        self,
        folder: Path,
        *,
        python: str | None = None,
        device: str = "cpu",
        start_s: float = 300.0,
        timeout_s: float = 30.0,
    ) -> None:
        if not (folder / "config.json").is_file():
            raise ConfigError(
                f"{folder} holds no config.json: expected a folder that lerobot-train wrote, pretrained_model"
            )
        read_card(folder / lerobot_server.CARD)
        interpreter = os.environ.get(PYTHON_VARIABLE, "") if python is None else python
        if not interpreter or shutil.which(interpreter) is None:
            raise ConfigError(
                f"got {interpreter or 'no interpreter'!r} to run LeRobot with: set {PYTHON_VARIABLE} to the python of "
                "an environment that has lerobot"
            )
        command = [interpreter, str(Path(lerobot_server.__file__).resolve()), str(folder)]
        # The key is for listening to others; here nobody else is to ask.
        environment = {k: v for k, v in os.environ.items() if k != KEY_VARIABLE}
        self._process = subprocess.Popen(
            [*command, "--port", "0", "--device", device, "--watch-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._base: HttpBase | None = None
        try:
            self._base = HttpBase(self._url(start_s), timeout_s=timeout_s, key="")
        except BaseException:
            self.close()
            raise

    @property
    def info(self) -> BaseInfo:
        """What the card says; the checksum is of all of the checkpoint's files."""
        return self._served.info

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        """Proposals; see `robot_rl.core.base.BasePolicy.propose`."""
        if self._process.poll() is not None:
            raise DeviceError(
                f"the process that runs LeRobot has ended with code {self._process.returncode}: see its output, and "
                "start again"
            )
        return self._served.propose(seen, noise)

    def close(self) -> None:
        """End the server. May be called twice."""
        if self._base is not None:
            self._base.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def _served(self) -> HttpBase:
        if self._base is None:
            raise DeviceError("the process that runs LeRobot was never asked: open the checkpoint again")
        return self._base

    def _url(self, start_s: float) -> str:
        """Where the server listens, which is the first thing it says."""
        out = self._process.stdout
        line = b"" if out is None else _line_within(out, start_s)
        try:
            said = json.loads(line)
        except ValueError:
            said = {}
        if "url" in said:
            return str(said["url"])
        why = said.get("error") or f"no word within {start_s:g} s, or an early end; see its output"
        raise DeviceError(f"the process that runs LeRobot does not come up: {why}")


def _line_within(out: IO[bytes], seconds: float) -> bytes:
    """The first line, or what there is of it when time or the stream ends."""
    deadline_s = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([out], [], [], max(deadline_s - time.monotonic(), 0.0))
        part = os.read(out.fileno(), 4096) if ready else b""
        if not part:
            break
        line += part
    return line
