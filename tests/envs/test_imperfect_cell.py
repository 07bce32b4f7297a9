"""Episodes on an imperfect cell: off to the bit, repeatable from a seed, ended when readings stay away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.imperfections import FRANKA, Imperfections
from robot_rl.core.protocols import Clock
from robot_rl.core.transition import Observation
from robot_rl.core.types import Frame
from robot_rl.data.episode_log import EpisodeMeta, read_episode
from robot_rl.envs import CellEnv, make_env, make_expert
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.imperfect import imperfect_cell
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.demos import record_demos
from robot_rl.runtime.repeat import conclude, read_repeat_facts, repeat_episode, training_facts


def roll(env: CellEnv, seed: int, steps: int = 30) -> bytes:
    """Everything that an episode of random actions gives back."""
    rng = np.random.default_rng(seed)
    obs, info = env.reset(seed=seed)
    out = [obs["state"].tobytes()]
    for _ in range(steps):
        obs, reward, terminated, truncated, info = env.step(rng.uniform(-1.0, 1.0, 7).astype(np.float32))
        out += [obs["state"].tobytes(), info["action_executed"].tobytes(), repr((reward, info)).encode()]
        if terminated or truncated:
            break
    return b"".join(out)


def rolled(seeds: tuple[int, ...] = (3,), **options: Any) -> list[bytes]:
    env = make_env("PickCube", **options)
    try:
        return [roll(env, seed) for seed in seeds]
    finally:
        env.close()


def test_an_episode_with_all_off_equals_the_bare_one_bit_for_bit() -> None:
    task = make_task("PickCube")
    bare, _ = make_sim_cell(task.objects, task.impedance)
    env = CellEnv(bare, task)
    expected = [roll(env, seed) for seed in (3, 4)]
    env.close()
    assert rolled((3, 4)) == expected
    assert rolled((3, 4), imperfections=Imperfections()) == expected
    # Rates alone switch nothing on.
    assert rolled((3, 4), imperfections={"state_hz": 50.0, "camera_hz": 10.0}) == expected


@pytest.mark.parametrize("imperfections", ["franka", {"wrench_noise_n": 0.5}, {"command_delay_s": 0.03}])
def test_the_seed_decides_an_episode_whatever_was_before(imperfections: Any) -> None:
    first = rolled((3, 8), imperfections=imperfections)
    assert rolled((8, 3), imperfections=imperfections) == first[::-1]
    assert rolled((3,), imperfections=imperfections) != rolled((3,)), "and it is not the perfect episode"


@pytest.mark.gl
def test_cameras_do_not_change_what_the_arm_does() -> None:
    def states(cameras: tuple[str, ...]) -> bytes:
        env = make_env("PickCube", cameras=cameras, image_size=(32, 32), imperfections="franka")
        try:
            return roll(env, 5, 12)
        finally:
            env.close()

    assert states(()) == states(("wrist",)), "so that an episode repeats without its pictures"


def test_recorded_episodes_repeat_bit_for_bit_from_their_header(tmp_path: Path) -> None:
    from robot_rl.runtime.acting import ActingConfig
    from robot_rl.runtime.collector import Collector
    from robot_rl.runtime.episode_files import EpisodeSink

    config = TrainConfig(task="Reach", imperfections=FRANKA, task_options={"episode_steps": 30})
    env = make_env(config.task, **config.env_options)
    record_demos(env, lambda rng: make_expert(env, rng), n=1, seed=0, folder=tmp_path, task_options=config.env_options)

    class Restless:
        version = 1

        def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Any:
            return rng.uniform(-1.0, 1.0, 7).astype(np.float32)

    sink = EpisodeSink(
        tmp_path / "own", EpisodeMeta("Reach", env.state_spec, env.action_spec), training_facts(config, "a0")
    )
    collector = Collector(env, Restless(), ActingConfig(config.seed, "run-a0"))
    while collector.next_episode < 2 or not collector.between_episodes:
        for record in collector.step():
            sink.append(record)
    sink.close()
    env.close()
    paths = sorted(tmp_path.rglob("*.mcap"))
    assert len(paths) == 3
    for path in paths:
        episode = read_episode(path)
        _seed, options = read_repeat_facts(episode.meta)
        fresh = make_env("Reach", **options)
        assert conclude(repeat_episode(episode, fresh), episode).identical, path
        fresh.close()
        options.pop("imperfections")
        perfect = make_env("Reach", **options)
        assert not conclude(repeat_episode(episode, perfect), episode).identical, "the header made the difference"
        perfect.close()


class Frozen:
    """A device that answers with its first reading for ever."""

    def __init__(self, device: Any) -> None:
        self._device, self._first = device, None

    def state(self) -> Any:
        self._first = self._first or self._device.state()
        return self._first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)


@pytest.mark.parametrize("device", ["arm", "gripper"])
def test_a_silent_device_ends_the_episode_as_truncated(device: str) -> None:
    task = make_task("PickCube")
    bare, _ = make_sim_cell(task.objects, task.impedance)
    env = CellEnv(replace(bare, **{device: Frozen(getattr(bare, device))}), task)
    env.reset(seed=0)
    results = [env.step(np.zeros(7, np.float32)) for _ in range(3)]
    assert [truncated for _, _, _, truncated, _ in results] == [False, False, True]
    assert results[-1][4]["stop_reason"] == "stale_state" and not results[-1][2]
    assert results[-1][4]["rewards"]["force_penalty"] == 0.0
    assert [info["t_control_s"] for *_, info in results] == [0.1, 0.2, 0.3], "its clock goes on"
    with pytest.raises(DataError, match="stale_state after a reset"):
        env.reset(seed=0)
    env.close()


@pytest.mark.parametrize("name", ["max_state_age_s", "max_frame_age_s"])
def test_age_limits_are_not_negative(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be 0 or more"):
        make_env("Reach", **{name: -0.1})


def test_without_an_age_limit_the_episode_goes_on() -> None:
    env = make_env("Reach", max_state_age_s=0.0, imperfections={"state_drop": 1.0})
    env.reset(seed=0)
    for _ in range(10):
        *_, truncated, info = env.step(np.zeros(7, np.float32))
        assert not truncated and info["stop_reason"] == ""
    assert env.snapshot.arm.t_s == pytest.approx(0.0), "the first and only reading"
    env.close()


class Snapshots:
    """A camera that needs no graphics."""

    shape = (4, 4, 3)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self) -> Frame:
        t_s = self._clock.now_s()
        return Frame(np.full(self.shape, int(t_s * 100) % 256, np.uint8), t_s, int(t_s * 1000) + 1)

    def close(self) -> None:
        return None


def camera_env(settings_: Imperfections, **options: float) -> CellEnv:
    from robot_rl.envs.options import EnvOptions

    task = make_task("Reach")
    bare, _ = make_sim_cell(task.objects, task.impedance)
    cell = imperfect_cell(replace(bare, cameras={"wrist": Snapshots(bare.clock)}), settings_)
    return CellEnv(cell, task, EnvOptions(**options))


def test_pictures_are_as_old_as_the_camera_is_slow() -> None:
    env = camera_env(Imperfections(camera_delay_s=0.08, camera_hz=100.0))
    env.reset(seed=0)
    for n in range(1, 10):
        obs, *_ = env.step(np.zeros(7, np.float32))
        shown, now = int(obs["images"]["wrist"][0, 0, 0]), 10 * n
        assert 8 <= now - shown <= 10 or n == 1
    env.close()


def test_a_camera_that_loses_every_frame_ends_the_episode() -> None:
    env = camera_env(Imperfections(camera_drop=1.0), max_frame_age_s=0.35)
    env.reset(seed=0)
    reasons = [env.step(np.zeros(7, np.float32))[4]["stop_reason"] for _ in range(4)]
    assert reasons == ["", "", "", "stale_camera"]
    env.close()


def test_late_readings_do_not_shorten_the_control_period() -> None:
    env = make_env("Reach", imperfections={"state_delay_s": 0.03, "state_jitter_s": 0.02})
    env.reset(seed=0)
    began_s = env.cell.clock.now_s()
    for n in range(1, 20):
        *_, info = env.step(np.zeros(7, np.float32))
        assert env.cell.clock.now_s() - began_s == pytest.approx(0.1 * n)
        assert info["t_control_s"] == pytest.approx(0.1 * n)
    env.close()
