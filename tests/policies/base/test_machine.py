"""Devices and threads are what was asked for, and threads afterwards what they were."""

from __future__ import annotations

import pytest
import torch

from robot_rl.core.errors import ConfigError
from robot_rl.policies.base.machine import one_thread, training_device


def test_devices() -> None:
    assert training_device("cpu") == "cpu"
    assert training_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="torch cannot compute on 'abacus'"):
        training_device("abacus")


def test_threads_come_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
