from __future__ import annotations

import os
import sys

import pytest

from robot_rl.core.errors import ConfigError, DeviceError, SafetyFault
from robot_rl.hardware.franka.library import calling, library
from robot_rl.hardware.franka.reading import error_names


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "franky", None)
    with pytest.raises(ConfigError, match=r"robot-rl\[franka\]"):
        library()


def test_errors_become_one_sentence() -> None:
    text = 'libfranka: Move command aborted:\nmotion aborted! ["cartesian_reflex"]\ncontrol_command_success_rate: 1'
    with pytest.raises(DeviceError) as caught, calling("it failed"):
        raise RuntimeError(text)
    assert str(caught.value) == 'it failed: Move command aborted: motion aborted! ["cartesian_reflex"]'
    assert error_names(text) == ("cartesian_reflex",)


def test_errors_of_ours_pass() -> None:
    with pytest.raises(SafetyFault), calling("it failed"):
        raise SafetyFault("stopped")


def test_the_thread_is_scheduled_as_before() -> None:
    before = os.sched_getscheduler(0)
    with calling("it failed"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("text", ["[]", "", "User Stop pressed!"])
def test_no_errors_have_no_names(text: str) -> None:
    assert error_names(text) == ()
