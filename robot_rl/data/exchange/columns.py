"""Step records as the columns of a LeRobot dataset, and back without loss.

LeRobot's own names are used for what it knows (``observation.state``, ``action``, ``next.reward``, ``next.done`` and
the ``complementary_info.*`` of its reinforcement learning); what it does not know has columns of its own, text under
``robot_rl.*`` because LeRobot expects numbers everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_NAMES, ACTION_SIZE, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.core.types import Image
from robot_rl.data.rewards import COMPONENTS, RewardWeights, component_row, step_rewards

STATE = "observation.state"
ACTION = "action"
PICTURE = "observation.images."
INFO = "complementary_info."
OWN = "robot_rl."
ABSENT = OWN + "absent"
SOURCE = OWN + "source"
PROPOSAL = INFO + "action_policy"
BASE = INFO + "action_base"
REWARD = INFO + "reward_"
_ATTRIBUTES: dict[str, tuple[str, str]] = {
    "next.terminated": ("bool", "terminated"),
    "next.truncated": ("bool", "truncated"),
    INFO + "is_intervention": ("bool", "intervention"),
    INFO + "policy_version": ("int64", "policy_version"),
    INFO + "reward_version": ("int64", "reward_version"),
    OWN + "t_wall_s": ("float64", "t_wall_s"),
    OWN + "t_control_s": ("float64", "t_control_s"),
    OWN + "latency_ms": ("float64", "latency_ms"),
    OWN + "stop_reason": ("string", "stop_reason"),
}
"""Columns that are an attribute of the record as it is: dtype and name of the attribute."""

Columns = dict[str, npt.NDArray[Any]]
Feature = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """What all episodes of a dataset have in common.

    Attributes:
        state_spec: of the state rows.
        cameras: ``(H, W, 3)`` by name.
        fps: frames a second.
        weights: with which ``next.reward`` is composed of the components.
    """

    state_spec: StateSpec
    cameras: Mapping[str, tuple[int, ...]]
    fps: int
    weights: RewardWeights

    def check(self, where: str, records: Sequence[StepRecord], spec: StateSpec) -> None:
        """Whether an episode fits.

        Raises:
            DataError: its state layout, its cameras or their sizes differ, or an array cannot be stored.
        """
        if spec.checksum != self.state_spec.checksum:
            raise DataError(
                f"{where} has state layout {spec.checksum}, the episodes before it {self.state_spec.checksum}: "
                "export them into datasets of their own"
            )
        for r in records:
            for obs in filter(None, (r.obs, r.final_obs)):
                shapes = {name: image.shape for name, image in obs.images.items()}
                if shapes != dict(self.cameras):
                    raise DataError(f"{where}, step {r.step_index} has pictures {shapes}, expected {self.cameras}")
            if r.action_base is not None and r.action_base.shape != (ACTION_SIZE,):
                raise DataError(f"{where}, step {r.step_index} has a base action of shape {list(r.action_base.shape)}")


def features(layout: Layout, video: Mapping[str, Any] | None = None) -> dict[str, Feature]:
    """The ``features`` of ``meta/info.json``.

    Args:
        layout: of the dataset.
        video: for datasets with videos, what is said of them.
    """
    parts = [(p, i) for p in layout.state_spec.parts for i in range(p.size)]
    out: dict[str, Feature] = {
        STATE: _feature("float32", len(parts), [f"{p.name}.{i}" if p.size > 1 else p.name for p, i in parts])
        | {"units": [p.unit for p, _ in parts], "frames": [p.frame for p, _ in parts]}
    }
    for name, shape in layout.cameras.items():
        feature: Feature = {"dtype": "image", "shape": list(shape), "names": ["height", "width", "channels"]}
        if video is not None:
            sizes = {"video.height": shape[0], "video.width": shape[1], "video.channels": shape[2]}
            feature |= {"dtype": "video", "info": dict(video) | sizes}
        out[PICTURE + name] = feature
    for column in (ACTION, PROPOSAL, BASE):
        out[column] = _feature("float32", ACTION_SIZE, list(ACTION_NAMES))
    out |= {"next.reward": _feature("float32"), "next.done": _feature("bool"), "next.success": _feature("bool")}
    out |= {column: _feature(dtype) for column, (dtype, _) in _ATTRIBUTES.items()}
    out |= {REWARD + name: _feature("float64") for name in COMPONENTS}
    out[INFO + "discrete_penalty"] = _feature("float32")
    out |= {SOURCE: _feature("string"), ABSENT: _feature("string"), "timestamp": _feature("float32")}
    out |= {name: _feature("int64") for name in ("frame_index", "episode_index", "index", "task_index")}
    return out


def _feature(dtype: str, size: int = 1, names: list[str] | None = None) -> Feature:
    return {"dtype": dtype, "shape": [size], "names": names}


def columns_of(records: Sequence[StepRecord], layout: Layout, *, episode: int, first: int, task: int) -> Columns:
    """Everything of an episode but its pictures and its final observation.

    Args:
        records: of one episode.
        layout: of the dataset.
        episode: its number in the dataset.
        first: number of its first frame in the dataset.
        task: index of its task.

    Raises:
        DataError: a reward component is unknown.
    """
    steps = np.arange(len(records))
    rewards = np.array([[r.rewards.get(name, 0.0) for name in COMPONENTS] for r in records], np.float64)
    rows = np.stack([component_row(r.rewards) for r in records])
    zero = np.zeros(ACTION_SIZE, np.float32)
    out: Columns = {
        STATE: np.stack([r.obs.state for r in records]),
        ACTION: np.stack([r.action_executed for r in records]),
        PROPOSAL: np.stack([r.action_policy for r in records]),
        BASE: np.stack([zero if r.action_base is None else r.action_base for r in records]),
        "next.reward": step_rewards(records, layout.weights),
        "next.done": np.array([r.last for r in records]),
        "next.success": np.array([r.rewards.get("success", 0.0) > 0.5 for r in records]),
    }
    for column, (dtype, name) in _ATTRIBUTES.items():
        values = [getattr(r, name) for r in records]
        out[column] = np.array(values, object if dtype == "string" else dtype)
    out |= {REWARD + name: rewards[:, i] for i, name in enumerate(COMPONENTS)}
    out[INFO + "discrete_penalty"] = rows @ layout.weights.gripper()
    out[SOURCE] = np.array([r.source.name.lower() for r in records], object)
    out[ABSENT] = np.array([",".join(_absent(r)) for r in records], object)
    out["timestamp"] = (steps / layout.fps).astype(np.float32)
    out["frame_index"] = steps
    out["episode_index"] = np.full(len(records), episode)
    out["index"] = first + steps
    out["task_index"] = np.full(len(records), task)
    return out


def _absent(record: StepRecord) -> list[str]:
    """Optional values that the record lacks and that its columns hold a zero for."""
    base = [] if record.action_base is not None else ["action_base"]
    return base + [f"reward_{name}" for name in COMPONENTS if name not in record.rewards]


def records_of(
    columns: Columns, pictures: Sequence[Mapping[str, Image]], final: Observation, *, episode_id: str, task: str
) -> list[StepRecord]:
    """Inverse of `columns_of`.

    Args:
        columns: as `columns_of` gave them.
        pictures: by camera, for each step.
        final: what was seen after the last action.
        episode_id: of the episode.
        task: id of its task.

    Raises:
        DataError: a column is missing or holds what no record can.
    """
    try:
        records = []
        for i in range(len(pictures)):
            absent = set(str(columns[ABSENT][i]).split(","))
            given = [name for name in COMPONENTS if f"reward_{name}" not in absent]
            attributes = {name: columns[column][i] for column, (_, name) in _ATTRIBUTES.items()}
            ended = bool(attributes["terminated"] or attributes["truncated"])
            records.append(
                StepRecord(
                    episode_id=episode_id,
                    step_index=i,
                    obs=Observation(columns[STATE].reshape(len(pictures), -1)[i], pictures[i]),
                    action_executed=columns[ACTION][i],
                    action_policy=columns[PROPOSAL][i],
                    action_base=None if "action_base" in absent else columns[BASE][i],
                    rewards={name: float(columns[REWARD + name][i]) for name in given},
                    source=Source[str(columns[SOURCE][i]).upper()],
                    task=task,
                    final_obs=final if ended else None,
                    **{name: v.item() if isinstance(v, np.generic) else v for name, v in attributes.items()},
                )
            )
    except (KeyError, IndexError, TypeError) as e:
        raise DataError(f"the dataset is not as robot-rl exported it: {type(e).__name__} {e}") from e
    return records
