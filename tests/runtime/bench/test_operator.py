"""The latency bench measures what it says; how long it takes is for a quiet machine to say."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest

from robot_rl.cli.bench import BenchArguments
from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.runtime.bench import operator
from tests.console.chromium import require


def test_every_case_of_the_spacemouse() -> None:
    pytest.importorskip("pyspacemouse", reason="needs the extra spacemouse")
    rows = operator.spacemouse_latency(3, np.random.default_rng(0))
    assert [row["case"].partition(": ")[2] for row in rows] == [
        "bytes to reading",
        "bytes to target, 10 Hz loop",
        "bytes to target, 20 Hz loop",
    ]
    assert all(row["pushes"] == 3 and 0.0 < row["p50 ms"] <= row["p99 ms"] <= row["worst ms"] for row in rows)
    assert not [t for t in threading.enumerate() if t.name in ("spacemouse", "bench-acting")]


def test_a_push_that_never_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspacemouse", reason="needs the extra spacemouse")
    from robot_rl.runtime.bench import spacemouse

    monkeypatch.setattr(spacemouse, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(spacemouse, "PUSH", 1)  # within the dead band
    with pytest.raises(DeviceError, match="said nothing"):
        spacemouse.times_to_read(1, np.random.default_rng(0))
    with pytest.raises(DeviceError, match="push 1 of 2 did not reach the arm"):
        spacemouse.times_to_target(2, 20.0, np.random.default_rng(0))
    assert not [t for t in threading.enumerate() if t.name in ("spacemouse", "bench-acting")]


@pytest.mark.slow
def test_every_case_of_the_browser() -> None:
    require()
    rows = operator.browser_latency(2, np.random.default_rng(0))
    assert [row["case"] for row in rows] == [
        "Browser: key to reading",
        "Browser: key to target, 10 Hz loop",
        "Browser: key to target, 20 Hz loop",
    ]
    assert all(row["pushes"] == 2 and 0.0 < row["p50 ms"] <= row["worst ms"] for row in rows)
    assert not [t for t in threading.enumerate() if t.name.startswith(("bench-", "console-"))]


def test_a_machine_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("playwright", reason="needs Playwright")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="needs Chromium: none of chromium, "):
        operator.browser_latency(1, np.random.default_rng(0))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:module 'sre_.*:DeprecationWarning")  # of a parser that messages import
def test_joy_over_ros() -> None:
    pytest.importorskip("rclpy", reason="needs the extra ros")
    (row,) = operator.joy_latency(2, np.random.default_rng(0))
    assert row["pushes"] == 2
    assert 0.0 < row["p50 ms"] <= row["worst ms"]


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspacemouse", None)
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    for name in [
        name for name in sys.modules if name.startswith(("robot_rl.hardware.ros", "robot_rl.hardware.ros.joy_latency"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    mouse, browser, joy = operator.operator_latency(1)
    assert "pip install playwright" in browser["left out"]
    assert "robot-rl[spacemouse]" in mouse["left out"]
    assert "robot-rl[ros]" in joy["left out"]


def test_a_bench_of_nothing() -> None:
    with pytest.raises(ConfigError, match="n is 0"):
        BenchArguments(what=("operator",), n=0)
