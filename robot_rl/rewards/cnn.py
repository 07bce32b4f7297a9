"""The small networks of the success classifiers, run with numpy alone: a robot PC needs no torch to be rewarded.

A view's network is a stack of 3x3 convolutions of stride 2 with rectifiers, whose last map is flattened, because where
something is decides whether the task is done; then one hidden layer and one logit. On features of a frozen encoder the
convolutions are left out. `robot_rl.rewards.fit` trains the same stack with torch and hands its arrays over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from robot_rl.core.types import Float32

CHANNELS = (12, 24, 48, 48)
HIDDEN = 32
# Pictures that are unfolded at a time; bounds the memory of a long recording.
AT_ONCE = 64


def logits(arrays: Mapping[str, Float32], prefix: str, inputs: Float32) -> Float32:
    """Logit of each input by one member of one view.

    Args:
        arrays: weights; ``<prefix>conv<i>.weight`` is ``[9 cin, cout]``, ``<prefix>dense<i>.weight`` ``[in, out]``.
        prefix: of the member.
        inputs: pictures or feature maps ``float32[N, h, w, c]``.

    Returns:
        ``float32[N]``.
    """
    parts = [inputs[i : i + AT_ONCE] for i in range(0, len(inputs), AT_ONCE)]
    return np.concatenate([_logits(arrays, prefix, part) for part in parts]) if parts else np.zeros(0, np.float32)


def combine(members: Sequence[Float32]) -> Float32:
    """Mean of the members' logits less their standard deviation: what they do not agree about does not count."""
    stacked = np.stack(members)
    return np.asarray(stacked.mean(0) - stacked.std(0), np.float32)


def _logits(arrays: Mapping[str, Float32], prefix: str, x: Float32) -> Float32:
    layer = 0
    while f"{prefix}conv{layer}.weight" in arrays:
        x = _conv(x, arrays[f"{prefix}conv{layer}.weight"], arrays[f"{prefix}conv{layer}.bias"])
        layer += 1
    if f"{prefix}center" in arrays:
        x = (x - arrays[f"{prefix}center"]) * arrays[f"{prefix}gain"]
    hidden = np.maximum(
        x.reshape(len(x), -1) @ arrays[f"{prefix}dense0.weight"] + arrays[f"{prefix}dense0.bias"], np.float32(0)
    )
    out: Float32 = (hidden @ arrays[f"{prefix}dense1.weight"] + arrays[f"{prefix}dense1.bias"])[:, 0]
    return out


def _conv(x: Float32, weight: Float32, bias: Float32) -> Float32:
    """3x3, stride 2, one pixel of padding, rectified; ``[N, h, w, c] -> [N, ceil(h/2), ceil(w/2), cout]``."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    n, h, w = windows.shape[:3]
    out = windows.reshape(n * h * w, -1) @ weight
    out += bias
    np.maximum(out, np.float32(0), out=out)
    return out.reshape(n, h, w, -1)
