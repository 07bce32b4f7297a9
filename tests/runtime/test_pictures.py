"""A run that learns from pictures, from the demonstrations to the policy that acts elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.core.config import from_dict, to_dict
from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.core.imperfections import env_options
from robot_rl.core.transition import Observation, ViewBatch
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter, read_episode
from robot_rl.evaluation.checkpoints import load_saved_policy
from robot_rl.runtime.actor.process import ActorOptions, _as_here
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.gathering import check_demos
from robot_rl.runtime.learner.checkpoint import latest_checkpoint, load_checkpoint
from robot_rl.runtime.learner.lockstep import train_lockstep
from robot_rl.runtime.learner.process import train_two_processes
from robot_rl.runtime.learner.resume import resume
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.monitor.progress import Progress
from robot_rl.runtime.pictures import (
    PictureConfig,
    layout_checksum,
    layout_difference,
    open_eyes,
    picture_options,
    room,
)
from robot_rl.runtime.run_folder import RunFolder, create_run
from robot_rl.runtime.stop import StopFlag
from tests.runtime.fakes import ACTIONS, SPEC, Helper, stream
from tests.runtime.pictured import CAMERAS, ENCODER, SIZE_PX, SeenPoint, pictures_of, seen_config, with_pictures
from tests.runtime.runs import async_config, final_arrays, same

torch = pytest.importorskip("torch")


def begin(config: TrainConfig, run: RunFolder | None = None, *, pictures: bool = True) -> Session:
    """A session of a new run with one demonstration, or of one that goes on."""
    again = run is not None
    run = run or create_run(config, SPEC, ACTIONS, 10.0)
    if not again:
        with EpisodeWriter(run.demos / "000000.mcap", EpisodeMeta("Point", SPEC, ACTIONS)) as writer:
            for record in stream([6], "demo-0"):
                final = None if record.final_obs is None else with_pictures(record.final_obs)
                seen = replace(record, obs=with_pictures(record.obs), final_obs=final) if pictures else record
                writer.append(seen)
    session = Session(run, config, SPEC, ACTIONS, 10.0, Progress("Point", live=False))
    try:
        resume(session) if again else session.begin()
    except BaseException:
        session.close()
        raise
    return session


def go(session: Session, env: SeenPoint | None = None, stop: StopFlag | None = None) -> bool:
    try:
        return train_lockstep(
            session,
            env or SeenPoint(limit=12),
            stop or StopFlag(),
            make_teleop=lambda rng: Helper({1, 2, 6}, rng.uniform(-1, 1)),
        )
    finally:
        session.close()


class After(StopFlag):
    """Asks to stop when a session has so many steps."""

    def __init__(self, session: Session, steps: int) -> None:
        self._session, self._steps, self.urgent = session, steps, False

    @property
    def requested(self) -> bool:  # type: ignore[override]
        return self._session.learner.counters.env_steps >= self._steps


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nobody stopped."""
    session = begin(seen_config(out_dir=tmp_path_factory.mktemp("straight")))
    assert go(session)
    return session.run


def stored(session: Session) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """States and features of everything that can be drawn."""
    learner = session.learner
    slots = np.union1d(learner.replay.online.members, learner.replay.demo.members)
    rows, features = learner.replay._store.rows, learner.replay._store.features
    return rows[slots, : SPEC.size], {name: array[slots] for name, array in features.items()}


def test_the_run_says_what_it_looked_with(straight: RunFolder) -> None:
    eyes = open_eyes(seen_config().pictures)
    assert eyes is not None
    assert straight.info()["views"]["encoder"] == eyes.views.encoder != ""
    checkpoint = load_checkpoint(latest_checkpoint(straight.checkpoints))
    assert checkpoint.state["views"] == {
        "shapes": {name: [4, 4, 32] for name in CAMERAS},
        "encoder": eyes.views.encoder,
    }
    assert all("small" not in name for name in checkpoint.agent), "frozen weights do not belong into a checkpoint"
    images = next(iter(read_records(straight.episodes / "a0"))).obs.images
    assert set(images) == set(CAMERAS)


def test_a_stopped_and_resumed_run_ends_with_the_same_bits(straight: RunFolder, tmp_path: Path) -> None:
    session = begin(seen_config(out_dir=tmp_path))
    assert not go(session, stop=After(session, 40))
    again = begin(seen_config(out_dir=tmp_path), session.run)
    assert go(again)
    assert same(final_arrays(straight), final_arrays(again.run))


def test_the_replay_holds_the_features_of_the_frames_that_were_logged(tmp_path: Path) -> None:
    session = begin(seen_config(out_dir=tmp_path))
    go(session)
    again = begin(seen_config(out_dir=tmp_path), session.run)
    states, features = stored(again)
    eyes = open_eyes(seen_config().pictures)
    assert eyes is not None and len(states) > 60
    for k in range(0, len(states), 7):
        seen = eyes.see(Observation(states[k], pictures_of(states[k])))
        for name in CAMERAS:
            np.testing.assert_array_equal(features[name][k], seen.features[name])
    batch = again.learner._sampler.sample()
    assert isinstance(batch, ViewBatch) and set(batch.views) == set(CAMERAS)
    record = next(iter(read_records(session.run.episodes / "a0")))
    value = again.learner.step_value(record)
    assert value is not None and np.isfinite(np.asarray(value))
    again.close()


def test_another_encoder_recomputes_from_the_log_and_says_so(tmp_path: Path) -> None:
    session = begin(seen_config(out_dir=tmp_path, env_steps=40))
    go(session)
    before = stored(session)[1]
    other = seen_config(out_dir=tmp_path, pictures=replace(seen_config().pictures, encoder="random:small:5"))
    again = begin(other, session.run)
    after = stored(again)[1]
    assert before["side"].shape == after["side"].shape and not np.array_equal(before["side"], after["side"])
    assert any("another than before" in event["text"] for event in again.run.info()["events"])
    again.close()


def test_a_resume_with_other_cameras_is_refused(straight: RunFolder) -> None:
    config = seen_config(pictures=replace(seen_config().pictures, cameras=("side",)))
    with pytest.raises(DataError, match=r"views: wrist is \[4, 4, 32\], expected None"):
        begin(config, straight)


def test_demonstrations_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="picture is missing"):
        begin(seen_config(out_dir=tmp_path), pictures=False)
    with EpisodeWriter(tmp_path / "000000.mcap", EpisodeMeta("Point", SPEC, ACTIONS)) as writer:
        for record in stream([3], "demo-0"):
            writer.append(record)
    with pytest.raises(DataError, match=r"000000.mcap lacks pictures of camera wrist, side, it has none: .*--cameras"):
        check_demos([read_episode(tmp_path / "000000.mcap")], seen_config().pictures)
    check_demos([read_episode(tmp_path / "000000.mcap")], PictureConfig())


def black(images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return images | {"side": np.zeros_like(images["side"])}


def swapped(images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"wrist": images["side"], "side": images["wrist"]}


def gone(images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"wrist": images["wrist"]}


@pytest.mark.parametrize(
    ("spoil", "what"), [(black, "'side' is black"), (swapped, "look swapped"), (gone, "no picture of camera 'side'")]
)
def test_a_run_with_bad_cameras_stops_and_learns_nothing_of_them(spoil: Any, what: str, tmp_path: Path) -> None:
    config = seen_config(out_dir=tmp_path)
    # the demonstrations say what each camera usually shows
    session = begin(config)
    env = SeenPoint(limit=12)
    seen = [0]

    def later(images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen[0] += 1
        return spoil(images) if seen[0] > 30 else images

    env.spoil = later  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match=what):
        go(session, env)
    logged = list(read_records(session.run.episodes / "a0"))
    assert 20 <= len(logged) <= 30
    assert logged[-1].truncated and logged[-1].stop_reason == "bad_observation"
    for record in logged:
        np.testing.assert_array_equal(record.obs.images["side"], pictures_of(record.obs.state)["side"])


def test_an_actor_in_another_process_sends_frames_and_acts_on_features(tmp_path: Path) -> None:
    config = async_config(tmp_path, pictures=seen_config().pictures, env_steps=60)
    session = begin(config)
    try:
        assert train_two_processes(session, StopFlag(), actor_module="tests.runtime.pictured")
        states, features = stored(session)
        eyes = open_eyes(config.pictures)
        assert eyes is not None and len(states) >= 60
        for k in range(0, len(states), 9):
            expected = eyes.see(Observation(states[k], pictures_of(states[k])))
            np.testing.assert_array_equal(features["side"][k], expected.features["side"])
        policies = {r.policy_version for r in read_records(session.run.episodes / "a0")}
        assert len(policies) > 1
    finally:
        session.close()


def test_a_saved_policy_looks_for_itself_and_with_its_own_encoder_only(straight: RunFolder, tmp_path: Path) -> None:
    saved = load_saved_policy(straight.path)
    state = np.array([0.2, -0.1], np.float32)
    action = saved.policy.act(Observation(state, pictures_of(state)), np.random.default_rng(0), deterministic=True)
    other = {"wrist": pictures_of(-state)["wrist"], "side": pictures_of(-state)["side"]}
    moved = saved.policy.act(Observation(state, other), np.random.default_rng(0), deterministic=True)
    assert not np.array_equal(action, moved), "what the cameras show must matter"
    copy = tmp_path / "run"
    shutil.copytree(straight.path, copy)
    text = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text.replace(f"encoder: {ENCODER}", f"encoder: {ENCODER}:1"))
    with pytest.raises(DataError, match="trained on features of the frozen encoder .* put back the file"):
        load_saved_policy(copy)


def test_an_actor_may_have_the_encoder_elsewhere() -> None:
    here = ActorOptions("tcp://127.0.0.1:1", Path(), encoder="random:resnet10")
    assert _as_here(seen_config(), here).pictures == replace(seen_config().pictures, encoder="random:resnet10")
    with pytest.raises(ConfigError, match="no frozen encoder: leave it out"):
        _as_here(TrainConfig(), here)


def test_layouts_are_compared_part_by_part() -> None:
    eyes, other = open_eyes(seen_config().pictures), open_eyes(PictureConfig(CAMERAS, encoder="random:small:1"))
    one, two = layout_checksum(SPEC, eyes), layout_checksum(SPEC, other)
    assert layout_difference("", one) == layout_difference(one, one) == ""
    assert "same frozen encoder on both sides" in layout_difference(two, one)
    assert "see is nothing" in layout_difference(layout_checksum(SPEC, None), one)
    assert "same version of robot_rl" in layout_difference(f"ffff-{one.partition('-')[2]}", one)
    assert layout_checksum(SPEC, None) == SPEC.checksum


def test_a_policy_from_pictures_is_not_told_where_things_are() -> None:
    assert env_options(to_dict(TrainConfig())) == {}
    seen = TrainConfig(pictures=PictureConfig(("wrist",)))
    assert seen.env_options == {"observe_objects": False} == env_options(to_dict(seen))
    told = TrainConfig(pictures=PictureConfig(("wrist",)), task_options={"observe_objects": True})
    assert told.env_options == {"observe_objects": True}


def test_the_configuration_survives_a_file_and_names_what_is_wrong() -> None:
    config = PictureConfig(CAMERAS, 64, ENCODER, 3, True, {"side": (0.1,) * 48})
    assert from_dict(PictureConfig, to_dict(config)) == config
    for bad in ({"cameras": ("a", "a")}, {"image_size": 8}, {"encoder": "resnet"}, {"crops": 0}):
        with pytest.raises(ConfigError):
            PictureConfig(**bad)
    assert not PictureConfig(encoder=ENCODER).frozen and open_eyes(PictureConfig(encoder=ENCODER)) is None


def test_cameras_of_a_run_and_of_who_watches_are_opened_once() -> None:
    config = PictureConfig(("wrist", "side"), 64)
    assert picture_options(config, ("side", "overview")) == {
        "cameras": ("wrist", "side", "overview"),
        "image_size": (64, 64),
    }
    assert picture_options(config, own_size=False) == {"cameras": ("wrist", "side")}
    assert picture_options(PictureConfig(), ("side",)) == {"cameras": ("side",)}


def test_more_than_the_memory_holds_is_refused_before_it_is_needed() -> None:
    config = PictureConfig(CAMERAS, 1024)
    eyes = open_eyes(config)
    assert eyes is not None
    assert room(config, eyes, 1000, 100) == 1000 and room(config, eyes, 10_000, 100) == 1200
    with pytest.raises(ConfigError, match=r"need .* GiB, this machine has .*--capacity \d+"):
        room(config, eyes, 10_000_000, 10_000_000)


def test_states_alone_load_no_torch_and_no_picture_code_that_does() -> None:
    code = (
        "import sys\n"
        "from robot_rl.runtime.learner.session import Session\n"
        "from robot_rl.runtime.actor.process import act\n"
        "from robot_rl.evaluation.checkpoints import load_saved_policy\n"
        "from tests.runtime.fakes import SPEC, ACTIONS, tiny_config\n"
        "from robot_rl.runtime.learner.learner import Learner\n"
        "Learner(tiny_config(), SPEC, ACTIONS)\n"
        "print(sorted({'torch', 'torchvision', 'timm'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert result.stdout == "[]\n", result.stderr


def test_pictures_have_the_size_that_is_said() -> None:
    assert {i.shape for i in pictures_of(np.zeros(2)).values()} == {(SIZE_PX, SIZE_PX, 3)}
