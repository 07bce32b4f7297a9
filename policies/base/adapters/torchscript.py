"""A TorchScript module as base policy: ``NAME.pt`` with its card ``NAME.json``.

The module is called with one tensor for each input of the card, in the card's order, then one for each camera, then the
noise if the card has any, all ``float32`` on the CPU with one row for each proposal::

    forward(input [n, observations, size], ..., picture [n, observations, 3, h, w] in [0, 1], ...,
            noise [n, *noise_shape]) -> actions [n, at least horizon, dims]

Row i of the answer must depend on row i of the inputs alone, and on nothing from earlier calls. Normalisation belongs
in the module, units and signs of its actions in the card.

A TorchScript file is a program. `torch.jit.load` reads the pickles in its archive with an unpickler of its own that
knows tensors, plain values and the archive's own classes and runs no Python function that they name; but the code in
the archive runs, and TorchScript's operators can read and write files. Load what you would run.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from robot_rl.core.base import BaseInfo
from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.base.adapters.asked import Asked, ask, check_plans, check_question
from robot_rl.policies.base.adapters.card import Card, read_card


class TorchScriptBase:
    """Runs a TorchScript module; implements `robot_rl.core.base.BasePolicy`. Asked once on opening, with zeros.

    Args:
        path: of the module; its card lies beside it.

    Raises:
        ConfigError: there is no such file, no usable card, or the module does not do what the card says.
        DataError: the file is no TorchScript module.
    """

    def __init__(self, path: Path) -> None:
        self._card = read_card(path.with_suffix(".json"))
        self._path = path
        self._module = _load(path)
        meaning = json.dumps(self._card.to_json(), sort_keys=True).encode()
        self._info = self._card.info(hashlib.sha256(path.read_bytes() + meaning).hexdigest()[:16])
        self._try()

    @property
    def info(self) -> BaseInfo:
        """What the card says."""
        return self._info

    def propose(self, seen: Sequence[Observation], noise: Float32) -> Float32:
        """Proposals; see `robot_rl.core.base.BasePolicy.propose`."""
        asked = ask(self._info, seen, noise)
        check_question(self._info, asked, self._card.state.size)
        return self._answer(asked)

    def close(self) -> None:
        """Nothing is held but memory."""

    def _answer(self, asked: Asked) -> Float32:
        n, card = asked.proposals, self._card
        tensors = [_repeated(value, n) for value in inputs_of(card, asked)]
        if card.noise_shape != (0, 0):
            tensors.append(torch.from_numpy(asked.noise.copy()))
        # The optimising executor computes differently once it has seen a shape twice.
        with torch.inference_mode(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            try:
                answer = self._module(*tensors)
            except RuntimeError as e:
                raise DeviceError(f"{self._path} fails: {_last_line(e)}") from e
        if not isinstance(answer, torch.Tensor) or answer.ndim != 3 or answer.shape[1] < card.horizon:
            got = list(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
            raise DeviceError(
                f"{self._path} answers with {got}, expected [{n}, {card.horizon}, {len(card.action.dims)}]"
            )
        theirs = answer[:, : card.horizon].to(torch.float32).numpy()
        return check_plans(self._info, card.action.ours(theirs), n, str(self._path))

    def _try(self) -> None:
        card = self._card
        asked = Asked(
            np.zeros((card.observations, card.state.size), np.float32),
            np.zeros((2, *card.noise_shape), np.float32),
            {name: np.zeros((card.observations, *c.shape), np.uint8) for name, c in card.cameras.items()},
        )
        try:
            self._answer(asked)
        except (DataError, DeviceError) as e:
            raise ConfigError(f"the module does not do what its card says: {e}") from e


def inputs_of(card: Card, asked: Asked) -> list[Float32]:
    """The question as the policy takes it: state inputs ``[observations, size]``, then pictures in [0, 1], CHW."""
    where = card.state.slices
    rows = [np.concatenate([asked.state[:, where[p]] for p in parts], axis=1) for parts in card.inputs.values()]
    pictures = [np.moveaxis(asked.pictures[c], -1, 1).astype(np.float32) / np.float32(255) for c in card.cameras]
    return [*rows, *pictures]


def _repeated(value: Float32, n: int) -> torch.Tensor:
    return torch.from_numpy(np.repeat(value[None], n, axis=0))


def _load(path: Path) -> torch.jit.ScriptModule:
    try:
        with warnings.catch_warnings():
            # Its makers want users to move to torch.export, whose files this adapter does not read.
            warnings.simplefilter("ignore", DeprecationWarning)
            module: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as e:
        raise DataError(f"{path} is no TorchScript module: {_last_line(e)}") from e
    return module.eval()


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
