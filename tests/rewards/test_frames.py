"""What frames of recorded episodes show, by whoever knows it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.episode_log import EpisodeMeta, EpisodeWriter
from robot_rl.data.labels import write_label
from robot_rl.rewards.frames import Clip, count_frames, read_clips, settled, split_clips
from robot_rl.rewards.spans import FRAMES_FILE, NO, UNKNOWN, YES, Span, read_spans, spans_of, write_spans
from tests.rewards.bright import HOME, picture

SPEC = StateSpec((Part("tcp_position", 3, "m"), Part("tcp_force", 3, "N"), Part("gripper_width", 1, "m")))
HOME_ARRAY = np.array(HOME)


def obs(k: int) -> Observation:
    state = np.array([0.0, 0.0, -0.01 * k, 3.0, 0.0, 4.0, 0.04], np.float32)
    return Observation(state, {"side": picture(0.5, k)})


def write(
    folder: Path, name: str, rewards: Sequence[dict[str, float]], stop: str = "time_out", task: str = "PickCube"
) -> None:
    """One episode of a step for each entry of `rewards`."""
    zero = np.zeros(7, np.float32)
    with EpisodeWriter(folder / f"{name}.mcap", EpisodeMeta(task, SPEC, ActionSpec(0.02, 0.1))) as writer:
        for k, components in enumerate(rewards):
            last = k == len(rewards) - 1
            terminated = last and stop == "success"
            writer.append(
                StepRecord(
                    f"e-{name}",
                    k,
                    obs(k),
                    zero,
                    zero,
                    {"success": float(terminated), **components},
                    terminated,
                    last and not terminated,
                    stop if last else "",
                    False,
                    Source.POLICY,
                    0,
                    task,
                    1.0 + k,
                    0.1 * (k + 1),
                    final_obs=obs(k + 1) if last else None,
                )
            )


def read(folder: Path, settle_s: float = 0.0) -> list[Clip]:
    return read_clips([folder], ("side",), HOME_ARRAY, settle_s=settle_s)


def test_the_truth_of_the_simulator(tmp_path: Path) -> None:
    write(tmp_path, "000001", [{"truth": float(k >= 4)} for k in range(10)])
    (clip,) = read(tmp_path)
    assert clip.success.tolist() == [0] * 5 + [1] * 6, "a step's truth is that of the frame after it"
    assert clip.images["side"].shape == (11, 24, 32, 3)
    np.testing.assert_array_equal(clip.images["side"][10], picture(0.5, 10))
    assert clip.t_s.tolist() == pytest.approx([0.1 * k for k in range(11)])
    assert clip.readings[3]["tcp_z_m"] == pytest.approx(0.18 + 0.03)
    assert clip.readings[3]["force_n"] == pytest.approx(5.0)
    assert set(clip.bucket) == {"approach", "success"}


def test_how_an_episode_ended(tmp_path: Path) -> None:
    write(tmp_path, "000001", [{}] * 8, "success")
    write(tmp_path, "000002", [{}] * 8)
    good, bad = read(tmp_path)
    assert good.success.tolist() == [0] * 8 + [1]
    assert bad.success.tolist() == [0] * 9
    assert bad.bucket == ("failed",) * 7 + ("timeout_tail",) * 2
    write_label(tmp_path, "e-000002", "unknown", "me")
    assert read(tmp_path)[1].success.tolist() == [UNKNOWN] * 9


def test_what_only_a_classifier_said_is_no_statement(tmp_path: Path) -> None:
    write(tmp_path, "000001", [{"p_success": 0.9}] * 6, "success")
    assert read(tmp_path)[0].success.tolist() == [0] * 6 + [UNKNOWN]
    write_label(tmp_path, "e-000001", "success", "me")
    assert read(tmp_path)[0].success.tolist() == [0] * 6 + [YES]


def test_a_veto_marks_its_frame(tmp_path: Path) -> None:
    write(tmp_path, "000001", [{"p_success": 0.9}] * 6, "vetoed")
    (clip,) = read(tmp_path)
    assert (clip.success[-1], clip.bucket[-1]) == (NO, "marked")


def test_whoever_filmed_knows_best(tmp_path: Path) -> None:
    write(tmp_path, "000001", [{"truth": 1.0}] * 4)
    write_spans(tmp_path, "e-000001", [Span(0, 1, NO, "approach"), Span(2, 3, NO, "near_miss")], "me")
    (clip,) = read(tmp_path)
    assert clip.success.tolist() == [0, 0, 0, 0, UNKNOWN]
    assert clip.bucket == ("approach", "approach", "near_miss", "near_miss", "approach")
    assert count_frames([clip]) == {"approach": 2, "near_miss": 2}


def test_statements_about_frames_that_are_not_there(tmp_path: Path) -> None:
    write(tmp_path, "000001", [{}] * 4)
    write_spans(tmp_path, "e-000001", [Span(0, 9, NO, "approach")], "me")
    with pytest.raises(DataError, match="frames 0 to 9 were labelled in .* which has 0 to 4"):
        read(tmp_path)


def test_a_line_that_a_crash_cut_is_left_out(tmp_path: Path) -> None:
    write_spans(tmp_path, "a", [Span(0, 1, YES, "success")], "me")
    with (tmp_path / FRAMES_FILE).open("a") as file:
        file.write('{"format": 1, "episode_id": "b", "sp')
    assert set(read_spans(tmp_path)) == {"a"}
    with (tmp_path / FRAMES_FILE).open("a") as file:
        file.write("\n")
    with pytest.raises(DataError, match=r"line 2 of .* says nothing about frames"):
        read_spans(tmp_path)


def test_bad_data_is_named(tmp_path: Path) -> None:
    write(tmp_path, "000001", [{}] * 3)
    with pytest.raises(DataError, match="has no pictures of the camera wrist; it has side"):
        read_clips([tmp_path], ("wrist",), HOME_ARRAY)
    write(tmp_path, "000002", [{}] * 3, task="Reach")
    with pytest.raises(DataError, match="of the task Reach, the first episode of PickCube"):
        read(tmp_path)


STATEMENTS = st.lists(st.sampled_from([YES, NO, UNKNOWN]), min_size=1, max_size=40).map(lambda v: np.array(v, np.int8))


@settings(max_examples=200, deadline=None)
@given(STATEMENTS, st.floats(0.0, 1.0))
def test_settling_only_forgets(success: np.ndarray, settle_s: float) -> None:
    t_s = np.asarray(0.1 * np.arange(len(success)), np.float64)
    out = settled(success, t_s, settle_s)
    assert ((out == success) | (out == UNKNOWN)).all()
    assert out[-1] == success[-1] or success[-1] == NO, "a success with which an episode ends is not forgotten"


def test_settling_forgets_around_edges() -> None:
    success = np.array([0] * 6 + [1] * 8, np.int8)
    assert settled(success, np.asarray(0.1 * np.arange(14), np.float64), 0.2).tolist() == [0] * 4 + [-1] * 4 + [1] * 6


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([YES, NO]), st.sampled_from(["a", "b"])), min_size=1, max_size=30))
def test_stretches_say_the_same(frames: list[tuple[int, str]]) -> None:
    spans = spans_of([s for s, _ in frames], [b for _, b in frames])
    again = [(span.success, span.bucket) for span in spans for _ in range(span.first, span.last + 1)]
    assert again == frames


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5))
def test_a_split_keeps_episodes_whole(successes: int, failures: int, seed: int) -> None:
    clips = [_clip(f"e{k}", success=k < successes) for k in range(successes + failures)]
    groups = split_clips(clips, (0.2, 0.2), seed)
    assert sorted(c.episode_id for g in groups for c in g) == sorted(c.episode_id for c in clips)
    for share, group in zip((0.2, 0.2), groups[1:], strict=True):
        assert sum(c.has_success for c in group) == round(share * successes)
        assert sum(not c.has_success for c in group) == round(share * failures)
    again = split_clips(clips[::-1], (0.2, 0.2), seed)
    assert [[c.episode_id for c in g] for g in again] == [[c.episode_id for c in g] for g in groups]


def _clip(name: str, *, success: bool) -> Clip:
    plain = Clip(Path(name), name, "PickCube", {}, np.zeros(2), ({}, {}), np.zeros(2, np.int8), ("approach",) * 2)
    return replace(plain, success=np.array([0, int(success)], np.int8))
