"""A vision-language model of transformers in a folder of this machine: nothing is downloaded and nothing leaves."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.types import Image
from robot_rl.rewards.labeler_cache import AnswerCache, cache_key
from robot_rl.rewards.labelers import INSTRUCTION, Budget, Shown, as_png, read_answer
from robot_rl.rewards.preferences import Answer
from robot_rl.vision.torchvision import ensure_torchvision

MAX_TOKENS = 200
LIKELY = 5


class LocalLabeler:
    """Asks a model of the kind ``image-text-to-text``, greedily, so that the same question has the same answer.

    Args:
        folder: configuration, weights as safetensors, processor with its chat template.
        cache: of earlier answers, asked first.
        budget: that every question is taken from.
        max_tokens: of an answer.

    Raises:
        ConfigError: there is no such folder.
        DataError: it holds something else.
    """

    both_orders = True
    parallel = 1

    def __init__(self, folder: Path, cache: AnswerCache, budget: Budget, *, max_tokens: int = MAX_TOKENS) -> None:
        if not (folder / "config.json").is_file():
            raise ConfigError(
                f"{folder.absolute()} holds no model of transformers: expected a folder with config.json, weights as "
                "safetensors and the processor's files, given with --model"
            )
        ensure_torchvision()
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._folder, self._cache, self._budget, self._max_tokens = folder, cache, budget, max_tokens
        try:
            processor: Any = AutoProcessor
            self._processor: Any = processor.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as e:
            raise DataError(f"{folder} holds no usable vision-language model: {str(e).splitlines()[0]}") from e
        if not getattr(self._processor, "chat_template", None):
            raise DataError(f"the processor in {folder} has no chat template: take a model that was made to be asked")
        self._model: Any = model.eval()
        self._checksum = f"{folder.name}:{_fingerprint(folder)}"

    @property
    def name(self) -> str:
        """Name of the folder."""
        return f"local:{self._folder.name}"

    def ask(self, shown: Shown) -> Answer:
        """Compare once; a known answer comes from the cache.

        Raises:
            Enough: the budget is spent.
        """
        messages, images = chat(shown)
        key = cache_key(self._checksum, messages, {"pictures": [_digest(image) for image in images]})
        known = self._cache.get(key)
        if known is not None:
            return known
        self._budget.take()
        began_s = time.monotonic()
        answer = self._generate(messages, images)
        self._budget.spend(answer.tokens_in, answer.tokens_out)
        answer = replace(answer, calls=1, seconds=time.monotonic() - began_s)
        self._cache.put(key, answer)
        return answer

    def close(self) -> None:
        """Free the weights. May be called twice."""
        self._model = None

    def _generate(self, messages: list[dict[str, Any]], images: list[Any]) -> Answer:
        import torch

        text = self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        inputs = self._processor(text=[text], images=[images], return_tensors="pt")
        with torch.inference_mode():
            out = self._model.generate(
                **inputs,
                do_sample=False,
                max_new_tokens=self._max_tokens,
                output_scores=True,
                return_dict_in_generate=True,
            )
        read = inputs["input_ids"].shape[1]
        new = out.sequences[0, read:]
        tokenizer = self._processor.tokenizer
        likely = [_likely(tokenizer, int(t), s[0]) for t, s in zip(new, out.scores, strict=False)]
        answer = read_answer(tokenizer.decode(new, skip_special_tokens=True), likely)
        return replace(answer, tokens_in=int(read), tokens_out=len(new))


def chat(shown: Shown) -> tuple[list[dict[str, Any]], list[Any]]:
    """The messages of a question, and its pictures in the order in which they stand there."""
    from PIL import Image as Pillow

    def placeholders(clip: tuple[Image, ...]) -> list[dict[str, Any]]:
        return [{"type": "image"} for _ in clip]

    content = [
        {"type": "text", "text": f"A robot is at work. Goal: {shown.goal}\nThe first situation:"},
        *placeholders(shown.first),
        {"type": "text", "text": "The second situation:"},
        *placeholders(shown.second),
        {"type": "text", "text": INSTRUCTION},
    ]
    pictures = [Pillow.open(io.BytesIO(as_png(image))).convert("RGB") for image in (*shown.first, *shown.second)]
    return [{"role": "user", "content": content}], pictures


def _likely(tokenizer: Any, token: int, scores: Any) -> tuple[str, Mapping[str, float]]:
    """A token's text, and the log probabilities of the likeliest at its place."""
    top = scores.float().log_softmax(-1).topk(min(LIKELY, scores.shape[-1]))
    pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return tokenizer.decode([token]), {tokenizer.decode([i]): v for i, v in pairs}


def _digest(picture: Any) -> str:
    return hashlib.sha256(np.asarray(picture).tobytes()).hexdigest()


def _fingerprint(folder: Path) -> str:
    """Names and sizes of the files: another model in the same place has other answers."""
    facts = sorted((p.name, p.stat().st_size) for p in folder.iterdir() if p.is_file())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
