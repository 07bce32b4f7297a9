"""Rewards of a CLIP through the real library, on generated weights: identities, traps, round trips, learning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.rewards.model_file import load_reward_model, write_model
from robot_rl.rewards.vlm import (
    GOAL_IMAGE,
    TEXT,
    goal_baseline,
    logistic,
    make_similarity,
    mean_unit,
    text_side,
)
from robot_rl.vision.preprocess import PreprocessSpec
from tests.rewards.tiny_clip import HOME, clips, write_backbone

torch = pytest.importorskip("torch")
from robot_rl.rewards.clip_backbone import ClipBackbone, open_backbone  # noqa: E402
from robot_rl.rewards.clip_head import HEAD, LORA  # noqa: E402
from robot_rl.rewards.clip_train import ClipFit, train_head  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_backbone(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Iterator[ClipBackbone]:
    torch.set_num_threads(1)
    opened = open_backbone(folder)
    yield opened
    opened.close()


def units(seed: int, n: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, 16))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_the_formula_and_its_two_ends(seed: int, alpha: float) -> None:
    x = units(seed, 7)
    s, g, b = x[:5], x[5], x[6]
    np.testing.assert_allclose(goal_baseline(s, g, b, 0.0), s @ g, atol=1e-5)  # the cosine
    d = (g - b).astype(np.float64)
    projection = np.outer(d, d) / (d @ d)
    np.testing.assert_allclose(goal_baseline(s, g, b, 1.0), 1 - 0.5 * ((s - g) @ d) ** 2 / (d @ d), atol=1e-5)
    mixed = alpha * projection + (1 - alpha) * np.eye(16)
    expected = 1 - 0.5 * np.square((s - g) @ mixed.T).sum(1)
    np.testing.assert_allclose(goal_baseline(s, g, b, alpha), expected, atol=1e-5)
    assert goal_baseline(g[None], g, b, alpha)[0] == pytest.approx(1.0)
    assert (goal_baseline(s, g, b, alpha) >= goal_baseline(s, g, b, 0.0) - 1e-5).all()


def test_a_baseline_that_is_the_goal_is_refused() -> None:
    g = units(0, 1)[0]
    with pytest.raises(DataError, match="same embedding"):
        goal_baseline(g[None], g, g, 0.5)
    with pytest.raises(DataError, match="alpha is 1.5"):
        goal_baseline(g[None], g, -g, 1.5)
    with pytest.raises(DataError, match="cancel out"):
        mean_unit(np.stack([g, -g]))


def test_loading_is_the_libraries_own_and_never_random(folder: Path, backbone: ClipBackbone, tmp_path: Path) -> None:
    import open_clip

    model = open_clip.create_model_from_pretrained(f"local-dir:{folder}", return_transform=False).eval()
    pictures = clips(1)[0].images["side"]
    from robot_rl.vision.preprocess import preprocess

    with torch.inference_mode():
        x = torch.from_numpy(preprocess(pictures, backbone.spec)).permute(0, 3, 1, 2)
        expected = model.encode_image(x, normalize=True).numpy()
    np.testing.assert_allclose(backbone.encode_images(pictures), expected, atol=1e-5)
    again = open_backbone(folder)
    assert again.checksum == backbone.checksum
    np.testing.assert_array_equal(again.encode_images(pictures), backbone.encode_images(pictures))
    assert open_backbone(write_backbone(tmp_path / "other", seed=1)).checksum != backbone.checksum
    with pytest.raises(DataError, match="use the same folder"):
        open_backbone(folder, "another")


def test_folders_that_are_none(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no open_clip_config\.json"):
        open_backbone(tmp_path)
    bare = write_backbone(tmp_path / "bare")
    (bare / "open_clip_model.safetensors").unlink()
    with pytest.raises(ConfigError, match="holds no weights"):
        open_backbone(bare)
    weights = load_file(folder / "open_clip_model.safetensors")
    weights.pop("visual.proj")
    save_file(weights, bare / "open_clip_model.safetensors")
    with pytest.raises(DataError, match="no usable model"):
        open_backbone(bare)
    (bare / "open_clip_model.safetensors").write_bytes(b"junk")
    with pytest.raises(DataError, match="no usable model"):
        open_backbone(bare)


def test_nothing_is_cut_off_unasked(tmp_path: Path) -> None:
    """A folder whose configuration asks for the shortest side and the centre still shows the whole picture."""
    cutting = open_backbone(write_backbone(tmp_path / "cutting", preprocess={"resize_mode": "shortest"}))
    picture = np.zeros((1, 48, 96, 3), np.uint8)
    marked = picture.copy()
    marked[:, :, :20] = 255  # outside of the square in the centre
    difference = np.abs(cutting.encode_images(picture) - cutting.encode_images(marked)).max()
    assert difference > 1e-3
    centre = replace(cutting.spec, crop=(0.25, 0.0, 0.75, 1.0))
    np.testing.assert_array_equal(cutting.encode_images(picture, centre), cutting.encode_images(marked, centre))


def test_colours_in_the_wrong_order_are_other_pictures(backbone: ClipBackbone) -> None:
    picture = np.zeros((1, 32, 32, 3), np.uint8)
    picture[..., 0] = 255
    cosine = float((backbone.encode_images(picture) * backbone.encode_images(picture[..., ::-1])).sum())
    assert cosine < 0.999
    with pytest.raises(DataError, match="these are no pictures"):
        backbone.encode_images((picture / 255.0).astype(np.float32))  # type: ignore[arg-type]


def test_embeddings_are_made_once(folder: Path, backbone: ClipBackbone, tmp_path: Path) -> None:
    keeping = open_backbone(folder, cache=tmp_path)
    pictures, spec = clips(1)[0].images["side"], backbone.spec
    first = keeping.encode_images(pictures)
    np.testing.assert_array_equal(first, backbone.encode_images(pictures))
    (file,) = tmp_path.iterdir()
    save_file({"embeddings": first + 1}, file)  # what is found is believed
    np.testing.assert_array_equal(keeping.encode_images(pictures), first + 1)
    file.write_bytes(b"cut")
    np.testing.assert_array_equal(keeping.encode_images(pictures), first)
    keeping.encode_images(pictures, replace(spec, crop=(0.0, 0.0, 0.5, 1.0)))
    keeping.encode_images(pictures[1:])
    assert len(list(tmp_path.iterdir())) == 3


def specs(backbone: ClipBackbone) -> dict[str, PreprocessSpec]:
    return {"side": backbone.spec}


def test_a_text_reward_needs_no_words_once_it_is_made(folder: Path, backbone: ClipBackbone, tmp_path: Path) -> None:
    sides = {"side": (text_side(backbone, ["a bright patch"]), text_side(backbone, ["a dark picture"]))}
    bare = [replace(c, success=np.zeros_like(c.success)) for c in clips(4)]
    info, arrays = make_similarity(
        TEXT, backbone, bare, sides, HOME, specs=specs(backbone), alpha=0.5, words={"goal": ["a bright patch"]}
    )
    assert info.gate.on == 1.0
    assert not info.evaluated
    write_model(tmp_path / "model", info, arrays)
    scorer = load_reward_model(tmp_path / "model")
    images = clips(1)[0].images
    s = backbone.encode_images(images["side"])
    expected = 0.5 + 0.5 * goal_baseline(s, *sides["side"], 0.5)
    np.testing.assert_allclose(scorer.score(images)["side"], expected, atol=1e-6)
    with pytest.raises(DataError, match="needs the cameras side"):
        scorer.score({"wrist": images["side"]})
    with pytest.raises(DataError, match="was made for"):
        scorer.score({"side": images["side"][:, 1:]})
    scorer.close()
    (folder / "open_clip_config.json").rename(folder / "away")
    try:
        with pytest.raises(ConfigError, match="holds no open_clip_config"):
            load_reward_model(tmp_path / "model")
    finally:
        (folder / "away").rename(folder / "open_clip_config.json")
    with pytest.raises(DataError, match="only after calibration"):
        make_similarity(
            TEXT, backbone, bare, sides, HOME, specs=specs(backbone), alpha=0.5, words={}, may_end=True
        )  # fmt: skip


def test_a_goal_picture_ranks_and_is_calibrated(backbone: ClipBackbone, tmp_path: Path) -> None:
    episodes = clips(30)
    goal = np.stack([c.images["side"][-1] for c in episodes if c.has_success][:5])
    start = np.stack([c.images["side"][0] for c in episodes][:10])
    sides = {"side": (mean_unit(backbone.encode_images(goal)), mean_unit(backbone.encode_images(start)))}
    made = make_similarity(
        GOAL_IMAGE, backbone, episodes, sides, HOME, specs=specs(backbone), alpha=1.0, words={}, may_end=True
    )
    info, _ = made
    assert info.card["auc"]["side"] > 0.95
    assert info.gate.on < 1.0
    assert info.evaluated
    write_model(tmp_path / "model", *made)
    scorer = load_reward_model(tmp_path / "model")
    p = scorer.score(episodes[0].images)["side"]
    assert p[-1] > 0.5 > p[0]


def test_a_similarity_that_cannot_tell_ends_nothing(backbone: ClipBackbone) -> None:
    rng = np.random.default_rng(1)
    blind = [replace(c, images={"side": rng.integers(0, 255, (13, 24, 32, 3)).astype(np.uint8)}) for c in clips(12)]
    x = backbone.encode_images(blind[0].images["side"])
    with pytest.raises(DataError, match="cannot tell success"):
        make_similarity(
            GOAL_IMAGE, backbone, blind, {"side": (x[0], x[1])}, HOME, specs=specs(backbone), alpha=0.5, words={},
            may_end=True,
        )  # fmt: skip


@given(st.integers(0, 50))
def test_the_logistic_curve_rises_and_meets_in_the_middle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    success = np.arange(60) < 20
    x = rng.normal(size=60) + 2.0 * success
    slope, offset = logistic(x, success)
    assert slope > 0
    assert x[~success].mean() < -offset / slope < x[success].mean()
    assert logistic(-x, success)[0] == 0.0


def test_a_head_learns_from_few_frames(backbone: ClipBackbone, tmp_path: Path) -> None:
    episodes = clips(30)
    info, arrays = train_head(backbone, episodes, HOME, ClipFit(target_fpr=0.05), specs=specs(backbone))
    assert info.kind == HEAD
    assert info.evaluated
    write_model(tmp_path / "model", info, arrays)
    scorer = load_reward_model(tmp_path / "model")
    held = clips(36)[30:]
    p = np.concatenate([scorer.score(c.images)["side"] for c in held])
    success = np.concatenate([c.success for c in held]) == 1
    assert p[success].min() > p[~success].max()
    scorer.close()
    with pytest.raises(DataError, match="five of each"):
        train_head(backbone, episodes[1::2], HOME, ClipFit(target_fpr=0.05), specs=specs(backbone))


def test_adapters_change_what_is_seen_and_are_merged_alike(
    folder: Path, backbone: ClipBackbone, tmp_path: Path
) -> None:
    episodes = clips(40)
    before = backbone.encode_images(episodes[0].images["side"])
    fit = ClipFit(target_fpr=0.05, rank=2, blocks=1, updates=40, batch=8)
    info, arrays = train_head(backbone, episodes, HOME, fit, specs=specs(backbone))
    np.testing.assert_array_equal(backbone.encode_images(episodes[0].images["side"]), before)
    assert info.kind == LORA
    assert {k for k in arrays if k.startswith("lora/")} == {
        f"lora/1.{layer}/{side}" for layer in ("c_fc", "c_proj") for side in ("down", "up")
    }
    assert np.abs(arrays["lora/1.c_fc/up"]).max() > 0
    write_model(tmp_path / "model", info, arrays)
    one, two = load_reward_model(tmp_path / "model"), load_reward_model(tmp_path / "model")
    np.testing.assert_array_equal(one.score(episodes[0].images)["side"], two.score(episodes[0].images)["side"])
    held = clips(46)[40:]
    p = np.concatenate([one.score(c.images)["side"] for c in held])
    success = np.concatenate([c.success for c in held]) == 1
    assert p[success].mean() > 0.5 > p[~success].mean()
    with pytest.raises(DataError, match="at least 300 labelled frames"):
        train_head(backbone, episodes[:15], HOME, fit, specs=specs(backbone))
    with pytest.raises(ConfigError, match="last 3 blocks of the image tower, which has 2"):
        train_head(backbone, episodes, HOME, replace(fit, blocks=3), specs=specs(backbone))
