"""Frozen encoders: the real networks with generated weights, written to files and opened again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.vision.frozen import FrozenEncoder, check_name, open_encoder

torch = pytest.importorskip("torch")


def _pictures(n: int = 3, size: int = 128) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from robot_rl.vision.resnet10 import random_resnet10

    path = tmp_path_factory.mktemp("weights") / "resnet10.safetensors"
    save_file(random_resnet10(3), path)
    return path


@pytest.fixture(scope="module")
def timm_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from robot_rl.vision.torchvision import ensure_torchvision

    pytest.importorskip("timm") if ensure_torchvision() == "native" else None
    import timm

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    model = timm.create_model("test_vit", pretrained=False)
    save_file({k: v.numpy() for k, v in model.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from robot_rl.vision.torchvision import ensure_torchvision

    ensure_torchvision()
    import open_clip

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
    text = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    model = open_clip.CLIP(24, vision, text)
    save_file({k: v.numpy() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}})
    )
    return folder


@pytest.fixture(params=["random:small", "random:resnet10:1", "resnet10", "timm", "open_clip"])
def encoder(request: pytest.FixtureRequest) -> FrozenEncoder:
    name = str(request.param)
    if name == "resnet10":
        name = f"resnet10:{request.getfixturevalue('resnet')}"
    elif name == "timm":
        name = f"timm:test_vit:{request.getfixturevalue('timm_file')}"
    elif name == "open_clip":
        name = f"open_clip:{request.getfixturevalue('clip_folder')}"
    return open_encoder(name)


def test_features_have_the_shape_that_is_said_and_tell_pictures_apart(encoder: FrozenEncoder) -> None:
    features = encoder.encode(_pictures())
    assert features.shape == (3, *encoder.shape) and features.dtype == np.float16
    assert np.isfinite(features).all()
    assert not np.array_equal(features[0], features[1])
    np.testing.assert_array_equal(features, encoder.encode(_pictures()))
    encoder.close()
    encoder.close()
    with pytest.raises(DataError, match="closed"):
        encoder.encode(_pictures())


def test_the_company_of_other_pictures_makes_no_difference(encoder: FrozenEncoder) -> None:
    together = encoder.encode(_pictures())
    alone = np.concatenate([encoder.encode(p[None]) for p in _pictures()])
    np.testing.assert_allclose(together.astype(np.float32), alone.astype(np.float32), rtol=0.05, atol=0.05)


def test_resnet10_makes_four_by_four_by_512(resnet: Path) -> None:
    encoder = open_encoder(f"resnet10:{resnet}")
    assert encoder.shape == (4, 4, 512)
    from robot_rl.vision.resnet10_weights import SHAPES

    assert sum(int(np.prod(shape)) for shape in SHAPES.values()) == 4_905_792 and len(SHAPES) == 36


def test_resnet10_is_the_network_that_the_weights_were_trained_with(resnet: Path) -> None:
    """Written a second time in JAX, whose "SAME" padding those weights know."""
    import jax

    from robot_rl.vision.preprocess import PreprocessSpec, preprocess
    from robot_rl.vision.resnet10 import GROUPS, random_resnet10
    from robot_rl.vision.resnet10 import resnet10 as ours
    from robot_rl.vision.resnet10_weights import WIDTHS

    weights = random_resnet10(3)
    x = preprocess(_pictures(2), PreprocessSpec(128))

    def conv(x: jax.Array, name: str, stride: int, padding: str | list[tuple[int, int]] = "SAME") -> jax.Array:
        kernel = weights[f"{name}/kernel"]
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def norm(x: jax.Array, name: str) -> jax.Array:
        n, h, w, c = x.shape
        grouped = x.reshape(n, h * w, GROUPS, c // GROUPS)
        mean = grouped.mean((1, 3), keepdims=True)
        variance = grouped.var((1, 3), keepdims=True)
        flat = ((grouped - mean) / (variance + 1e-5) ** 0.5).reshape(n, h, w, c)
        return flat * weights[f"{name}/scale"] + weights[f"{name}/bias"]

    y = jax.nn.relu(norm(conv(x, "conv_init", 2, [(3, 3), (3, 3)]), "norm_init"))
    y = jax.lax.reduce_window(y, -np.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    for i in range(len(WIDTHS)):
        block, stride = f"ResNetBlock_{i}", 1 if i == 0 else 2
        z = jax.nn.relu(norm(conv(y, f"{block}/Conv_0", stride), f"{block}/MyGroupNorm_0"))
        z = norm(conv(z, f"{block}/Conv_1", 1), f"{block}/MyGroupNorm_1")
        if i:
            y = norm(conv(y, f"{block}/conv_proj", stride), f"{block}/norm_proj")
        y = jax.nn.relu(y + z)
    tensors = {
        k: torch.from_numpy(np.ascontiguousarray(v.transpose(3, 2, 0, 1) if v.ndim == 4 else v))
        for k, v in weights.items()
    }
    theirs = ours(tensors, torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(theirs, np.asarray(y), atol=2e-3, rtol=1e-3)


def test_checksums_tell_weights_apart_and_nothing_else(resnet: Path, tmp_path: Path) -> None:
    first = open_encoder(f"resnet10:{resnet}").checksum
    other_place = tmp_path / "elsewhere.safetensors"
    other_place.write_bytes(resnet.read_bytes())
    assert open_encoder(f"resnet10:{other_place}").checksum == first == open_encoder("random:resnet10:3").checksum
    checksums = {open_encoder(f"random:{name}").checksum for name in ("small", "small:1", "resnet10", "resnet10:1")}
    assert len(checksums | {first}) == 5


@pytest.mark.parametrize(("like", "used"), [(1.0, True), (0.5, False)])
def test_bfloat16_is_used_only_where_it_makes_no_difference(
    like: float, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`like` is how much of the features in half precision is kept, the rest being noise."""
    from robot_rl.vision import torch_encoder
    from robot_rl.vision.resnet10 import random_resnet10, resnet10_encoder

    full = resnet10_encoder(random_resnet10(0))
    monkeypatch.setattr(torch_encoder, "_multiplies_bfloat16", lambda: True)
    real = torch_encoder.TorchEncoder.encode

    def encode(self: torch_encoder.TorchEncoder, images: np.ndarray) -> np.ndarray:
        out = real(self, images)
        noise = np.random.default_rng(1).permutation(out.ravel()).reshape(out.shape)
        return (like * out + (1 - like) * noise).astype(np.float16) if self.bfloat16 else out

    monkeypatch.setattr(torch_encoder.TorchEncoder, "encode", encode)
    half = resnet10_encoder(random_resnet10(0))
    assert half.bfloat16 == used and half.checksum == full.checksum
    if used:
        assert torch_encoder._cosine(full.encode(_pictures()), half.encode(_pictures())) > 0.999


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("resnet11:x", "unknown frozen encoder"),
        ("resnet10:", "after the colon"),
        ("resnet10:/nowhere/file.safetensors", "no weight file"),
        ("random:big", "no generated encoder"),
        ("random:small:x", "no generated encoder"),
        ("timm:resnet18", "names no weight file"),
        ("timm:resnet18:/nowhere/file", "no weight file"),
        ("timm:nonsense:/nowhere/file", "unknown model of timm"),
        ("open_clip:/nowhere", "no open_clip_config.json"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_sentence(name: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        open_encoder(name)


def test_a_file_of_another_network_is_refused(resnet: Path, timm_file: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("no weights")
    with pytest.raises(DataError, match="no readable safetensors"):
        open_encoder(f"resnet10:{text}")
    with pytest.raises(DataError, match="another network"):
        open_encoder(f"resnet10:{timm_file}")
    with pytest.raises(DataError, match="does not hold the weights"):
        open_encoder(f"timm:test_vit:{resnet}")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    from robot_rl.vision.resnet10 import random_resnet10

    weights = random_resnet10(0)
    weights["norm_init/scale"][3] = np.nan
    save_file(weights, tmp_path / "bad.safetensors")
    with pytest.raises(DataError, match="not finite"):
        open_encoder(f"resnet10:{tmp_path / 'bad.safetensors'}")


def test_a_missing_library_names_the_extra_and_names_are_checked_without_it() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from robot_rl.core.errors import ConfigError\n"
        "from robot_rl.vision.frozen import check_name, open_encoder\n"
        "check_name('random:small')\n"
        "try: open_encoder('random:small')\n"
        "except ConfigError as e: print(e)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "robot-rl[vision]" in result.stdout, result.stderr
    for bad in ("cnn", "small", "resnet10:"):
        with pytest.raises(ConfigError, match="expected one of"):
            check_name(bad)
