"""``robot-rl fci-emulator``: what it says about itself and about wrong arguments."""

from __future__ import annotations

import os

import pytest

from robot_rl.cli.main import main


def test_it_serves_reports_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    pid = os.getpid()
    address = f"127.98.{pid // 250 % 250}.{pid % 250 + 1}"
    arguments = ["fci-emulator", "--task", "PegInsert", "--task-options", "clearance_mm=1.0", "--address", address]
    assert main([*arguments, "--duration-s", "0.3", "--rate-hz", "0"]) == 0
    out = capsys.readouterr().out
    assert f"at {address}: arm 1337, hand 1338, faults 1339" in out
    assert "p50 / p99 / max in ms: work" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--address", "192.0.2.7"], "no password"),
        (["--address", "here"], "expected an IP address"),
        (["--task", "Reech"], "did you mean 'Reach'"),
        (["--rate-hz", "-1"], "rate_hz is -1"),
        (["--report-s", "-1"], "--report-s is -1"),
        (["--address", "192.0.2.7", "--allow-remote"], "cannot listen at 192.0.2.7"),
    ],
)
def test_wrong_arguments_are_sentences(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fci-emulator", *arguments]) == 2
    assert message in capsys.readouterr().err
