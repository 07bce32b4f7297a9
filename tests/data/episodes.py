"""Episodes whose frames say which they are: state = [episode, step, noise]; images repeat episode and step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.episode_log import EpisodeMeta

SPEC = StateSpec((Part("position", 2, "m", "base"), Part("width", 1, "m", scale=0.08)))
TASK = "Toy"
CAMERAS = {"side": (3, 4, 3), "wrist": (2, 2, 3)}
META = EpisodeMeta(TASK, SPEC, ActionSpec(0.02, 0.1), run_id="run", seed=3)


def observation(number: int, step: int, *, images: bool = False) -> Observation:
    noise = np.random.default_rng([number, step]).normal()
    state = np.array([number, step, noise], np.float32)
    pictures = {}
    if images:
        pictures = {name: np.full(shape, number, np.uint8) for name, shape in CAMERAS.items()}
        for picture in pictures.values():
            picture[0, 0] = step
    return Observation(state, pictures)


def episode(
    number: int,
    steps: int,
    *,
    terminated: bool = False,
    ended: bool = True,
    interventions: Sequence[int] = (),
    source: Source = Source.POLICY,
    images: bool = False,
) -> list[StepRecord]:
    """Episode `number` of so many steps; the policy proposes what is not executed, every component is nonzero."""
    rng = np.random.default_rng([7, number])
    records = []
    for i in range(steps):
        last = ended and i == steps - 1
        success = float(last and terminated)
        penalties = {"force_penalty": -rng.random(), "grasp_penalty": -rng.random()}
        by_operator = i in interventions
        records.append(
            StepRecord(
                episode_id=f"episode-{number}",
                step_index=i,
                obs=observation(number, i, images=images),
                action_executed=rng.uniform(-1, 1, 7).astype(np.float32),
                action_policy=rng.uniform(-1, 1, 7).astype(np.float32),
                rewards={"success": success, "process": rng.normal(), **penalties},
                terminated=last and terminated,
                truncated=last and not terminated,
                stop_reason=("success" if terminated else "time_out") if last else "",
                intervention=by_operator,
                source=Source.OPERATOR if by_operator else source,
                policy_version=number,
                task=TASK,
                t_wall_s=1.7e9 + i * 0.1,
                t_control_s=i * 0.1,
                latency_ms=rng.random(),
                final_obs=observation(number, steps, images=images) if last else None,
            )
        )
    return records


def same(a: StepRecord, b: StepRecord) -> bool:
    """Whether two records are equal to the bit."""

    def bits(value: object) -> object:
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        if isinstance(value, Observation):
            return bits(value.state), {name: bits(image) for name, image in value.images.items()}
        if isinstance(value, float):
            return value.hex()
        if isinstance(value, dict):
            return {name: bits(v) for name, v in value.items()}
        return value

    return all(bits(vars(a)[name]) == bits(vars(b)[name]) for name in vars(a))
