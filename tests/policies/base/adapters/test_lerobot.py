"""LeRobot checkpoints in a process of their own, with a stand-in for LeRobot; and the real one where it is installed.

Set ROBOT_RL_LEROBOT_PYTHON to the python of an environment with LeRobot to run the last test.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from robot_rl.core.base import BasePolicy
from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.policies.base.adapters import lerobot_server
from robot_rl.policies.base.adapters.card import ActionMap, CameraInput, Card, read_card, write_card
from robot_rl.policies.base.adapters.lerobot_base import PYTHON_VARIABLE, LerobotBase
from robot_rl.policies.base.adapters.remote import HttpBase
from robot_rl.policies.base.adapters.wire import KEY_VARIABLE
from robot_rl.policies.base.open import open_base
from robot_rl.testing import BasePolicyContract
from tests.policies.base.adapters.foreign import SPEC, lerobot_checkpoint, noise_for, seen_by

DOUBLE = Path(__file__).with_name("lerobot_double")
KINDS = ("act", "diffusion")
KEY = "a key that nobody guesses"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(DOUBLE))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stand-in in this process, where a process of its own would only take time."""
    monkeypatch.syspath_prepend(DOUBLE)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "lerobot"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, int], str]]:
    """Addresses of servers, started as on a machine of their own, by kind of policy and seed of its weights."""
    folder = tmp_path_factory.mktemp("served")
    environment = {**os.environ, KEY_VARIABLE: KEY, "PYTHONPATH": str(DOUBLE)}
    processes = {
        (kind, seed): subprocess.Popen(
            [
                sys.executable,
                str(Path(lerobot_server.__file__).resolve()),
                str(lerobot_checkpoint(folder / f"{kind}{seed}", kind, seed)),
                "--port",
                "0",
            ],
            stdout=subprocess.PIPE,
            env=environment,
        )
        for kind in KINDS
        for seed in (0, 1)
    }
    yield {which: json.loads(p.stdout.readline())["url"] for which, p in processes.items() if p.stdout}
    for process in processes.values():
        process.terminate()
        process.wait(30)
        if process.stdout:
            process.stdout.close()


@pytest.mark.parametrize("kind", KINDS)
class TestServedCheckpoint(BasePolicyContract):
    @pytest.fixture(autouse=True)
    def _choose(self, served: dict[tuple[str, int], str], kind: str) -> None:
        self.urls = [served[kind, seed] for seed in (0, 1)]

    def make(self) -> tuple[BasePolicy, StateSpec]:
        return HttpBase(self.urls[0], key=KEY), SPEC

    def make_other(self) -> BasePolicy:
        return HttpBase(self.urls[1], key=KEY)


def test_a_checkpoint_is_asked_as_lerobot_asks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts and units of the card, processors before and after, first actions of the chunk; and all of it on record."""
    folder, record = lerobot_checkpoint(tmp_path / "act", "act"), tmp_path / "record"
    monkeypatch.setenv("LEROBOT_DOUBLE_RECORD", str(record))
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    base = open_base(f"lerobot:{folder}")
    card = read_card(folder / "robot_rl.json")
    assert base.info == card.info(base.info.checksum)
    (obs,) = seen_by(card)
    record.write_text("")
    plans = base.propose([obs], noise_for(card, 3))

    weight = load_file(folder / "model.safetensors")["weight"]
    theirs = np.tanh(0.5 * np.r_[obs.state[6:], obs.state[:3]] @ weight).reshape(6, 4)[:4]
    expected = np.zeros((3, 4, 7), np.float32)
    expected[..., :3], expected[..., 6] = theirs[:, :3], -0.02 * theirs[:, 3]
    np.testing.assert_allclose(plans, expected, atol=1e-5)
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    assert [c["call"] for c in calls] == ["before", "reset", "predict_action_chunk"]
    assert calls[0]["batch"] == {"observation.state": ["torch.float32", [1, 4]]}
    base.close()
    with pytest.raises(DeviceError, match="ended"):
        base.propose([obs], noise_for(card))
    base.close()


def test_the_noise_is_all_the_randomness(served: dict[tuple[str, int], str], tmp_path: Path) -> None:
    """Also of a policy that draws for itself beside it."""
    card = read_card(lerobot_checkpoint(tmp_path / "d", "diffusion") / "robot_rl.json")
    base = HttpBase(served["diffusion", 0], key=KEY)
    seen, noise = seen_by(card), noise_for(card, 4)
    plans = base.propose(seen, noise)
    assert np.abs(plans[1:] - plans[0]).max() > 1e-3
    np.testing.assert_array_equal(base.propose(seen, noise[::-1].copy()), plans[::-1])
    base.close()


def test_opened_again_it_is_the_same_base(tmp_path: Path, served: dict[tuple[str, int], str]) -> None:
    """And the same as the one served from another folder; other processors would make it another."""
    folder = lerobot_checkpoint(tmp_path / "a", "diffusion")
    local, remote = LerobotBase(folder, python=sys.executable), HttpBase(served["diffusion", 0], key=KEY)
    assert local.info == remote.info
    card = read_card(folder / "robot_rl.json")
    local.close()
    remote.close()
    before = lerobot_server._checksum(folder)
    (folder / "policy_preprocessor.json").write_text('{"steps": []}')
    assert lerobot_server._checksum(folder) not in (before, card.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 7}, "plans 6 steps of 4 numbers, its card says 7"),
        ({"action": ActionMap()}, "its card says 4 of 7"),
        ({"observations": 2}, "looks at 1 observations, not 2"),
        ({"inputs": {"observation.environment_state": ("tcp_position",)}}, "takes"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_on_opening(
    tmp_path: Path, change: dict[str, object], message: str, inside: None
) -> None:
    folder = lerobot_checkpoint(tmp_path / "a", "act")
    card = read_card(folder / "robot_rl.json")
    write_card(folder / "robot_rl.json", replace(card, **change))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        lerobot_server.LerobotPolicy(folder, "cpu").try_out()


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="pretrained_model"):
        LerobotBase(tmp_path)
    folder = lerobot_checkpoint(tmp_path / "a", "act")
    for python in (None, str(tmp_path / "no/python")):
        with pytest.raises(ConfigError, match=PYTHON_VARIABLE):
            LerobotBase(folder, python=python)
    monkeypatch.delenv("PYTHONPATH")
    with pytest.raises(DeviceError, match="No module named 'lerobot'"):
        LerobotBase(folder, python=sys.executable)
    (folder / "robot_rl.json").unlink()
    with pytest.raises(ConfigError, match="card"):
        LerobotBase(folder, python=sys.executable)


def test_who_knows_the_key_comes_in(served: dict[tuple[str, int], str], tmp_path: Path) -> None:
    """Everybody else is sent away; a server without a key keeps to its own machine."""
    card = read_card(lerobot_checkpoint(tmp_path / "a", "act") / "robot_rl.json")
    base = HttpBase(served["act", 0], key=KEY)
    with pytest.raises(DataError, match="refuses"):
        base.propose([Observation(np.zeros(3, np.float32))], noise_for(card))
    base.close()
    for key in ("", "another key of that length"):
        with pytest.raises(DeviceError, match=KEY_VARIABLE):
            HttpBase(served["act", 0], key=key)
    command = [sys.executable, str(Path(lerobot_server.__file__).resolve()), str(tmp_path / "a"), "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert KEY_VARIABLE in json.loads(done.stdout)["error"]


MAKE_REAL = """
import sys, torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies import get_policy_class, make_policy_config, make_pre_post_processors
torch.manual_seed(0)
inputs = {"observation.state": PolicyFeature(FeatureType.STATE, (4,)),
          "observation.images.wrist": PolicyFeature(FeatureType.VISUAL, (3, 96, 96))}
config = make_policy_config("diffusion", input_features=inputs, device="cpu", push_to_hub=False, horizon=16,
    output_features={"action": PolicyFeature(FeatureType.ACTION, (4,))}, n_action_steps=8, down_dims=(32, 64),
    num_inference_steps=4, crop_shape=(84, 84), pretrained_backbone_weights=None)
policy = get_policy_class("diffusion")(config)
numbers = {"min": -torch.ones(4), "max": torch.ones(4)}
colours = {"mean": torch.full((3, 1, 1), 0.5), "std": torch.ones(3, 1, 1)}
stats = {"observation.state": numbers, "observation.images.wrist": colours,
         "action": {"min": -0.02 * torch.ones(4), "max": 0.02 * torch.ones(4)}}
for part in (policy, *make_pre_post_processors(config, dataset_stats=stats)):
    part.save_pretrained(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(PYTHON_VARIABLE not in os.environ, reason=f"{PYTHON_VARIABLE} names no environment with LeRobot")
class TestRealLerobot(BasePolicyContract):
    """A diffusion policy of LeRobot's own, untrained."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PYTHONPATH")
        folder = tmp_path_factory.getbasetemp() / "real"
        self.folders = [folder / name for name in ("a", "b")]
        if not folder.exists():
            for i, made in enumerate(self.folders):
                code = MAKE_REAL.replace("manual_seed(0)", f"manual_seed({i})")
                subprocess.run([os.environ[PYTHON_VARIABLE], "-c", code, str(made)], check=True)
                write_card(made / "robot_rl.json", self.card)

    @property
    def card(self) -> Card:
        cameras = {"wrist": CameraInput("observation.images.wrist", (96, 96, 3))}
        inputs = {"observation.state": ("position", "width")}
        action = ActionMap(("x", "y", "z", "gripper"), (0.02,) * 4)
        spec = StateSpec((Part("position", 3, "m", scale=0.1), Part("width", 1, "m", scale=0.04)))
        return Card("real", 10.0, 8, spec, inputs, cameras, action, observations=2, noise_shape=(16, 4))

    def make(self) -> tuple[BasePolicy, StateSpec]:
        return LerobotBase(self.folders[0]), self.card.state

    def make_other(self) -> BasePolicy:
        return LerobotBase(self.folders[1])

    def make_spec(self) -> StateSpec:
        return self.card.state
