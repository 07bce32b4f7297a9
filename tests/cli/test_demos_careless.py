"""`robot-rl demos record --careless`: who aims beside the goal fails, is kept on request, and is nobody's hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from robot_rl.cli.demos import RecordArguments, run
from robot_rl.core.errors import ConfigError
from robot_rl.data.episode_log import read_episode


def test_all_careless_attempts_at_a_small_goal_fail_and_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--task-options", "episode_steps=20", "tolerance_m=0.01", "--out", str(tmp_path)]
    assert run(["record", "Reach", "--n", "3", "--careless", "1", "--keep-failures", *flags]) == 0
    assert "3 demonstrations (3 of them failed)" in capsys.readouterr().out
    for file in sorted(tmp_path.glob("*.mcap")):
        episode = read_episode(file)
        assert not episode.success and episode.records[-1].truncated
        last = episode.records[-1].final_obs
        assert last is not None
        off_m = episode.meta.state_spec.unpack(last.state)["marker_position"]
        assert 0.02 < float((off_m**2).sum() ** 0.5) < 0.06, "it ends where it aimed, 4 cm beside the marker"


@pytest.mark.parametrize("changes", [{"careless": 0.5}, {"keep_failures": True}])
def test_a_person_is_not_asked_to_err(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="leave out --device"):
        RecordArguments("Reach", device="keyboard", **changes)  # type: ignore[arg-type]


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"careless is 1\.5"):
        RecordArguments("Reach", careless=1.5)
