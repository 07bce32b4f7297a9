"""Foreign data becomes our records by an explicit mapping, and every doubt is a question to the user."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.transition import Source
from robot_rl.data.demos import load_demos
from robot_rl.data.episode_log import Episode, read_episode
from robot_rl.data.exchange.foreign import ImportMapping, StatePart
from robot_rl.data.exchange.lerobot_in import import_lerobot
from robot_rl.data.exchange.lerobot_out import SIDECAR, export_lerobot
from robot_rl.data.exchange.serl import import_serl
from tests.data.episodes import SPEC, TASK
from tests.data.exchange.pickles import write_pickle
from tests.data.exchange.samples import picture, transitions, write_foreign, write_run

MAPPING = ImportMapping(TASK, position_m=0.02, rotation_rad=0.1)


def episodes(folder: Path) -> list[Episode]:
    return [read_episode(p) for p in sorted(folder.rglob("*.mcap"))]


def imported(tmp_path: Path, mapping: ImportMapping = MAPPING, **options: Any) -> list[Episode]:
    write_foreign(tmp_path / "dataset", (4, 3), **options)
    import_lerobot(tmp_path / "dataset", tmp_path / "out", mapping)
    return episodes(tmp_path / "out")


def test_a_success_keeps_its_last_step_and_a_cut_gives_it_up(tmp_path: Path) -> None:
    """Without the observation after it, the last action of a truncated episode has no known outcome."""
    won, cut = imported(tmp_path)
    assert (len(won.records), won.records[-1].terminated, won.records[-1].stop_reason) == (4, True, "success")
    assert (len(cut.records), cut.records[-1].truncated, cut.records[-1].stop_reason) == (2, True, "imported")
    end = cut.records[-1].final_obs
    assert end is not None
    assert end.state[:2].tolist() == [1.0, 2.0], "the frame after the last step that is kept"
    assert np.array_equal(end.images["front"], picture(1, 2))


def test_records_carry_what_the_dataset_says(tmp_path: Path) -> None:
    won, _ = imported(tmp_path, extra={"complementary_info.is_intervention": True})
    for i, r in enumerate(won.records):
        assert r.obs.state[:2].tolist() == [0.0, i]
        assert np.array_equal(r.obs.images["front"], picture(0, i))
        assert r.rewards["success"] == float(i == 3)
        assert (r.source, r.intervention, r.policy_version) == (Source.DEMO, True, -1)
        assert np.array_equal(r.action_policy, r.action_executed)
        assert r.t_control_s == pytest.approx((i + 1) / 20)
    assert won.meta.task == TASK
    assert (won.meta.action_spec.position_m, won.meta.action_spec.rotation_rad) == (0.02, 0.1)
    assert [(p.name, p.size) for p in won.meta.state_spec.parts] == [("observation_state", 6)]


def test_parts_match_the_layout_of_a_task(tmp_path: Path) -> None:
    column = "observation.state"
    parts = (
        StatePart("position", column, 2, 2, "m", "base"),
        StatePart("width", column, 0, 1, "m", scale=0.08),
    )
    won, _ = imported(tmp_path, replace(MAPPING, parts=parts))
    assert won.meta.state_spec == SPEC
    assert len(load_demos(tmp_path / "out", SPEC, TASK)) == 2


def test_actions_are_chosen_and_scaled(tmp_path: Path) -> None:
    plain = imported(tmp_path / "a")[0].records[0].action_executed
    mapping = replace(MAPPING, action_index=(2, 1, 0, None, None, None, 6), action_scale=(0.5,) * 6 + (-1.0,))
    mapped = imported(tmp_path / "b", mapping)[0].records[0].action_executed
    expected = [plain[2] / 2, plain[1] / 2, plain[0] / 2, 0, 0, 0, -plain[6]]
    assert mapped.tolist() == pytest.approx(expected)


def test_actions_beyond_the_range_are_refused_or_clipped(tmp_path: Path) -> None:
    far = replace(MAPPING, action_scale=(10.0,) * 7)
    with pytest.raises(DataError, match=r"leaves \[-1, 1\]: give action_scale"):
        imported(tmp_path / "a", far)
    assert not (tmp_path / "a" / "out").exists()
    clipped = imported(tmp_path / "b", replace(far, clip=True))
    assert np.abs(clipped[0].records[0].action_executed).max() == 1.0


@pytest.mark.parametrize(("success", "wins"), [("all", [1, 1]), ("none", [0, 0]), ("next.done", [1, 1])])
def test_success_can_be_stated(tmp_path: Path, success: str, wins: list[int]) -> None:
    found = imported(tmp_path, replace(MAPPING, success=success))
    assert [int(e.success) for e in found] == wins


def test_a_failure_can_terminate(tmp_path: Path) -> None:
    found = imported(tmp_path, replace(MAPPING, success="none", terminated="next.done"))
    assert [e.records[-1].stop_reason for e in found] == ["terminated", "terminated"]
    assert [len(e.records) for e in found] == [4, 3]


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        ({"position_m": None}, {}, ConfigError, "--position-m and --rotation-rad"),
        ({"state": ("observation.stat",)}, {}, DataError, "did you mean 'observation.state'"),
        ({"action": "actions"}, {}, DataError, "did you mean 'action'"),
        ({"action": "observation.state"}, {}, DataError, "has 6 values, expected 7: say in action_index"),
        ({"action_index": (0, 1, 2, 3, 4, 5, 9)}, {}, DataError, r"action_index names \[9\]"),
        ({"cameras": {"side": "frnt"}}, {}, DataError, "did you mean 'front'"),
        ({"parts": (StatePart("a", "observation.state", 5, 2),)}, {}, DataError, "needs values 5 to 6 .* which has 6"),
        ({"success": "observation.state"}, {}, DataError, "has 6 values, expected one"),
        ({}, {"without": ["next.reward"]}, DataError, "--success COLUMN, --success all or none"),
    ],
)
def test_a_mapping_that_does_not_fit_is_one_sentence(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        imported(tmp_path, replace(MAPPING, **change), **options)
    assert not (tmp_path / "out").exists()


def test_mappings_are_checked_before_any_data() -> None:
    with pytest.raises(ConfigError, match="--task NAME"):
        ImportMapping("")
    with pytest.raises(ConfigError, match="action_scale has 3 values"):
        ImportMapping(TASK, action_scale=(1.0, 1.0, 1.0))


def test_a_foreign_dataset_needs_a_mapping(tmp_path: Path) -> None:
    write_foreign(tmp_path / "dataset", (2,))
    with pytest.raises(ConfigError, match="was not exported by robot-rl"):
        import_lerobot(tmp_path / "dataset", tmp_path / "out")


def test_our_export_without_its_extra_table_is_foreign(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    export_lerobot(tmp_path / "run", tmp_path / "dataset", video=False)
    (tmp_path / "dataset" / SIDECAR).unlink()
    import_lerobot(tmp_path / "dataset", tmp_path / "out", MAPPING)
    assert [len(e.records) for e in episodes(tmp_path / "out")] == [3, 5, 3]


OLD = json.dumps({"codebase_version": "v2.1", "fps": 1, "features": {}})


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("meta/info.json", "", "is no LeRobot dataset"),
        ("meta/info.json", '{"fps": 1}', "is no LeRobot dataset"),
        ("meta/info.json", OLD, "v2.1, expected v3.0: convert it"),
        ("data/chunk-000/file-000.parquet", None, "holds no chunk"),
        ("data/chunk-000/file-000.parquet", "PAR1 not", "cannot read"),
        ("meta/episodes/chunk-000/file-000.parquet", "PAR1 not", "cannot read"),
    ],
)
def test_a_broken_dataset_is_one_sentence(tmp_path: Path, file: str, content: str | None, says: str) -> None:
    path = write_foreign(tmp_path / "dataset", (2,)) / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=says):
        import_lerobot(tmp_path / "dataset", tmp_path / "out", MAPPING)


def test_a_dataset_cannot_write_outside_the_folder(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_run(tmp_path / "run")
    export_lerobot(tmp_path / "run", tmp_path / "dataset")
    table = pq.read_table(tmp_path / "dataset" / SIDECAR)
    evil = table.set_column(1, "file", pa.array(["../../evil.mcap"] * 3))
    pq.write_table(evil, tmp_path / "dataset" / SIDECAR)
    with pytest.raises(DataError, match="expected a path below the folder"):
        import_lerobot(tmp_path / "dataset", tmp_path / "out")


def test_serl_demonstrations(tmp_path: Path) -> None:
    file = write_pickle(tmp_path / "demos.pkl", transitions((4, 3)))
    report = import_serl(file, tmp_path / "out", MAPPING)
    assert (report.episodes, report.steps) == (2, 7)
    for e, episode in enumerate(episodes(tmp_path / "out")):
        assert episode.success
        assert [r.obs.state[1] for r in episode.records] == list(range(len(episode.records)))
        end = episode.records[-1].final_obs
        assert end is not None
        assert np.array_equal(end.images["wrist_1"], picture(e, len(episode.records))), "what was seen after the end"
        assert [r.rewards["grasp_penalty"] for r in episode.records][:3] == [0.0, -1.0, 0.0], "counted, not weighted"
        assert episode.records[0].obs.state.shape == (7,)


def test_a_serl_time_out_is_truncated(tmp_path: Path) -> None:
    """Its masks say the value ends there, because a time-out was put into done."""
    import_serl(write_pickle(tmp_path / "x.pkl", transitions((3,), success=False)), tmp_path / "out", MAPPING)
    last = episodes(tmp_path / "out")[0].records[-1]
    assert (last.terminated, last.truncated, last.stop_reason) == (False, True, "done")


def test_buffers_are_cut_where_they_do_not_follow(tmp_path: Path) -> None:
    """A buffer of human transitions only has gaps without any sign in `dones`; files follow each other by number."""
    steps = transitions((6,))
    for i, part in ((10, steps[4:]), (9, steps[:2])):
        write_pickle(tmp_path / "demo_buffer" / f"transitions_{i}.pkl", part)
    import_serl(tmp_path / "demo_buffer", tmp_path / "out", MAPPING)
    first, second = episodes(tmp_path / "out")
    assert [r.obs.state[1] for r in first.records] == [0, 1]
    assert [r.obs.state[1] for r in second.records] == [4, 5]
    assert (first.records[-1].stop_reason, second.records[-1].stop_reason) == ("gap", "success")


def test_an_episode_goes_on_in_the_next_file(tmp_path: Path) -> None:
    steps = transitions((6,))
    for i, part in ((1000, steps[2:]), (999, steps[:2])):
        write_pickle(tmp_path / "buffer" / f"transitions_{i}.pkl", part)
    report = import_serl(tmp_path / "buffer", tmp_path / "out", MAPPING)
    assert (report.episodes, report.steps) == (1, 6)


def test_human_actions_in_a_policy_buffer_are_the_operators(tmp_path: Path) -> None:
    steps = transitions((3,))
    steps[1]["infos"]["intervene_action"] = steps[1]["actions"]
    file = write_pickle(tmp_path / "x.pkl", steps)
    import_serl(file, tmp_path / "out", replace(MAPPING, source="policy"))
    sources = [(r.source, r.intervention) for r in episodes(tmp_path / "out")[0].records]
    assert sources == [(Source.POLICY, False), (Source.OPERATOR, True), (Source.POLICY, False)]


def test_six_actions_leave_the_gripper_alone(tmp_path: Path) -> None:
    file = write_pickle(tmp_path / "x.pkl", transitions((2,), gripper=False))
    with pytest.raises(DataError, match="say in action_index"):
        import_serl(file, tmp_path / "a", MAPPING)
    import_serl(file, tmp_path / "b", replace(MAPPING, action_index=(0, 1, 2, 3, 4, 5, None)))
    assert episodes(tmp_path / "b")[0].records[0].action_executed[6] == 0.0


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"a": 1}, "holds a dict, expected a list of transitions"),
        ([], "holds a list"),
        ([1], "expected a dictionary with observations"),
        ([{"observations": 1}], "expected a dictionary with observations"),
        ([{**transitions((1,))[0], "dones": "yes"}], "'dones' that is not one truth value"),
        (
            [{**transitions((1,))[0], "observations": {"wrist_1": np.zeros((2, 2, 4), np.uint8)}}],
            r"of shape \[2, 2, 4\]",
        ),
    ],
)
def test_other_pickles_are_one_sentence(tmp_path: Path, value: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        import_serl(write_pickle(tmp_path / "x.pkl", value), tmp_path / "out", MAPPING)


def test_no_pickle_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.pkl or \.pickle file"):
        import_serl(tmp_path, tmp_path / "out", MAPPING)
