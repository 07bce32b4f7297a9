"""A progress model learnt from pictures: what it is told, what it answers, and that it is used as a reward model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.protocols import RewardModel
from robot_rl.core.types import ArmState, Frame, GripperState, Image
from robot_rl.rewards.frames import Clip
from robot_rl.rewards.model_file import load_reward_model, write_model
from robot_rl.rewards.progress import Restricted, SeenProgress, open_seen_progress
from robot_rl.rewards.progress_fit import ProgressFit
from robot_rl.rewards.progress_model import judge_progress, targets, train_progress
from robot_rl.rewards.relabel import default_component, default_way

pytest.importorskip("torch")

SIZE, STEPS = 32, 16
HOME = np.array([0.5, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0])
FIT = ProgressFit(members=2, updates=120, batch=24, shift_px=1)


def picture(x: float, y: float = 0.5) -> Image:
    """A bright square on a dark table; the goal is on the right."""
    image = np.full((SIZE, SIZE, 3), 40, np.uint8)
    image[6:26, 28:] = (40, 120, 40)
    column, row = int(2 + 22 * x), int(2 + 22 * y)
    image[row : row + 6, column : column + 6] = (230, 200, 60)
    return image


def clip(name: str, xs: np.ndarray, y: float = 0.5, *, success: bool = True) -> Clip:
    said = np.zeros(len(xs), np.int8)
    said[-1] = success
    pictures = np.stack([picture(float(x), y) for x in xs])
    times = np.arange(len(xs)) / 10
    return Clip(
        Path(f"{name}.mcap"), name, "Slide", {"side": pictures}, times, ({},) * len(xs), said, ("approach",) * len(xs)
    )


def episodes(n: int, *, failures: int = 0) -> list[Clip]:
    rng = np.random.default_rng(0)
    good = [clip(f"good{k}", np.linspace(0.0, 1.0, STEPS), rng.uniform(0.3, 0.7)) for k in range(n)]
    # It goes past the goal at another height, which looks like progress from afar.
    bad = [clip(f"bad{k}", np.linspace(0.0, 0.9, STEPS), rng.uniform(0.9, 1.0), success=False) for k in range(failures)]
    return good + bad


def test_a_success_is_labelled_by_the_motion_behind_it() -> None:
    told = targets(clip("a", np.linspace(0.0, 1.0, 9)))
    assert told == pytest.approx(np.linspace(0.0, 1.0, 9))


def test_standing_still_is_no_progress() -> None:
    xs = np.array([0.0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.75, 1.0])
    assert targets(clip("a", xs)) == pytest.approx([0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.75, 1.0])


def test_a_failure_is_no_progress_and_what_follows_success_is_done() -> None:
    assert not targets(clip("a", np.linspace(0.0, 1.0, 9), success=False)).any()
    early = clip("a", np.linspace(0.0, 1.0, 9))
    said = early.success.copy()
    said[4:] = 1
    told = targets(replace(early, success=said))
    assert (told[4:] == 1.0).all() and told[:4] == pytest.approx([0.0, 0.25, 0.5, 0.75])


def test_too_few_successes_are_refused() -> None:
    with pytest.raises(DataError, match="3 of 8 episodes succeed, a progress model needs at least 4"):
        train_progress(episodes(3, failures=5), HOME, size=SIZE, fit=FIT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on disk."""
    import torch

    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("model") / "slide"
    info, arrays = train_progress(episodes(12, failures=8), HOME, size=SIZE, fit=FIT)
    assert info.evaluated
    write_model(path, info, arrays)
    return path


def test_it_orders_unseen_frames_and_is_not_fooled_by_known_failures(folder: Path) -> None:
    scorer = load_reward_model(folder)
    unseen = [
        clip("new", np.linspace(0.0, 1.0, 20), 0.45),
        clip("miss", np.linspace(0.0, 0.9, 20), 0.95, success=False),
    ]
    found = judge_progress(scorer, unseen)  # type: ignore[arg-type]
    assert found["order"] > 0.9
    assert found["end_success"] > 0.7 and found["end_failure"] < 0.3 and found["fooled"] == 0.0


def test_time_is_not_progress(folder: Path) -> None:
    """Run backwards, its answers are those of the film run forwards; standing still, they stand still."""
    scorer = load_reward_model(folder)
    film = np.stack([picture(x) for x in np.linspace(0.0, 1.0, 10)])
    forward, backward = (scorer.score({"side": f})["side"] for f in (film, film[::-1].copy()))
    assert np.allclose(forward, backward[::-1], atol=1e-6)
    still = scorer.score({"side": np.repeat(film[3:4], 5, axis=0)})["side"]
    assert np.ptp(still) < 1e-6


def test_it_is_a_reward_model_of_its_task(folder: Path) -> None:
    model = open_seen_progress(folder, "Slide")
    assert isinstance(model, RewardModel) and model.names == ("progress",) and model.cameras == ("side",)
    arm = ArmState(np.zeros(7), np.zeros(7), HOME, np.zeros(6), np.zeros(6), 0.0)
    gripper = GripperState(0.04, 0.04, 0.08, 0.0)
    answers = [model.evaluate(arm, gripper, {}, {"side": Frame(picture(x), 0.0, 0)})["progress"] for x in (0.1, 0.9)]
    assert 0.0 <= answers[0] < answers[1] <= 1.0
    model.close()
    with pytest.raises(ConfigError, match="of the task Slide, not PickCube"):
        open_seen_progress(folder, "PickCube")
    with pytest.raises(DataError, match="there is no reward model"):
        open_seen_progress(folder / "nowhere", "Slide")


def test_it_never_decides_on_success(folder: Path) -> None:
    scorer = load_reward_model(folder)
    assert (default_component(scorer.info), default_way(scorer.info)) == ("process", "min_form")
    assert not scorer.info.gate.on < 1.0


def test_a_model_can_be_asked_for_some_of_its_answers() -> None:
    class Both:
        names = ("success", "progress")
        cameras: tuple[str, ...] = ()

        def evaluate(self, *seen: object) -> dict[str, float]:
            return {"success": 1.0, "progress": 0.5}

    model = Restricted(Both())
    assert isinstance(model, RewardModel)
    assert model.evaluate(None, None, {}, {}) == {"progress": 0.5}  # type: ignore[arg-type]
    with pytest.raises(DataError, match="answers with progress, and knows nothing of success"):
        Restricted(SeenProgress.__new__(SeenProgress), ("success",))
