"""Making torchvision import beside a torch without CUDA.

The wheels of torchvision on the package index are linked against CUDA. Beside a torch for the processor alone their
compiled part cannot be loaded, and ``import torchvision`` dies because two operators have no schema; whatever imports
torchvision dies with it (timm, open_clip, the image part of transformers). With those two schemas defined everything
works that does not call the operators, and nothing here does.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Literal

from robot_rl.core.errors import ConfigError

_MISSING = ("nms", "qnms")
_kept: list[Any] = []


def ensure_torchvision() -> Literal["native", "stub"]:
    """Call before the first import of torchvision, timm, open_clip or image code of transformers.

    Returns:
        ``native`` if torchvision is whole, ``stub`` if its compiled operators are absent.

    Raises:
        ConfigError: it is not installed; names the extra.
    """
    if _kept:
        return "stub"
    try:
        importlib.import_module("torchvision")
        return "native"
    except ModuleNotFoundError as e:
        raise ConfigError(
            f"{e.name} is not installed: install the extra for pictures, pip install 'robot-rl[vision]'"
        ) from e
    except RuntimeError as e:
        if "torchvision::nms" not in str(e):
            raise
    # what the failed import left behind must not be found by the next one
    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    torch = importlib.import_module("torch")
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _MISSING:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    importlib.import_module("torchvision")
    _kept.append(library)  # the schemas live as long as this object
    return "stub"
