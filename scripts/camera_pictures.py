"""Draw the pictures of docs/imperfections.md: randomised scenes, and what a camera adds to pictures.

Usage: .venv/bin/python scripts/camera_pictures.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from robot_rl.core.errors import RobotRlError
from robot_rl.core.imperfections import FRANKA, Imperfections
from robot_rl.core.types import Image
from robot_rl.envs import make_env
from robot_rl.hardware.imperfect.optics import draw_optics, expose

IMAGES = Path(__file__).parents[1] / "docs" / "images"
EFFECTS = {
    "nothing": Imperfections(),
    "exposure": Imperfections(camera_exposure_stops=1.0),
    "white balance": Imperfections(camera_white_balance=0.3),
    "vignetting": Imperfections(camera_vignetting=0.9),
    "blur": Imperfections(camera_blur_px=3.0),
    "motion blur": Imperfections(camera_motion_blur_px=12.0),
    "noise": Imperfections(camera_shot_noise=0.08, camera_read_noise=0.003),
    "JPEG": Imperfections(camera_jpeg=12),
    "all of franka": replace(Imperfections(), **{n: v for n, v in vars(FRANKA).items() if n.startswith("camera_")}),
}


def main() -> None:
    """Write both pictures into docs/images."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for preset in ("lights", "lab", "wild"):
        sheet([(f"{preset} {seed}", scene(preset, seed)) for seed in range(8)], 4, IMAGES / f"randomise_{preset}.png")
    plain = scene("none", 0)
    shown = []
    for name, settings in EFFECTS.items():
        # What is drawn uniformly from nothing to the setting is shown at the setting.
        tint = settings.camera_white_balance
        optics = draw_optics(settings, np.random.default_rng(11))
        optics = replace(
            optics,
            stops=settings.camera_exposure_stops,
            drift_stops=0.0,
            gains=(1.0 + tint, 1.0, 1.0 - tint),
            vignetting=settings.camera_vignetting,
            blur_px=settings.camera_blur_px,
        )
        shown.append((name, expose(plain, settings, optics, 0.4)))
    sheet(shown, 3, IMAGES / "camera_effects.png")


def scene(preset: str, seed: int) -> Image:
    """The side camera's picture of one start state under the look of a seed."""
    with closing(make_env("PickCube", cameras=("side",), image_size=(192, 192), randomise=preset)) as env:
        start = env.task.sample_start(np.random.default_rng(0))
        obs, _ = env.reset(seed=seed, options={"start": start})
        image: Image = obs["images"]["side"]
        return image


def sheet(pictures: Sequence[tuple[str, Image]], columns: int, path: Path) -> None:
    """Write pictures with their names, `columns` a row."""
    height, width, _ = pictures[0][1].shape
    rows = -(-len(pictures) // columns)
    out = Pillow.new("RGB", (columns * (width + 6) - 6, rows * (height + 22)), (255, 255, 255))
    draw = ImageDraw.Draw(out)
    for n, (name, image) in enumerate(pictures):
        x, y = n % columns * (width + 6), n // columns * (height + 22)
        draw.text((x + 2, y + 4), name, fill=(40, 44, 52))
        out.paste(Pillow.fromarray(image), (x, y + 18))
    out.save(path, "PNG")
    print(path)


if __name__ == "__main__":
    try:
        main()
    except RobotRlError as e:
        sys.exit(str(e))
