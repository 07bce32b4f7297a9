"""What stands in for `lerobot.policies`: an ACT-like policy without noise and a diffusion-like one that also draws."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

STATE, PICTURE = "observation.state", "observation.images.wrist"
CHUNK = 6
FULL_DEFLECTION = 0.02


def record(what: str, **details: Any) -> None:
    if path := os.environ.get("LEROBOT_DOUBLE_RECORD"):
        with Path(path).open("a") as f:
            f.write(json.dumps({"call": what, **details}) + "\n")


def shapes(batch: dict[str, Any]) -> dict[str, Any]:
    return {k: [str(v.dtype), list(v.shape)] if isinstance(v, Tensor) else v for k, v in batch.items()}


class Policy:
    name = ""

    def __init__(self, config: SimpleNamespace, weight: Tensor) -> None:
        self.config, self.weight = config, weight

    @classmethod
    def from_pretrained(
        cls, pretrained_name_or_path: str | Path, *, config: SimpleNamespace | None = None, strict: bool = False
    ) -> Policy:
        assert config is not None
        assert config.device == "cpu"
        print("Loading weights from local directory")  # as the real one does, on standard output
        return cls(config, load_file(Path(pretrained_name_or_path) / "model.safetensors")["weight"])

    def reset(self) -> None:
        record("reset")

    def _plan(self, batch: dict[str, Tensor]) -> Tensor:
        return (batch[STATE].reshape(len(batch[STATE]), -1) @ self.weight).reshape(-1, CHUNK, 4)


class ActPolicy(Policy):
    name = "act"

    def predict_action_chunk(self, batch: dict[str, Tensor]) -> Tensor:
        record("predict_action_chunk", batch=shapes(batch))
        assert batch[STATE].shape == (1, 4)
        return torch.tanh(self._plan(batch))


class DiffusionPolicy(Policy):
    name = "diffusion"

    def predict_action_chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
        record("predict_action_chunk", batch=shapes(batch), noise=None if noise is None else list(noise.shape))
        assert batch[STATE].shape == (1, self.config.n_obs_steps, 4)
        assert batch[PICTURE].shape == (1, self.config.n_obs_steps, 3, 6, 8)
        assert 0 <= batch[PICTURE].min() <= batch[PICTURE].max() <= 1
        assert noise is not None
        drawn = torch.randn(1, CHUNK, 4)
        return torch.tanh(0.1 * self._plan(batch) + batch[PICTURE].mean() - 0.5 + 0.5 * noise + 0.1 * drawn)


def get_policy_class(name: str) -> type[Policy]:
    return {"act": ActPolicy, "diffusion": DiffusionPolicy}[name]


def make_pre_post_processors(
    policy_cfg: SimpleNamespace,
    pretrained_path: str | None = None,
    pretrained_revision: str | None = None,
    *,
    preprocessor_overrides: dict[str, Any],
    postprocessor_overrides: dict[str, Any],
) -> tuple[Callable[[dict[str, Any]], dict[str, Any]], Callable[[Tensor], Tensor]]:
    assert pretrained_path is not None
    assert (Path(pretrained_path) / "policy_preprocessor.json").is_file()
    record("make_pre_post_processors", before=preprocessor_overrides, after=postprocessor_overrides)

    def before(batch: dict[str, Any]) -> dict[str, Any]:
        record("before", batch=shapes(batch))
        return {**batch, STATE: 0.5 * batch[STATE]}

    def after(action: Tensor) -> Tensor:
        assert action.shape == (1, 4)
        return FULL_DEFLECTION * action

    return before, after
