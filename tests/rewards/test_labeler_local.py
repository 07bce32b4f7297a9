"""A model of transformers in a folder, generated small: the real classes load it, generate, and are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.rewards.labeler_cache import AnswerCache
from robot_rl.rewards.labelers import Budget, Enough, Labeler
from robot_rl.rewards.preferences import Pair
from tests.rewards.chat_server import grey_clip, show

torch = pytest.importorskip("torch")
from robot_rl.rewards.labeler_local import LocalLabeler, chat  # noqa: E402

PAIR = Pair(grey_clip(10), grey_clip(200))
TEMPLATE = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} ASSISTANT: {% endif %}"
)


def write_model(folder: Path) -> Path:
    """A small LLaVA over bytes with generated weights."""
    from robot_rl.vision.torchvision import ensure_torchvision

    ensure_torchvision()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for name in ("<s>", "</s>", "<pad>", "<image>"):
        vocabulary[name] = len(vocabulary)
    bytes_ = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    text = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=vocabulary["<s>"],
        eos_token_id=vocabulary["</s>"], pad_token_id=vocabulary["<pad>"],
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision, text_config=text, image_token_index=vocabulary["<image>"], image_seq_length=4,
            vision_feature_layer=-1, vision_feature_select_strategy="default",
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size), tokenizer=tokenizer,
        patch_size=16, vision_feature_select_strategy="default", chat_template=TEMPLATE, num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_what_a_model_babbles_is_nonsense(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = write_model(tmp_path / "babbles")
    labeler = LocalLabeler(folder, AnswerCache(tmp_path / "cache"), Budget(calls=2), max_tokens=6)
    assert isinstance(labeler, Labeler)
    answer = labeler.ask(show(PAIR))
    assert (answer.outcome, answer.p_second, answer.calls, answer.tokens_out) == ("nonsense", None, 1, 6)
    assert answer.tokens_in > 400  # the words of the question, letter by letter, and both pictures
    labeler.ask(show(PAIR))
    with pytest.raises(Enough):
        labeler.ask(show(PAIR))
    labeler.close()
    labeler.close()


def test_folders_that_are_none(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "cache")
    with pytest.raises(ConfigError, match="holds no model of transformers"):
        LocalLabeler(tmp_path, cache, Budget())
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataError, match="no usable vision-language model"):
        LocalLabeler(tmp_path, cache, Budget())


def test_pictures_stand_in_the_order_of_the_question() -> None:
    messages, pictures = chat(show(PAIR))
    kinds = [part["type"] for part in messages[0]["content"]]
    assert kinds == ["text", "image", "text", "image", "text"]
    assert [picture.getpixel((0, 0))[0] for picture in pictures] == [10, 200]
