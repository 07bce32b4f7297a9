"""A question to a person as HTML: two clips side by side and a button for everything that can be said."""

from __future__ import annotations

import html
import math

from robot_rl.core.types import Image
from robot_rl.rewards.labeler_person import LEFT, RIGHT, SAME, STOP, UNDO, UNKNOWN, Asked
from robot_rl.rewards.labelers import Shown, data_uri

KEYS = {LEFT: "v", SAME: "b", RIGHT: "n", UNKNOWN: "c", UNDO: "u"}
"""Beside each other as the clips are, on every common keyboard, and none of them means anything to a robot."""
_LABELS = {
    LEFT: "The left one",
    RIGHT: "The right one",
    SAME: "About the same",
    UNKNOWN: "Cannot tell",
    UNDO: "Back to the one before",
    STOP: "Stop for now",
}

_STYLE = """
.rrlq{box-sizing:border-box;display:flex;flex-direction:column;gap:10px;padding:12px 16px;height:100%;
 font:15px/1.35 system-ui,sans-serif;background:#1a1d23;color:#e6e8ec}
.rrlq p{margin:0}.rrlq .goal{font-size:18px;font-weight:600;color:#ffd479}
.rrlq .clips{flex:1;min-height:220px;display:grid;grid-template-columns:1fr 1fr;gap:14px}
.rrlq figure{margin:0;min-height:0;display:flex;flex-direction:column;gap:8px;padding:8px;border-radius:8px;
 background:#22262e}
.rrlq .frames{flex:1;min-height:0;display:grid;grid-auto-rows:minmax(0,1fr);gap:4px}
.rrlq img{width:100%;height:100%;min-height:0;object-fit:contain}
.rrlq .others{display:flex;flex-wrap:wrap;gap:8px}
.rrlq button{font:inherit;color:#fff;background:#3a4150;border:1px solid #5b6474;border-radius:6px;padding:9px 14px;
 cursor:pointer}
.rrlq figure button{background:#2f6fde;border-color:#5b8fe8}
.rrlq kbd{margin-left:8px;padding:0 6px;border:1px solid #8b94a5;border-radius:4px;font:12px/1.4 ui-monospace,monospace}
.rrlq .watch{display:none;color:#ffd479}
.rrlq[data-rrl-may=no] button,.rrlq[data-rrl-said] button{opacity:.4;cursor:default}
.rrlq[data-rrl-may=no] .watch{display:block}"""


def question_html(asked: Asked) -> str:
    """What a page shows: a section that says by ``data-rrl-question`` which question it is.

    Its buttons say by ``data-rrl-say`` what they stand for and by ``data-rrl-key`` which key does the same. A page
    that sets ``data-rrl-may=no`` on it says so to those who only look on.
    """
    shown = asked.shown
    undo = [UNDO] if shown.answered else []
    return (
        f'<section class="rrlq" data-rrl-question="{html.escape(asked.id)}"><style>{_STYLE}</style>'
        f"<p>Which of the two is nearer to the goal?{_about(shown)}</p>"
        f'<p class="goal">{html.escape(shown.goal)}</p>'
        f'<div class="clips">{_clip(shown.first, LEFT)}{_clip(shown.second, RIGHT)}</div>'
        f'<div class="others">{"".join(map(_button, (SAME, UNKNOWN, *undo, STOP)))}</div>'
        '<p class="watch">Whoever is in charge answers.</p>'
        f"<p>{shown.answered} of {shown.of} answered</p></section>"
    )


def _about(shown: Shown) -> str:
    return f" Each is {len(shown.first)} pictures, the oldest first." if len(shown.first) > 1 else ""


def _clip(clip: tuple[Image, ...], saying: str) -> str:
    height, width = clip[0].shape[:2]
    columns = max(1, round(math.sqrt(len(clip) * height / width)))  # so that all of them fill about a square
    pictures = "".join(f'<img alt="" src="{data_uri(image)}">' for image in clip)
    frames = f'<div class="frames" style="grid-template-columns:repeat({columns},minmax(0,1fr))">{pictures}</div>'
    return f"<figure>{frames}{_button(saying)}</figure>"


def _button(saying: str) -> str:
    key = KEYS.get(saying)
    by_key = f' data-rrl-key="{key}"' if key else ""
    hint = f"<kbd>{key}</kbd>" if key else ""
    return f'<button type="button" tabindex="-1" data-rrl-say="{saying}"{by_key}>{_LABELS[saying]}{hint}</button>'
