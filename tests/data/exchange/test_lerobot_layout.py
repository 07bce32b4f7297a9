"""The files are what LeRobotDataset v3.0 documents, read with pyarrow alone."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from robot_rl.data.episode_log import read_episode
from robot_rl.data.exchange.lerobot_out import export_lerobot
from robot_rl.data.rewards import RewardWeights, step_rewards
from tests.data.exchange.samples import write_run


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    root = tmp_path_factory.mktemp("exported")
    files = write_run(root / "run")
    export_lerobot(root / "run", root / "dataset", robot_type="franka")
    return root / "dataset", files


@pytest.fixture(scope="module")
def info(exported: tuple[Path, list[Path]]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((exported[0] / "meta/info.json").read_text())
    return loaded


def table(dataset: Path, name: str = "data/chunk-000/file-000.parquet") -> Any:
    return pq.read_table(dataset / name)


def test_info_says_what_there_is(exported: tuple[Path, list[Path]], info: dict[str, Any]) -> None:
    counts = {k: info[k] for k in ("total_episodes", "total_frames", "total_tasks", "fps", "splits")}
    assert counts == {"total_episodes": 3, "total_frames": 12, "total_tasks": 1, "fps": 10, "splits": {"train": "0:3"}}
    assert (info["codebase_version"], info["robot_type"], info["video_path"]) == ("v3.0", "franka", None)
    assert (exported[0] / info["data_path"].format(chunk_index=0, file_index=0)).is_file()
    state = info["features"]["observation.state"]
    assert state["names"] == ["position.0", "position.1", "width"]
    assert state["units"] == ["m", "m", "m"]
    assert state["frames"] == ["base", "base", ""]
    assert info["features"]["observation.images.side"] == {
        "dtype": "image",
        "shape": [3, 4, 3],
        "names": ["height", "width", "channels"],
    }


def test_columns_have_the_types_that_the_features_state(
    exported: tuple[Path, list[Path]], info: dict[str, Any]
) -> None:
    schema = table(exported[0]).schema
    assert set(schema.names) == set(info["features"])
    for name, feature in info["features"].items():
        kind, size = schema.field(name).type, feature["shape"][0]
        if feature["dtype"] == "image":
            assert kind == pa.struct({"bytes": pa.binary(), "path": pa.string()})
            continue
        value = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_()}
        value["string"] = pa.string()
        plain = value[feature["dtype"]]
        assert kind == (plain if size == 1 else pa.list_(plain, size)), name
    for name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        assert info["features"][name]["shape"] == [1]
    told = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert set(told) == set(schema.names)
    assert told["observation.images.side"] == {"_type": "Image"}


def test_rows_are_numbered_through(exported: tuple[Path, list[Path]]) -> None:
    data = table(exported[0])
    assert data["index"].to_pylist() == list(range(12))
    assert data["episode_index"].to_pylist() == [0] * 3 + [1] * 5 + [2] * 4
    assert data["frame_index"].to_pylist() == [*range(3), *range(5), *range(4)]
    expected = [np.float32(i / 10) for n in (3, 5, 4) for i in range(n)]
    assert data["timestamp"].to_pylist() == expected
    episodes = table(exported[0], "meta/episodes/chunk-000/file-000.parquet")
    assert episodes["dataset_from_index"].to_pylist() == [0, 3, 8]
    assert episodes["dataset_to_index"].to_pylist() == [3, 8, 12]
    assert episodes["length"].to_pylist() == [3, 5, 4]
    assert episodes["tasks"].to_pylist() == [["Toy"]] * 3
    assert set(episodes["data/file_index"].to_pylist()) == {0}


def test_values_are_those_of_the_records(exported: tuple[Path, list[Path]]) -> None:
    data = table(exported[0])
    records = [r for file in exported[1] for r in read_episode(file).records]
    assert data["action"].to_pylist() == [r.action_executed.tolist() for r in records]
    assert data["observation.state"].to_pylist() == [r.obs.state.tolist() for r in records]
    assert data["complementary_info.is_intervention"].to_pylist() == [r.intervention for r in records]
    rewards = np.concatenate([step_rewards(read_episode(f).records, RewardWeights()) for f in exported[1]])
    assert data["next.reward"].to_pylist() == rewards.tolist()
    penalty = [np.float32(0.02) * np.float32(r.rewards["grasp_penalty"]) for r in records]
    assert data["complementary_info.discrete_penalty"].to_pylist() == pytest.approx(penalty)
    for row, r in zip(data["observation.images.side"].to_pylist(), records, strict=True):
        assert row["bytes"].startswith(b"\x89PNG")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(row["bytes"]))), r.obs.images["side"])


def test_time_outs_and_successes_stay_apart(exported: tuple[Path, list[Path]]) -> None:
    data = table(exported[0])
    ends = [2, 7, 11]
    for name, expected in (
        ("next.done", ends),
        ("next.terminated", ends[:2]),
        ("next.truncated", ends[2:]),
        ("next.success", ends[:2]),
    ):
        assert np.flatnonzero(data[name].to_pylist()).tolist() == expected, name


def test_tasks_are_a_pandas_frame_indexed_by_name(exported: tuple[Path, list[Path]]) -> None:
    tasks = table(exported[0], "meta/tasks.parquet")
    assert tasks.to_pydict() == {"task_index": [0], "task": ["Toy"]}
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_statistics_are_right(exported: tuple[Path, list[Path]], info: dict[str, Any]) -> None:
    stats = json.loads((exported[0] / "meta/stats.json").read_text())
    text = {name for name, f in info["features"].items() if f["dtype"] == "string"}
    assert set(stats) == set(info["features"]) - text
    records = [r for file in exported[1] for r in read_episode(file).records]
    actions = np.stack([r.action_executed for r in records]).astype(np.float64)
    for name, value in (
        ("min", actions.min(0)),
        ("max", actions.max(0)),
        ("mean", actions.mean(0)),
        ("std", actions.std(0)),
    ):
        assert stats["action"][name] == pytest.approx(value.tolist())
    assert stats["action"]["q90"] == pytest.approx(np.quantile(actions, 0.9, axis=0).tolist())
    assert stats["action"]["count"] == [12]
    pixels = np.stack([r.obs.images["side"] for r in records]).reshape(-1, 3) / 255.0
    side = stats["observation.images.side"]
    for name, value in (
        ("min", pixels.min(0)),
        ("max", pixels.max(0)),
        ("mean", pixels.mean(0)),
        ("std", pixels.std(0)),
    ):
        assert np.shape(side[name]) == (3, 1, 1)
        assert np.ravel(side[name]) == pytest.approx(value)
    assert np.ravel(side["q50"]) == pytest.approx(np.quantile(pixels, 0.5, axis=0, method="inverted_cdf"))
    assert side["count"] == [12]
    episodes = table(exported[0], "meta/episodes/chunk-000/file-000.parquet")
    assert episodes["stats/action/count"].to_pylist() == [[3], [5], [4]]
    assert np.shape(episodes["stats/observation.images.side/mean"].to_pylist()) == (3, 3, 1, 1)
