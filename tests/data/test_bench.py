"""The bench runs and reports what its docstring promises; how fast is for a quiet machine to say."""

from robot_rl.data.bench import replay_bench


def test_rows_are_complete() -> None:
    rows = replay_bench(transitions=300, image_frames=100, rounds=2)
    assert [row["transitions"] for row in rows] == [5120, 5120, 256]
    for row in rows:
        assert all(row[key] > 0 for key in row if key != "case")
        assert row["ms_min"] <= row["ms_median"]
    assert rows[2]["kib_per_transition"] * 1024 - rows[0]["kib_per_transition"] * 1024 == 98_304
