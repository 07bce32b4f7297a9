"""The arithmetic of the benchmark; the timings themselves are not asserted."""

import sys
from dataclasses import replace

import pytest

from robot_rl.agents import bench
from robot_rl.agents.config import PRESETS, SacConfig
from robot_rl.core.errors import DeviceError


def test_operations_are_counted_as_by_hand() -> None:
    config = SacConfig(hidden=(5,), critics=2, subset=1, utd=3, actor_steps=1, batch_size=10)
    # critic layers (3+2)x5 and 5x1: 50 + 10 per row forward; actor layers 3x5 and 5x4: 30 + 40
    critic_step = 2 * (60 + 60 + 10) + 60 + 70  # forward, weights, inputs of the last layer; target; next action
    actor_step = (70 + 70 + 40) + 2 * (60 + 60)  # actor; critics forward and back to their inputs
    counted = bench.update_gflop(config, state_size=3, action_size=2)
    assert counted == pytest.approx(10 * (3 * critic_step + actor_step) / 1e9)


def test_a_wider_target_costs_more() -> None:
    rlpd = PRESETS["rlpd"]
    assert bench.update_gflop(replace(rlpd, subset=10)) > bench.update_gflop(rlpd)


def test_rows_relate_to_the_peer_and_to_the_matrix_rate() -> None:
    times = {
        "RLPD step": [{"cpu_ms": 200.0, "wall_ms": 110.0}, {"cpu_ms": 100.0, "wall_ms": 90.0}],
        "matrix products": [{"cpu_ms": 10.0, "wall_ms": 9.0}] * 2,
        "SBX": [{"cpu_ms": 150.0, "wall_ms": 90.0}] * 2,
    }
    rows = bench._rows(times, {"RLPD step": 4.0, "matrix products": 0.5, "SBX": 5.0})
    own, bare, peer = rows
    assert (own["cpu_ms_min"], own["cpu_ms_median"], own["wall_ms_min"]) == (100.0, 150.0, 90.0)
    assert own["speed_against_sbx"] == 1.5
    assert own["gflop_per_cpu_s"] == 40.0
    assert own["share_of_matrix_rate"] == 0.8
    assert bare["share_of_matrix_rate"] == 1.0
    assert "speed_against_sbx" not in peer


def test_contestants_take_turns_and_the_first_round_is_not_kept() -> None:
    order: list[str] = []

    def contestant(name: str) -> bench.Round:
        def run() -> dict[str, float]:
            order.append(name)
            return {"cpu_ms": float(len(order)), "wall_ms": 0.0}

        return run

    times = bench.interleaved({name: contestant(name) for name in "ab"}, 2)
    assert "".join(order) == "ababab"
    assert [t["cpu_ms"] for t in times["a"]] == [3.0, 5.0]


def test_a_python_without_the_peer_says_what_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    peer = bench.Peer(sys.executable, PRESETS["rlpd"])
    try:
        with pytest.raises(DeviceError, match="pip install sbx-rl"):
            peer.round()
    finally:
        peer.close()
        peer.close()
    assert "No module named 'sbx'" in capfd.readouterr().err


def test_own_rounds_report_both_clocks() -> None:
    tiny = SacConfig(hidden=(4,), utd=1, batch_size=4)
    assert set(bench._update_round(tiny)()) == {"cpu_ms", "wall_ms"}
    run, gflop = bench._matrix_round(tiny)
    assert gflop == pytest.approx(2e-9 * 2 * 4**3 * bench.MATRIX_REPEATS)
    assert run()["wall_ms"] > 0
