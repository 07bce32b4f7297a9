"""The card counts what is there, and TQ and SACo are what their definitions say."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.specs import Part, StateSpec
from robot_rl.core.transition import Observation, StepRecord
from robot_rl.data.card import make_card
from robot_rl.data.card_page import JSON_FILE, MARKDOWN_FILE, markdown, write_card
from robot_rl.data.coverage import coverage, coverage_cells, log_coverage, trajectory_quality, unique_cells
from tests.data.episodes import SPEC, episode
from tests.data.test_catalog import write

GAMMA = 0.9
POSE = StateSpec((Part("tcp_rotation", 3, "rad"), Part("force", 1, "N"), Part("tcp_position", 3, "m")))


def paid(number: int, steps: int, *, success: bool, interventions: tuple[int, ...] = ()) -> list[StepRecord]:
    """An episode whose only reward is its success."""
    records = episode(number, steps, terminated=success, interventions=interventions)
    return [replace(r, rewards={"success": r.rewards["success"]}) for r in records]


def make_run(path: Path, *, demos: bool = True) -> Path:
    (path / "demos").mkdir(parents=True)
    (path / "run.json").write_text(json.dumps({"run_id": "run", "task": "Toy", "git_commit": "f00"}))
    (path / "config.yaml").write_text(f"agent: {{gamma: {GAMMA}}}\n")
    if demos:
        write(path / "demos" / "000000.mcap", paid(0, 3, success=True))
        write(path / "demos" / "000001.mcap", paid(1, 5, success=True))
    write(path / "episodes" / "a0" / "000000.mcap", paid(10, 4, success=True, interventions=(1, 2)), "a0")
    write(path / "episodes" / "a0" / "000001.mcap", paid(11, 6, success=False), "a0")
    write(path / "episodes" / "a1" / "000000.mcap", paid(12, 2, success=True), "a1")
    write(path / "episodes" / "a1" / "000001.mcap", episode(13, 3, ended=False), "a1")
    (path / "episodes" / "a1" / "000002.mcap").write_bytes(b"nothing")
    return path


def test_the_card_counts_what_is_there(tmp_path: Path) -> None:
    card = make_card(make_run(tmp_path / "run"))
    assert (card.run_id, card.task, card.gamma, card.git_commit) == ("run", "Toy", GAMMA, "f00")
    t = card.training
    assert (t.episodes, t.unfinished, t.unreadable, t.steps, t.successes) == (3, 1, 1, 15, 2)
    assert (t.intervention_steps, t.intervention_share) == (2, pytest.approx(2 / 15))
    assert (t.length_min, t.length_max, t.length_mean) == (2, 6, 4.0)
    assert t.bytes == sum(p.stat().st_size for p in (tmp_path / "run" / "episodes").rglob("*.mcap*"))
    assert (card.helped.episodes, card.helped.success_rate) == (1, 1.0)
    assert (card.unaided.episodes, card.unaided.success_rate) == (2, 0.5)
    assert card.demonstrations.success_rate == 1.0 and card.demonstrations.steps == 8
    assert card.steps_by_source == {"policy": 13, "operator": 2}
    assert {name: g.steps for name, g in card.actors.items()} == {"a0": 10, "a1": 5}
    assert card.began_s == 1.7e9 and card.ended_s == pytest.approx(1.7e9 + 0.5)
    assert sum(n for _, n in card.versions) == 6 and "numpy" in card.versions[0][0]


def test_tq_is_the_ratio_of_mean_discounted_returns(tmp_path: Path) -> None:
    card = make_card(make_run(tmp_path / "run"))
    demos, training = (GAMMA**2 + GAMMA**4) / 2, (GAMMA**3 + 0.0 + GAMMA) / 3
    assert card.demonstrations.return_mean == pytest.approx(demos)
    assert card.training.return_mean == pytest.approx(training)
    assert card.tq == pytest.approx(training / demos)


def test_without_demonstrations_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    card = make_card(make_run(tmp_path / "run", demos=False))
    assert (card.tq, card.saco, card.log_saco) == (None, None, None)
    assert card.demonstrations.episodes == 0 and card.demonstrations.success_rate is None
    assert "| TQ       |     - |" in markdown(card)


def test_the_card_is_written_as_page_and_data(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    card, page, data = write_card(run)
    assert (page, data) == (run / MARKDOWN_FILE, run / JSON_FILE)
    said = json.loads(data.read_text())
    assert said["tq"] == card.tq and said["training"]["steps"] == 15
    text = page.read_text()
    assert "1 unfinished and 1 unreadable" in text and "| a1 " in text
    assert max(map(len, text.splitlines())) <= 100
    assert write_card(run)[0] == card, "a card does not change what it counts"


def test_what_is_no_run_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run folder"):
        make_card(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"run_id": "run"}))
    (tmp_path / "config.yaml").write_text("agent: {gamma: high}")
    with pytest.raises(ConfigError, match="no discount"):
        make_card(tmp_path)
    (tmp_path / "config.yaml").write_text("agent: {gamma: 0.9}")
    with pytest.raises(DataError, match="holds no episode"):
        make_card(tmp_path)


def steps_at(spec: StateSpec, states: list[list[float]], actions: list[list[float]]) -> list[StepRecord]:
    base = episode(0, 1)[0]
    return [
        replace(base, obs=Observation(np.array(s, np.float32)), action_executed=np.array(a + [0.0] * 4, np.float32))
        for s, a in zip(states, actions, strict=True)
    ]


def test_a_cell_is_a_centimetre_five_degrees_and_an_octant() -> None:
    five_deg = math.radians(5.0)
    rows = coverage_cells(
        steps_at(
            POSE,
            [[1.5 * five_deg, 0.0, -0.5 * five_deg, 99.0, 0.015, -0.001, 0.299]] * 2,
            [[0.5, -0.5, 0.0], [0.5, 0.5, -0.1]],
        ),
        POSE,
    )
    assert rows.tolist() == [[1, -1, 29, 1, 0, -1, 0, 1, 0], [1, -1, 29, 1, 0, -1, 0, 0, 1]]


def test_a_state_without_a_pose_is_binned_by_its_scales() -> None:
    rows = coverage_cells(steps_at(SPEC, [[0.3, -0.1, 0.05]], [[0.0, 0.0, -1.0]]), SPEC)
    assert rows.tolist() == [[1, -1, 2, 0, 0, 1]]


@given(st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), max_size=30), st.integers(0, 30))
def test_cells_are_counted_once_however_they_are_split(cells: list[list[int]], split: int) -> None:
    rows = np.array(cells, np.int32).reshape(-1, 3)
    assert unique_cells([rows[:split], rows[split:]]) == len({tuple(c) for c in cells})


def test_measures_follow_their_definitions() -> None:
    assert coverage(30, 20) == 1.5 and log_coverage(400, 20) == pytest.approx(2.0)
    assert coverage(30, 0) is None and log_coverage(30, 1) is None
    assert trajectory_quality([0.5, 0.1], [0.6]) == pytest.approx(0.5)
    assert trajectory_quality([], [0.6]) is None and trajectory_quality([0.5], []) is None
    assert trajectory_quality([0.5], [-0.1]) is None, "demonstrations that earn nothing are no measure"


def test_readings_far_outside_are_a_cell_too() -> None:
    rows = coverage_cells(steps_at(SPEC, [[1e30, -1e30, 0.0]], [[0.0, 0.0, 0.0]]), SPEC)
    assert rows.dtype == np.int32 and rows[0, 0] > 0 > rows[0, 1]
