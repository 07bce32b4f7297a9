"""Draw the pictures of the README: the simulated cell, and the learning curve of a run.

Usage: .venv/bin/python scripts/pictures.py RUN
"""

from __future__ import annotations

import sys
from pathlib import Path

from robot_rl.core.errors import RobotRlError
from robot_rl.evaluation.figures import plot_learning_curve, render_cell_picture

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def main(run: str) -> None:
    """Write both pictures into docs/images.

    Args:
        run: folder of a finished run.
    """
    IMAGES.mkdir(parents=True, exist_ok=True)
    print(render_cell_picture("PickCube", IMAGES / "cell.png", 960, 540))
    print(plot_learning_curve(Path(run), IMAGES / "learning_curve.png"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except RobotRlError as e:
        sys.exit(str(e))
