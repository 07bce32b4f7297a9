"""Foreign checkpoints to adapt: small, made on the spot, with answers that can be worked out by hand."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.base.adapters.card import ActionMap, CameraInput, Card, write_card

SPEC = StateSpec(
    (
        Part("tcp_position", 3, "m", scale=0.1),
        Part("tcp_velocity", 3, "m/s", scale=0.1),
        Part("gripper_width", 1, "m", scale=0.04, center=0.04),
    )
)
PICTURE = (6, 8, 3)
CARD = Card(
    name="foreign",
    hz=10.0,
    horizon=4,
    state=SPEC,
    inputs={"observation.state": ("gripper_width", "tcp_position")},
    cameras={"wrist": CameraInput("observation.images.wrist", PICTURE)},
    action=ActionMap(("x", "y", "z", "gripper"), (0.02, 0.02, 0.02, -1.0)),
    observations=2,
    noise_shape=(4, 4),
)
PLAIN_CARD = replace(CARD, name="plain", cameras={}, action=ActionMap(), observations=1, noise_shape=(0, 0))


class Seeing(nn.Module):
    """Looks at state and picture and takes noise; plans one step more than its card uses."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(0.1 * torch.randn((2 * 4, 5 * 4), generator=generator))

    def forward(self, state: Tensor, wrist: Tensor, noise: Tensor) -> Tensor:
        n = state.shape[0]
        plan = torch.matmul(state.reshape(n, -1), self.weight).reshape(n, 5, 4)
        plan = 0.02 * torch.tanh(plan + wrist.mean([1, 2, 3, 4]).reshape(n, 1, 1))
        return plan + 0.01 * torch.nn.functional.pad(noise, [0, 0, 0, 1])


class Plain(nn.Module):
    """State in, our own actions out."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn((4, 4 * 7), generator=generator))

    def forward(self, state: Tensor) -> Tensor:
        return torch.matmul(state[:, -1], self.weight).reshape(state.shape[0], 4, 7)


def scripted(module: nn.Module, path: Path, card: Card) -> Path:
    """Write a module as TorchScript, and its card."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), path)  # type: ignore[no-untyped-call]
    write_card(path.with_suffix(".json"), card)
    return path


def seeing_module(path: Path, seed: int = 0) -> Path:
    return scripted(Seeing(seed), path, CARD)


def plain_module(path: Path, seed: int = 0) -> Path:
    return scripted(Plain(seed), path, PLAIN_CARD)


def lerobot_checkpoint(folder: Path, kind: str, seed: int = 0) -> Path:
    """A folder as `lerobot-train` writes them, for the stand-in of LeRobot beside this file."""
    folder.mkdir()
    history, cameras = (2, CARD.cameras) if kind == "diffusion" else (1, {})
    features = {"observation.state": {"type": "STATE", "shape": [4]}}
    features |= {c.input: {"type": "VISUAL", "shape": [3, 6, 8]} for c in cameras.values()}
    config = {
        "type": kind,
        "n_obs_steps": history,
        "input_features": features,
        "output_features": {"action": {"type": "ACTION", "shape": [4]}},
    }
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        (folder / name).write_text("{}")
    rng = np.random.default_rng(seed)
    save_file({"weight": rng.standard_normal((4 * history, 24)).astype(np.float32)}, folder / "model.safetensors")
    noise = (6, 4) if kind == "diffusion" else (0, 0)
    card = replace(CARD, name=kind, observations=history, cameras=cameras, noise_shape=noise)
    write_card(folder / "robot_rl.json", card)
    return folder


def seen_by(card: Card, seed: int = 0) -> list[Observation]:
    """What such a policy sees."""
    rng = np.random.default_rng(seed)
    pictures = {camera: rng.integers(0, 256, c.shape, np.uint8) for camera, c in card.cameras.items()}
    rows = rng.standard_normal((card.observations, card.state.size)).astype(np.float32)
    return [Observation(row, pictures) for row in rows]


def noise_for(card: Card, proposals: int = 2, seed: int = 1) -> Float32:
    """Noise that it takes."""
    return np.random.default_rng(seed).standard_normal((proposals, *card.noise_shape)).astype(np.float32)
