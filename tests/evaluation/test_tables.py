"""Files of a run that was killed are read as far as they are whole."""

import json
import math
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.evaluation.tables import read_json, read_json_lines, read_table

ROWS = "".join(f"{k},{k * 10.5},{'true' if k % 2 else 'False'},time_out\n" for k in range(5))
TEXT = "episode,robot_s,success,stop_reason\n" + ROWS


def test_reads_numbers_booleans_and_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TEXT)
    table = read_table(tmp_path / "t.csv")
    assert len(table) == 5 and table.bad_rows == 0
    np.testing.assert_array_equal(table.numbers("robot_s"), np.arange(5) * 10.5)
    np.testing.assert_array_equal(table.numbers("success"), [0, 1, 0, 1, 0])
    assert table.text("stop_reason") == ("time_out",) * 5
    assert np.isnan(table.numbers("absent")).all() and len(table.numbers("absent")) == 5


@given(cut=st.integers(0, len(TEXT)))
def test_a_file_cut_anywhere_gives_its_whole_rows_and_no_wrong_number(cut: int, tmp_path_factory: object) -> None:
    path = tmp_path_factory.mktemp("cut") / "t.csv"  # type: ignore[attr-defined]
    path.write_text(TEXT[:cut])
    table = read_table(path)
    whole = max(TEXT[:cut].count("\n") - 1, 0)
    assert len(table) == whole
    np.testing.assert_array_equal(table.numbers("robot_s"), np.arange(whole) * 10.5)
    assert table.bad_rows == int(not TEXT[:cut].endswith("\n") and cut > 0)


def test_rows_of_wrong_width_and_binary_rubbish_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(TEXT.encode() + b"9,1\n\xff\x00\xfe,,\n7,1.5,1,success\n")
    table = read_table(tmp_path / "t.csv")
    assert len(table) == 6 and table.bad_rows == 2
    assert table.numbers("episode")[-1] == 7


def test_columns_added_on_resume(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("update,loss\n0,1.0\nupdate,loss,q_mean\n1,2.0,3.0\n")
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(table.numbers("loss"), [1.0, 2.0])
    q_mean = table.numbers("q_mean")
    assert math.isnan(q_mean[0]) and q_mean[1] == 3.0


def test_absent_files_are_empty(tmp_path: Path) -> None:
    assert len(read_table(tmp_path / "no.csv")) == 0
    assert read_json_lines(tmp_path / "no.jsonl") == ((), 0)
    assert read_json(tmp_path / "no.json") == {}


def test_json_lines_cut_in_the_middle(tmp_path: Path) -> None:
    rows = [{"n": 1}, {"n": 2}]
    (tmp_path / "e.jsonl").write_text(json.dumps(rows[0]) + "\n[1, 2]\n\n" + json.dumps(rows[1]) + '\n{"n": 3')
    assert read_json_lines(tmp_path / "e.jsonl") == (tuple(rows), 2)
    (tmp_path / "r.json").write_text('{"hz": 10')
    assert read_json(tmp_path / "r.json") == {}
