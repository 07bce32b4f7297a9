"""TorchScript modules as bases: what goes in, what comes out, what is refused."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import ACTION_NAMES, StateSpec
from robot_rl.policies.base.adapters.card import ActionMap
from robot_rl.policies.base.adapters.torchscript import TorchScriptBase
from robot_rl.policies.base.open import open_base
from robot_rl.testing import BasePolicyContract
from tests.policies.base.adapters.foreign import (
    CARD,
    PLAIN_CARD,
    SPEC,
    Plain,
    Seeing,
    noise_for,
    plain_module,
    scripted,
    seeing_module,
    seen_by,
)


class TestSeeingModule(BasePolicyContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self) -> tuple[BasePolicy, StateSpec]:
        path = self.folder / "a.pt"
        return TorchScriptBase(path if path.exists() else seeing_module(path)), SPEC

    def make_other(self) -> BasePolicy:
        return TorchScriptBase(seeing_module(self.folder / "b.pt", seed=1))


class TestPlainModule(TestSeeingModule):
    def make(self) -> tuple[BasePolicy, StateSpec]:
        path = self.folder / "a.pt"
        return TorchScriptBase(path if path.exists() else plain_module(path)), SPEC

    def make_other(self) -> BasePolicy:
        return TorchScriptBase(plain_module(self.folder / "b.pt", seed=1))


def test_inputs_and_actions_are_those_of_the_card(tmp_path: Path) -> None:
    """Parts in the card's order, pictures as CHW in [0, 1], actions in the card's units and dimensions."""
    base = open_base(f"torchscript:{seeing_module(tmp_path / 'a.pt')}")
    seen, noise = seen_by(CARD), noise_for(CARD)
    plans = base.propose(seen, noise)

    rows = torch.tensor(np.stack([np.r_[obs.state[6:], obs.state[:3]] for obs in seen]))
    pictures = torch.tensor(np.stack([obs.images["wrist"] for obs in seen]).transpose(0, 3, 1, 2) / 255.0)
    module = Seeing(0)
    theirs = module(rows.expand(2, -1, -1), pictures.float().expand(2, -1, -1, -1, -1), torch.tensor(noise))
    expected = np.zeros((2, 4, 7), np.float32)
    expected[..., :3] = theirs.detach().numpy()[:, :4, :3] / 0.02
    expected[..., ACTION_NAMES.index("gripper")] = -theirs.detach().numpy()[:, :4, 3]
    np.testing.assert_allclose(plans, expected.clip(-1, 1), atol=1e-5)
    assert (np.abs(plans) == 1.0).any()


def test_the_card_is_part_of_the_checksum(tmp_path: Path) -> None:
    """A module with its gripper turned round is another base."""
    first = TorchScriptBase(seeing_module(tmp_path / "a.pt"))
    turned = replace(CARD, action=replace(CARD.action, scale=(0.02, 0.02, 0.02, 1.0)))
    assert TorchScriptBase(scripted(Seeing(0), tmp_path / "a.pt", turned)).info.checksum != first.info.checksum


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 6}, "6"),
        ({"noise_shape": (0, 0)}, "does not do what its card says"),
        ({"noise_shape": (3, 4)}, "does not do what its card says"),
        ({"action": ActionMap()}, "declares 7 numbers"),
        ({"inputs": {"s": ("tcp_position",)}}, "does not do what its card says"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_on_opening(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = scripted(Seeing(0), tmp_path / "a.pt", replace(CARD, **change))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        TorchScriptBase(path)


class Nonsense(nn.Module):
    def forward(self, state: Tensor) -> Tensor:
        return (state[:, -1:, :1] * torch.nan).expand(-1, 4, 7)


def test_actions_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not finite"):
        TorchScriptBase(scripted(Nonsense(), tmp_path / "a.pt", PLAIN_CARD))


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    path = plain_module(tmp_path / "a.pt")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="TorchScript"):
        TorchScriptBase(path)
    path.unlink()
    with pytest.raises(DataError, match="TorchScript"):
        TorchScriptBase(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ConfigError, match="card"):
        TorchScriptBase(path)


def test_a_pickle_that_names_a_function_runs_nothing(tmp_path: Path) -> None:
    """The archive's pickles are read by an unpickler that knows no Python functions."""
    path, flag = plain_module(tmp_path / "a.pt"), tmp_path / "ran"
    # Written out, since nothing here may import a pickling module: posix.mkdir called with the path.
    name = str(flag).encode()
    evil = b"\x80\x02cposix\nmkdir\nX" + len(name).to_bytes(4, "little") + name + b"\x85R."
    with zipfile.ZipFile(path) as archive:
        files = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for n, data in files.items():
            archive.writestr(n, evil if n.endswith("/data.pkl") else data)
    with pytest.raises(DataError):
        TorchScriptBase(path)
    assert not flag.exists()


def test_plain_actions_need_no_scale(tmp_path: Path) -> None:
    path = plain_module(tmp_path / "a.pt")
    assert json.loads(path.with_suffix(".json").read_text())["action"] == "ours"
    seen = seen_by(PLAIN_CARD)
    row = np.r_[seen[0].state[6:], seen[0].state[:3]]
    theirs = (torch.tensor(row) @ Plain(0).weight).detach().numpy().reshape(4, 7)
    plans = TorchScriptBase(path).propose(seen, noise_for(PLAIN_CARD, 3))
    np.testing.assert_allclose(plans, np.tile(theirs.clip(-1, 1), (3, 1, 1)), atol=1e-5)
