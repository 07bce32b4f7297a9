"""The report says how far a classifier parts from the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.evaluation.charts import draw
from robot_rl.evaluation.report_detector import JudgedEpisode, detector_charts, detector_facts, read_judged

SPEC = StateSpec((Part("x", 1, "m"),))


def write(path: Path, truth: list[float], *, seen: bool, stop: str = "") -> None:
    zero, obs = np.zeros(7, np.float32), Observation(np.zeros(1, np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    with EpisodeWriter(path, EpisodeMeta("Reach", SPEC, ActionSpec(0.02, 0.1))) as writer:
        for k, value in enumerate(truth):
            last = k == len(truth) - 1
            rewards = {"success": float(last and seen), "p_success": 0.5, "truth": value}
            reason = (stop or ("success" if seen else "time_out")) if last else ""
            writer.append(
                StepRecord(
                    path.stem, k, obs, zero, zero, rewards, last and seen, last and not seen, reason, False,
                    Source.POLICY, 0, "Reach", 1.0 + k, 0.1 * k, final_obs=obs if last else None,
                )
            )  # fmt: skip


def test_episodes_are_judged_from_the_log(tmp_path: Path) -> None:
    write(tmp_path / "a0" / "000000.mcap", [0.0, 1.0], seen=True)
    write(tmp_path / "a0" / "000001.mcap", [0.0, 0.0, 0.0], seen=True)
    write(tmp_path / "a0" / "000002.mcap", [0.0, 1.0, 0.0], seen=False)
    write(tmp_path / "a0" / "000003.mcap", [0.0], seen=False, stop="vetoed")
    (tmp_path / "a0" / "000004.mcap").write_bytes(b"broken")
    episodes = read_judged(tmp_path)
    assert episodes == [
        JudgedEpisode(2, True, True, True, False),
        JudgedEpisode(3, True, False, False, False),
        JudgedEpisode(3, False, False, True, False),
        JudgedEpisode(1, False, False, False, True),
    ]
    facts = detector_facts(episodes, "m")
    assert facts["precision by episode"].startswith("50.0% (1 of 2")
    assert facts["recall by episode"].startswith("50.0% (1 of 2")
    assert (facts["false successes"], facts["successes not seen"], facts["vetoed by a person"]) == ("1", "1", "1")
    pages = [draw(chart) for chart in detector_charts(episodes)]
    assert all("<svg" in page for page in pages)
