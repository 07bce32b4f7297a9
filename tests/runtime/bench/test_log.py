"""The log bench reports what its docstring promises; how fast is for a quiet machine to say."""

from robot_rl.runtime.bench.log import checkpoint_rates, log_rates


def test_rows_are_complete() -> None:
    rows = log_rates(episodes=4, steps=5)
    assert len(rows) == 6
    assert all(value > 0 for row in rows for value in row.values() if not isinstance(value, str))
    states, pictures = rows[0]["kb_per_step"], rows[3]["kb_per_step"]
    assert pictures - states > 95, "noise cannot be compressed, so nothing was lost"


def test_a_checkpoint_is_weighed() -> None:
    (row,) = checkpoint_rates(rounds=1)
    assert row["mb"] > 1 and row["save_ms"] > 0 and row["load_ms"] > 0
