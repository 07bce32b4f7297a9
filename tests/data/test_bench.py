"""The bench runs and reports what its docstring promises; how fast is for a quiet machine to say."""

import sys
from pathlib import Path

import pytest

from robot_rl.core.errors import DeviceError
from robot_rl.data.bench import LeRobot, replay_bench


def test_rows_are_complete() -> None:
    rows = replay_bench(transitions=300, image_frames=100, rounds=2)
    assert [row["transitions"] for row in rows] == [5120, 5120, 256, 256, 256]
    for row in rows:
        assert all(row[key] > 0 for key in row if key != "case")
        assert row["ms_min"] <= row["ms_median"]
    assert rows[2]["kib_per_transition"] * 1024 - rows[0]["kib_per_transition"] * 1024 == 98_304
    for row, copies in ((rows[3], 1), (rows[4], 4)):
        assert row["kib_per_transition"] * 1024 - rows[0]["kib_per_transition"] * 1024 == copies * 2 * 4 * 4 * 512 * 2


def test_a_peer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot start"):
        LeRobot(tmp_path / "python", 10)
    with pytest.raises(DeviceError, match="pip install lerobot"):
        LeRobot(Path(sys.executable), 10)
