"""The step record refuses what would poison a replay buffer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, Source, StepRecord

OBS = Observation(np.zeros(3, np.float32))
GOOD = StepRecord(
    episode_id="e",
    step_index=0,
    obs=OBS,
    action_executed=np.zeros(7, np.float32),
    action_policy=np.zeros(7, np.float32),
    rewards={"success": 0.0},
    terminated=False,
    truncated=False,
    stop_reason="",
    intervention=False,
    source=Source.POLICY,
    policy_version=0,
    task="Reach",
    t_wall_s=0.0,
    t_control_s=0.1,
)


def test_a_sound_record_passes() -> None:
    GOOD.validate()
    replace(GOOD, terminated=True, final_obs=OBS).validate()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"terminated": True}, "final_obs must be present exactly when the episode ends"),
        ({"truncated": True}, "final_obs must be present exactly when the episode ends"),
        ({"final_obs": OBS}, "final_obs must be present exactly when the episode ends"),
        ({"action_executed": np.zeros(6, np.float32)}, r"action_executed is float32\[6\], expected float32\[7\]"),
        ({"action_policy": np.zeros(7)}, "action_policy is float64"),
        ({"action_executed": np.full(7, 1.1, np.float32)}, r"leaves \[-1, 1\]"),
        ({"action_executed": np.full(7, np.nan, np.float32)}, r"leaves \[-1, 1\]"),
        ({"obs": Observation(np.full(3, np.nan, np.float32))}, "state must be finite"),
        ({"obs": Observation(np.zeros(3))}, "state must be finite float32"),  # type: ignore[arg-type]
        ({"rewards": {"success": float("inf")}}, "reward component is not finite"),
    ],
)
def test_a_bad_record_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(GOOD, **change).validate()  # type: ignore[arg-type]
