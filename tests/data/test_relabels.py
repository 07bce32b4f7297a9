"""Relabels: beside the episodes, one value a step, never half written; success moves the end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.data.episode_log import EpisodeWriter, read_episode
from robot_rl.data.relabels import (
    Relabels,
    apply_relabels,
    read_relabels,
    relabel_names,
    relabels_path,
    write_relabels,
)
from robot_rl.data.rewards import COMPONENTS
from tests.data.episodes import META, episode, same

values_st = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=9)


@given(
    st.dictionaries(st.text(min_size=1, max_size=20), values_st, min_size=1, max_size=4), st.sampled_from(COMPONENTS)
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, values: dict[str, list[float]], component: str) -> None:
    if "__metadata__" in values:
        return
    folder = tmp_path_factory.mktemp("episodes")
    rows = {name: np.array(v, np.float32) for name, v in values.items()}
    write_relabels(folder, "first.try", component, "abc", rows, note="for people")
    back = read_relabels(folder, "first.try")
    assert (back.component, back.model, back.note) == (component, "abc", "for people")
    assert back.time_s > 1.7e9
    assert set(back.values) == set(rows)
    for name, row in rows.items():
        np.testing.assert_array_equal(back.values[name], row)


def test_writing_again_replaces_the_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write_relabels(tmp_path, "a", "process", "one", {"e": np.zeros(2, np.float32), "f": np.zeros(1, np.float32)})
    write_relabels(tmp_path, "a", "process", "two", {"e": np.ones(2, np.float32)})
    assert set(read_relabels(tmp_path, "a").values) == {"e"}
    assert relabel_names(tmp_path) == ["a"]
    assert [p.name for p in (tmp_path / "relabels").iterdir()] == ["a.safetensors"]


def test_a_log_is_not_edited(tmp_path: Path) -> None:
    path = tmp_path / "0001.mcap"
    with EpisodeWriter(path, META) as writer:
        for record in episode(1, 4, terminated=True):
            writer.append(record)
    before = path.read_bytes()
    records = read_episode(path).records
    write_relabels(tmp_path, "zero", "process", "m", {"episode-1": np.zeros(4, np.float32)})
    relabelled = apply_relabels(records, read_relabels(tmp_path, "zero"))
    assert [r.rewards["process"] for r in relabelled] == [0.0] * 4
    assert path.read_bytes() == before
    assert all(same(a, b) for a, b in zip(records, read_episode(path).records, strict=True))


@given(st.integers(1, 6), st.booleans(), st.sampled_from([c for c in COMPONENTS if c != "success"]))
def test_a_component_is_replaced_and_nothing_else(steps: int, terminated: bool, component: str) -> None:
    records = episode(3, steps, terminated=terminated)
    values = np.linspace(-1, 1, steps).astype(np.float32)
    relabels = Relabels("x", component, "model", {"episode-3": values})
    new = apply_relabels(records, relabels)
    assert [r.rewards[component] for r in new] == values.tolist()
    for old, r in zip(records, new, strict=True):
        r.validate()
        assert r.reward_version == relabels.version > 0
        assert {**old.rewards, component: 0} == {**r.rewards, component: 0}
        assert (old.terminated, old.truncated, old.stop_reason) == (r.terminated, r.truncated, r.stop_reason)


@given(st.integers(1, 6), st.booleans(), st.data())
def test_success_moves_the_end(steps: int, terminated: bool, data: st.DataObject) -> None:
    records = episode(3, steps, terminated=terminated)
    flags = data.draw(st.lists(st.booleans(), min_size=steps, max_size=steps))
    new = apply_relabels(records, Relabels("x", "success", "m", {"episode-3": np.array(flags, np.float32)}))
    for r in new:
        r.validate()
    assert [r.last for r in new] == [False] * (len(new) - 1) + [True]
    if True in flags:
        assert len(new) == flags.index(True) + 1
        assert new[-1].terminated and new[-1].rewards["success"] == 1.0
        expected = records[len(new)].obs if len(new) < steps else records[-1].final_obs
        assert new[-1].final_obs is expected
    else:
        assert len(new) == steps
        assert not new[-1].terminated and new[-1].truncated
        assert not any(r.rewards["success"] for r in new)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    records = episode(1, 3)
    with pytest.raises(DataError, match="say nothing of episode 'episode-1'"):
        apply_relabels(records, Relabels("x", "process", "m", {}))
    with pytest.raises(DataError, match="each of the 3 steps"):
        apply_relabels(records, Relabels("x", "process", "m", {"episode-1": np.zeros(2, np.float32)}))
    with pytest.raises(DataError, match="unknown reward component 'proces'.*'process'"):
        write_relabels(tmp_path, "a", "proces", "m", {"e": np.zeros(1, np.float32)})
    with pytest.raises(DataError, match="finite"):
        write_relabels(tmp_path, "a", "process", "m", {"e": np.full(1, np.nan, np.float32)})
    with pytest.raises(DataError, match="would be empty"):
        write_relabels(tmp_path, "a", "process", "m", {})
    assert not (tmp_path / "relabels").exists()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "sp ace"])
def test_names_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name relabels"):
        relabels_path(tmp_path, name)


def test_absent_and_foreign_files_are_named(tmp_path: Path) -> None:
    write_relabels(tmp_path, "clip-v1", "process", "m", {"e": np.zeros(1, np.float32)})
    with pytest.raises(DataError, match="unknown relabels 'clip-v2': did you mean 'clip-v1'"):
        read_relabels(tmp_path, "clip-v2")
    relabels_path(tmp_path, "junk").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"junk\.safetensors holds no relabels"):
        read_relabels(tmp_path, "junk")
    save_file({"e": np.zeros(1, np.float32)}, relabels_path(tmp_path, "bare"))
    with pytest.raises(DataError, match="holds no relabels"):
        read_relabels(tmp_path, "bare")
    facts = {"format": 99, "component": "process", "model": "m", "time_s": 0, "note": ""}
    save_file({"e": np.zeros(1, np.float32)}, relabels_path(tmp_path, "newer"), {"robot_rl": json.dumps(facts)})
    with pytest.raises(DataError, match="format 99, expected 1"):
        read_relabels(tmp_path, "newer")


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "relabels").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        write_relabels(tmp_path, "a", "process", "m", {"e": np.zeros(1, np.float32)})
