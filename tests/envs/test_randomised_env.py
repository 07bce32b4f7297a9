"""Episodes in a randomised scene: same states, same pictures from the header, evaluation told by the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.core.imperfections import FRANKA
from robot_rl.core.randomisation import LAB, WILD
from robot_rl.data.episode_log import read_episode
from robot_rl.envs import make_env
from robot_rl.envs.pair import make_pair
from robot_rl.runtime.config import TrainConfig
from robot_rl.runtime.repeat import command, conclude, read_repeat_facts, repeat_episode
from tests.envs.test_imperfect_cell import rolled


@pytest.mark.parametrize("others", [{}, {"imperfections": "franka"}])
def test_the_states_of_an_episode_do_not_depend_on_its_look(others: dict[str, Any]) -> None:
    assert rolled((3, 8), randomise=WILD, **others) == rolled((3, 8), **others)


def test_a_pair_takes_the_options_too() -> None:
    config = TrainConfig(randomise=LAB, crops={"side": (0, 0, 99, 99)})
    first, second = make_pair("PickCube", "PickCube", **config.env_options)
    first.reset(seed=0)
    second.reset(seed=1)
    first.close()


@pytest.mark.gl
def test_pictures_repeat_to_the_bit_from_the_header(tmp_path: Path) -> None:
    from robot_rl.cli.demos import run

    flags = ["--randomise", "wild", "--crops", "side", "100", "50", "320", "320"]
    flags += ["--task-options", "imperfections=franka", "--cameras", "side", "wrist"]
    assert run(["record", "Reach", "--n", "2", "--out", str(tmp_path), *flags]) == 0
    for file in sorted(tmp_path.glob("*.mcap")):
        episode = read_episode(file)
        seed, options = read_repeat_facts(episode.meta)
        assert options["crops"] == {"side": [100, 50, 320, 320]} and options["randomise"]["distractors"] == 6
        blind = make_env("Reach", **options)
        assert conclude(repeat_episode(episode, blind), episode).identical, "without its pictures"
        blind.close()
        env = make_env("Reach", cameras=("side", "wrist"), **options)
        obs, _ = env.reset(seed=seed)
        for record in episode.records:
            for name, image in record.obs.images.items():
                assert obs["images"][name].tobytes() == image.tobytes(), (file, record.step_index, name)
            obs, *_ = env.step(command(record))
        env.close()


@pytest.mark.gl
def test_what_a_lens_does_is_there_without_any_delay() -> None:
    def look(**options: Any) -> tuple[np.ndarray, float]:
        env = make_env("Reach", cameras=("side",), **options)
        env.reset(seed=1)
        obs, *_ = env.step(np.zeros(7, np.float32))
        age_s = env.cell.clock.now_s() - env.cell.cameras["side"].read().t_s
        env.close()
        return obs["images"]["side"].astype(float), age_s

    (plain, _), (noisy, age_s) = look(), look(imperfections={"camera_shot_noise": 0.02})
    assert age_s == 0.0 and 0.5 < np.abs(plain - noisy).mean() < 6.0
    (late, age_s) = look(imperfections=FRANKA)
    assert age_s > 0.02 and np.abs(plain - late).mean() > 1.0
