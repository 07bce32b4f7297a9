"""Who says which of two clips is nearer to the goal, and how an answer in words is read.

Every labeler is asked through `Labeler.ask`. What it cannot or will not answer comes back as such (`refused`,
`nonsense`, `timeout`, `error`): nothing but a clear answer becomes a preference.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.types import Image
from robot_rl.rewards.preferences import EQUAL, FIRST, MAX_WHY, NONSENSE, REFUSED, SECOND, Answer, Pair

LEAST_HEIGHT_PX = 256
"""Smaller pictures are enlarged before somebody looks at them: a patch of a vision model is 14 to 32 pixels wide."""
CLEAR = 0.05
"""A soft answer nearer to 1/2 than this prefers neither."""

INSTRUCTION = """\
Which of the two situations is nearer to the goal? Compare what matters for the goal: where objects and gripper are \
and whether an object is held. Answer with one JSON object and nothing else, in this form:
{"first": "what the first situation shows", "second": "what the second situation shows", "better": N}
where N is 0 if the first situation is nearer to the goal, 1 if the second is, -1 if neither is or you cannot tell."""

_OBJECT = re.compile(r"\{[^{}]*\}", re.DOTALL)
_REFUSAL = re.compile(
    r"\b(?:I(?:['\u2019]m| am) (?:sorry|unable|not able)|I (?:can(?:not|['\u2019]t)|won['\u2019]t)|as an AI)\b", re.I
)


@dataclass(frozen=True)
class Shown:
    """What a labeler is shown of a pair.

    Attributes:
        goal: what is to be achieved, in words.
        first: pictures of the clip that comes first, oldest first, ``uint8[H, W, 3]``, RGB.
        second: pictures of the other.
        pair: which clips they are, in this order.
        answered: pairs of this session that were answered before.
        of: pairs of this session.
    """

    goal: str
    first: tuple[Image, ...]
    second: tuple[Image, ...]
    pair: Pair
    answered: int = 0
    of: int = 0

    def swapped(self) -> Shown:
        """The same in the other order."""
        pair = replace(self.pair, first=self.pair.second, second=self.pair.first)
        return replace(self, first=self.second, second=self.first, pair=pair)


@runtime_checkable
class Labeler(Protocol):
    """Somebody or something that compares."""

    @property
    def name(self) -> str:
        """Stands with every answer, for example ``openai:qwen-vl@localhost``."""
        ...

    @property
    def both_orders(self) -> bool:
        """Whether it may prefer a place and not a picture, so that every pair is asked in both orders."""
        ...

    @property
    def parallel(self) -> int:
        """How many pairs it can be asked about at a time."""
        ...

    def ask(self, shown: Shown) -> Answer:
        """Compare once, in the order that is shown. Called from several threads if `parallel` exceeds one.

        Raises:
            Enough: nothing more will be answered.
            Back: the pair before this one is to be asked again; only from who is asked one pair at a time.
            DeviceError: it cannot be reached or does not let us in, now and until somebody sees to it.
        """
        ...

    def close(self) -> None:
        """Release what it holds. May be called twice."""
        ...


class Enough(Exception):
    """Labelling ends here on purpose: the budget is spent, or the person who answers wants to stop."""


class Back(Exception):
    """Whoever answers takes back the answer before this question."""


class Budget:
    """Counts what is spent; refuses a call that would go beyond.

    Args:
        calls: at most so many questions, retries included; None for any number.
        usd: stop when this much has been spent; None for any amount.
        usd_per_million_in: price of tokens that are read.
        usd_per_million_out: price of tokens that are written.
    """

    def __init__(
        self,
        calls: int | None = None,
        usd: float | None = None,
        usd_per_million_in: float = 0.0,
        usd_per_million_out: float = 0.0,
    ) -> None:
        self._limit, self._usd = calls, usd
        self._prices = usd_per_million_in, usd_per_million_out
        self._lock = threading.Lock()
        self.calls = self.tokens_in = self.tokens_out = 0

    @property
    def spent_usd(self) -> float:
        """What the tokens so far have cost."""
        return (self.tokens_in * self._prices[0] + self.tokens_out * self._prices[1]) / 1e6

    def take(self) -> None:
        """Account for one call before it is made.

        Raises:
            Enough: the budget is spent.
        """
        with self._lock:
            if self._limit is not None and self.calls >= self._limit:
                raise Enough(f"the budget of {self._limit} calls is spent")
            if self._usd is not None and self.spent_usd >= self._usd:
                raise Enough(f"the budget of {self._usd:.2f} USD is spent")
            self.calls += 1

    def spend(self, tokens_in: int, tokens_out: int) -> None:
        """Account for what a call has used."""
        with self._lock:
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out


def soft_answer(p_second: float, why: str = "") -> Answer:
    """An answer from a probability in [0, 1] that the second clip is the better one; near 1/2 it is `EQUAL`."""
    if abs(p_second - 0.5) <= CLEAR:
        return Answer(EQUAL, 0.5, why)
    return Answer(SECOND if p_second > 0.5 else FIRST, p_second, why)


def read_answer(text: str, tokens: Sequence[tuple[str, Mapping[str, float]]] = ()) -> Answer:
    """Read what a language model wrote.

    Args:
        text: all of it.
        tokens: each token of it with the log probabilities of the likeliest tokens at its place; empty where that is
            not known. With them the preference is soft.

    Returns:
        A preference, `EQUAL`, `REFUSED` or `NONSENSE`.
    """
    found = [data for match in _OBJECT.findall(text) if isinstance(data := _json(match), dict)]
    if not found:
        return Answer(REFUSED if _REFUSAL.search(text) else NONSENSE, None, _short(text))
    better = found[-1].get("better")
    if isinstance(better, bool) or better not in (0, 1, -1):
        return Answer(NONSENSE, None, _short(text))
    why = _short(" / ".join(str(found[-1][k]) for k in ("first", "second", "why") if k in found[-1]))
    if better == -1:
        return Answer(EQUAL, 0.5, why)
    p = _soft(int(better), tokens)
    return Answer(SECOND if better else FIRST, float(better) if p is None else p, why)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_WHY else flat[: MAX_WHY - 1] + "\u2026"


def _soft(better: int, tokens: Sequence[tuple[str, Mapping[str, float]]]) -> float | None:
    """Share of "1" in what stands where the digit after the last "better" is; None if it contradicts the digit."""
    before = ""
    place: Mapping[str, float] | None = None
    for text, likely in tokens:
        if text.strip(' "') == str(better) and re.search(r'"better"\s*:\s*"?\s*$', before + text.rstrip("01").rstrip()):
            place = likely
        before += text
    if place is None:
        return None
    mass = [sum(math.exp(v) for t, v in place.items() if t.strip(' "') == digit) for digit in ("0", "1")]
    p = mass[1] / sum(mass) if sum(mass) > 0.0 else 0.5
    return p if (p > 0.5) == bool(better) and p != 0.5 else None


def as_png(image: Image) -> bytes:
    """A picture ``uint8[H, W, 3]`` (RGB) as PNG, enlarged to `LEAST_HEIGHT_PX` rows if it has fewer.

    Raises:
        DataError: it is no picture.
    """
    from PIL import Image as Pillow

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"this is no picture: got {image.dtype}{list(image.shape)}, expected uint8[H, W, 3]")
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    if picture.height < LEAST_HEIGHT_PX:
        scale = LEAST_HEIGHT_PX / picture.height
        picture = picture.resize((max(1, round(picture.width * scale)), LEAST_HEIGHT_PX), Pillow.Resampling.BICUBIC)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def data_uri(image: Image) -> str:
    """A picture as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(as_png(image)).decode()
