"""From labelled frames to a model: the networks of torch and of numpy are one, and what cannot work is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.types import Image
from robot_rl.evaluation.audit import audit_model
from robot_rl.evaluation.audit_page import render_page
from robot_rl.rewards.classifier import Classifier
from robot_rl.rewards.cnn import combine, logits
from robot_rl.rewards.evaluate import Evaluation, Rate, evaluate_scorer
from robot_rl.rewards.fit import FitConfig
from robot_rl.rewards.frames import Clip
from robot_rl.rewards.model_file import ModelInfo, Scorer, load_reward_model, write_model
from robot_rl.rewards.train import TrainSpec, train_classifier
from robot_rl.vision.frozen import open_encoder
from tests.rewards.bright import HOME, SHAPE, bright_model, picture

torch = pytest.importorskip("torch")
QUICK = TrainSpec(size=16, members=1, fit=FitConfig(updates=100, batch=16, shift_px=1), target_fpr=0.05)


def scene(done: bool, seed: int) -> Image:
    """A red block on a blueish ground that is low, or high when the task is done."""
    rng = np.random.default_rng(seed)
    image = (picture(rng.uniform(0.43, 0.47), seed) * [0.5, 0.8, 1.0]).astype(np.uint8)
    top, left = (2 if done else 13) + rng.integers(0, 4), rng.integers(2, 20)
    image[top : top + 7, left : left + 9] = (200, 40, 30)
    return image


def blind(done: bool, seed: int) -> Image:
    """Shows nothing of it."""
    return picture(0.5, seed)


def clip(number: int, *, success: bool, views: Mapping[str, Callable[[bool, int], Image]] | None = None) -> Clip:
    """Twelve frames, the last six of which show success if there is any."""
    views = views or {"side": scene}
    done = [success and k >= 6 for k in range(12)]
    frames = {c: np.stack([view(d, 100 * number + k) for k, d in enumerate(done)]) for c, view in views.items()}
    reading = {"tcp_x_m": 0.5, "tcp_y_m": 0.0, "tcp_z_m": 0.2, "gripper_width_m": 0.04, "force_n": 0.0}
    bucket = tuple("success" if d else "approach" for d in done)
    times = np.linspace(0.0, 1.1, 12)
    shows = np.array(done, np.int8)
    return Clip(Path(f"{number}"), f"e-{number:06d}", "PickCube", frames, times, (reading,) * 12, shows, bucket)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained() -> tuple[ModelInfo, dict[str, np.ndarray]]:
    views = {"side": scene, "blind": blind}
    clips = [clip(k, success=k % 2 == 0, views=views) for k in range(30)]
    return train_classifier(clips, QUICK, np.array(HOME))


@pytest.fixture
def scorer(trained: tuple[ModelInfo, dict[str, np.ndarray]], tmp_path: Path) -> Scorer:
    write_model(tmp_path, *trained)
    return load_reward_model(tmp_path)


def test_it_learns_and_leaves_out_the_view_that_cannot_tell(scorer: Scorer) -> None:
    assert list(scorer.info.cameras) == ["side"]
    assert scorer.info.card["left_out"] == ["blind"]
    fresh = [clip(k, success=k % 2 == 0) for k in range(100, 112)]
    result = evaluate_scorer(scorer, fresh)
    assert result.auc > 0.98
    assert result.recall.value >= 0.9 and result.fpr.value <= 0.05
    assert result.missed.hits == result.false_ends.hits == 0
    assert scorer.info.evaluated, "its own held-out episodes were enough"
    assert [(b.reading, b.low) for b in scorer.info.gate.require] == [("gripper_width_m", 0.036), ("tcp_z_m", 0.19)]


def test_numpy_says_what_torch_says() -> None:
    from robot_rl.rewards.cnn_torch import export, view_network

    torch.manual_seed(3)
    for shape, pictures in (((17, 20, 3), True), ((4, 4, 5), False)):
        net = view_network(shape, pictures=pictures, dropout=0.1).eval()
        inputs = np.random.default_rng(0).normal(size=(70, *shape)).astype(np.float32)
        arrays = {f"m/{k}": v for k, v in export(net).items()}
        with torch.no_grad():
            expected = net(torch.from_numpy(inputs)).numpy()
        np.testing.assert_allclose(logits(arrays, "m/", inputs), expected, atol=1e-5)


def test_members_that_disagree_count_for_less() -> None:
    agree, differ = np.array([2.0, 2.0], np.float32), np.array([0.0, 4.0], np.float32)
    assert combine([agree, agree]).tolist() == [2.0, 2.0]
    assert combine([agree, differ]).tolist() == [0.0, 2.0]


def test_a_head_on_a_frozen_encoder(tmp_path: Path) -> None:
    clips = [clip(k, success=k % 2 == 0) for k in range(20)]
    name = "random:small"
    info, arrays = train_classifier(clips, QUICK, np.array(HOME), encoder=(name, open_encoder(name)))
    write_model(tmp_path, info, arrays)
    head = load_reward_model(tmp_path)
    assert head.info.kind == "head"
    assert evaluate_scorer(head, [clip(k, success=k % 2 == 0) for k in range(100, 106)]).auc > 0.8
    head.close()
    with pytest.raises(DataError, match=r"encoder of this machine has checksum \w+, the head model was trained on"):
        Classifier(info, arrays, open_encoder("random:small:1"))


def test_too_little_data_is_refused() -> None:
    with pytest.raises(DataError, match="at least five episodes with success"):
        train_classifier([clip(0, success=True), clip(1, success=False)], QUICK, np.array(HOME))
    few = TrainSpec(size=16, members=1, fit=QUICK.fit, target_fpr=0.001)
    with pytest.raises(DataError, match=r"rate of 0\.001 needs at least 999 negative frames"):
        train_classifier([clip(k, success=k % 2 == 0) for k in range(20)], few, np.array(HOME))


def test_training_repeats_to_the_bit() -> None:
    clips = [clip(k, success=k % 2 == 0) for k in range(10)]
    quick = TrainSpec(size=16, members=1, fit=FitConfig(updates=8, batch=8), target_fpr=0.1)
    (_, a), (_, b) = (train_classifier(clips, quick, np.array(HOME)) for _ in range(2))
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_an_audit_passes_a_good_model_and_shows_it(scorer: Scorer) -> None:
    audit = audit_model(scorer, [clip(k, success=k % 2 == 0) for k in range(100, 116)])
    assert audit.complaints == []
    by_name = {p.name: p for p in audit.probes}
    assert by_name["black"].served.hits == 0
    page = render_page(audit)
    assert "It keeps every limit" in page and page.count("data:image/jpeg") > 20
    assert "http://" not in page and "https://" not in page


def test_an_audit_fails_a_model_that_looks_at_something_else(tmp_path: Path) -> None:
    """Brightness has nothing to do with it, so frames without success reach the threshold."""
    model = load_reward_model(bright_model(tmp_path, watched=False, card={"episodes": ["e-000100"]}))
    audit = audit_model(model, [clip(k, success=k % 2 == 0) for k in range(100, 108)])
    text = " ".join(audit.complaints)
    assert "recall over frames" in text
    assert "1 of the episodes were trained on" in text
    assert "It must not reward a robot" in render_page(audit)


def test_episodes_under_the_gate(tmp_path: Path) -> None:
    """A model of brightness, and episodes whose brightness is written down."""
    model = load_reward_model(bright_model(tmp_path, watched=False))

    def bright_clip(levels: list[float], done_from: int | None, number: int) -> Clip:
        images = np.stack([picture(v, k, SHAPE) for k, v in enumerate(levels)])
        base = clip(number, success=False)
        n = len(levels)
        success = np.array([done_from is not None and k >= done_from for k in range(n)], np.int8)
        times, readings = np.linspace(0.0, 0.1 * (n - 1), n), base.readings[:1] * n
        kinds = ("approach",) * n
        return Clip(base.path, base.episode_id, base.task, {"side": images}, times, readings, success, kinds)

    dark, light = 0.3, 0.7
    right = bright_clip([dark] * 4 + [light] * 5, 4, 1)
    early = bright_clip([light] * 6 + [dark] * 3, 7, 2)
    missed = bright_clip([dark] * 9, 5, 3)
    quiet = bright_clip([dark] * 9, None, 4)
    result: Evaluation = evaluate_scorer(model, [right, early, missed, quiet])
    assert [r.fired for r in result.results] == [6, 3, None, None]
    assert (result.false_ends, result.missed) == (Rate(1, 4), Rate(2, 3))
    assert result.delays == [2]
    assert result.fpr == Rate(6, 4 + 7 + 5 + 9)
