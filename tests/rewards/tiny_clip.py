"""A CLIP with generated weights in a folder, as open_clip writes it; and episodes whose last frames look different."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.types import Image
from robot_rl.rewards.frames import Clip

MODEL: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
HOME = np.array([0.4, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])


def write_backbone(folder: Path, *, seed: int = 0, preprocess: dict[str, Any] | None = None) -> Path:
    """Write a small model of generated weights."""
    from robot_rl.vision.torchvision import ensure_torchvision

    ensure_torchvision()
    import torch
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = CLIP(MODEL["embed_dim"], CLIPVisionCfg(**MODEL["vision_cfg"]), CLIPTextCfg(**MODEL["text_cfg"]))
    folder.mkdir(parents=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    told = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], "interpolation": "bicubic", **(preprocess or {})}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": told}))
    return folder


def frame(done: bool, rng: np.random.Generator) -> Image:
    """A dim noisy picture, with a bright patch where the task is done."""
    picture = rng.integers(0, 90, (24, 32, 3))
    if done:
        picture[4:16, 8:24] += rng.integers(110, 150)
    return np.asarray(picture, np.uint8)


def clips(n: int = 20, steps: int = 12, *, cameras: tuple[str, ...] = ("side",)) -> list[Clip]:
    """Episodes, every second one a success in its last third."""
    rng = np.random.default_rng(0)
    out = []
    for k in range(n):
        success = np.array([int(k % 2 == 0 and t >= 2 * steps // 3) for t in range(steps + 1)], np.int8)
        images = {c: np.stack([frame(bool(s), rng) for s in success]) for c in cameras}
        reading = {"tcp_x_m": 0.4, "tcp_y_m": 0.0, "tcp_z_m": 0.3, "gripper_width_m": 0.02, "gripper_target_m": 0.0}
        readings = tuple({**reading, "force_n": 0.0, "tcp_z_m": 0.3 + 0.001 * t} for t in range(steps + 1))
        bucket = tuple("success" if s else "approach" for s in success)
        times = np.arange(steps + 1) * 0.1
        out.append(Clip(Path(f"{k}.mcap"), f"episode-{k}", "Toy", images, times, readings, success, bucket))
    return out
