"""The success classifiers that a run's configuration names: of its task, and of the one that undoes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError, RobotRlError
from robot_rl.rewards.detector import SuccessDetector, open_detector
from robot_rl.rewards.model_file import read_info
from robot_rl.runtime.config import TrainConfig


def open_judge(config: TrainConfig, *, real: bool) -> SuccessDetector | None:
    """What decides on success in place of the task's rules; None for the rules.

    Args:
        config: of the run.
        real: its cell is no simulation.

    Raises:
        ConfigError: the model judges another task, may not reward a real robot, or the run's pictures have another size
            than it was made for.
        DataError: there is no such model, or it is damaged.
    """
    if config.detector.model is None:
        return None
    from robot_rl.envs.options import split_options
    from robot_rl.envs.tasks import make_task

    _, options = split_options(config.task_options)
    home = np.asarray(make_task(config.task, **options).home_base_tcp)
    return open_detector(
        config.detector.model, config.task, home_base_tcp=home, real=real, unevaluated=config.detector.unevaluated
    )


def other_side(config: TrainConfig) -> TrainConfig:
    """What the other run of a pair is told: as its task and classifier, what this one names as the other's."""
    swapped = replace(config.detector, model=config.detector.pair, pair=config.detector.model)
    return replace(config, task=config.pair, pair=config.task, detector=swapped)


def open_judges(config: TrainConfig, *, real: bool) -> tuple[SuccessDetector | None, SuccessDetector | None]:
    """What decides for the two tasks of a pair in place of their rules; None twice for the rules.

    Args:
        config: of one of the two runs.
        real: their cell is no simulation.

    Raises:
        ConfigError: as `open_judge`.
        DataError: likewise.
    """
    first = open_judge(config, real=real)
    try:
        return first, open_judge(other_side(config), real=real)
    except RobotRlError:
        if first is not None:
            first.close()
        raise


def picture_size(config: TrainConfig) -> dict[str, Any]:
    """The size of pictures that the classifiers were made for, for `robot_rl.envs.make_env`; empty without any.

    Raises:
        ConfigError: their cameras differ in size, which one simulation cannot have, or the policy learns from another.
        DataError: there is no such model.
    """
    models = [model for model in (config.detector.model, config.detector.pair) if model is not None]
    if not models:
        return {}
    sizes = {camera.shape for model in models for camera in read_info(model).cameras.values()}
    own = (config.pictures.image_size, config.pictures.image_size)
    if config.pictures.on:
        sizes.add(own)
    if len(sizes) > 1:
        wanted = ", ".join(f"{h} x {w}" for h, w in sorted(sizes))
        raise ConfigError(
            f"the simulated cameras have one size, but policy and success classifier want {wanted}: set "
            "--pictures.image-size to that of the classifier, or train it on pictures of that size"
        )
    return {"image_size": sizes.pop()}


def logged_cameras(config: TrainConfig, learnt_from: tuple[str, ...]) -> tuple[str, ...]:
    """Whose pictures the records of a run hold: those it learns from, and those that its classifier looked at.

    Raises:
        DataError: there is no such model.
    """
    if config.detector.model is None or not config.detector.keep_frames:
        return learnt_from
    return tuple(dict.fromkeys((*learnt_from, *read_info(config.detector.model).cameras)))


def check_judge(config: TrainConfig, *, real: bool) -> None:
    """Refuse a run whose classifier could not judge it, before anything is started.

    Args:
        config: of the run.
        real: its cell is no simulation.

    Raises:
        ConfigError: as `open_judge` and `picture_size`.
        DataError: as `open_judge`.
    """
    if config.detector.model is None:
        return
    if config.actors:
        picture_size(config)
        for judge in open_judges(config, real=real) if config.pair else (open_judge(config, real=real),):
            assert judge is not None
            judge.close()
