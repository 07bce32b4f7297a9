"""What all device contracts share: making the device, letting time pass, closing it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import pytest


class Closable(Protocol):
    """Anything with an idempotent `close()`."""

    def close(self) -> None:
        """Release it."""
        ...


Subject = TypeVar("Subject", bound=Closable)


class DeviceContract(ABC, Generic[Subject]):
    """A fixture `device` that is made before and closed after each test."""

    @abstractmethod
    def make(self) -> Subject:
        """A fresh, connected device."""

    def wait(self, seconds: float) -> None:
        """Let this much of the cell's time pass. Override it to advance a simulated clock."""
        time.sleep(seconds)

    @pytest.fixture
    def device(self) -> Iterator[Subject]:
        """The device under test."""
        device = self.make()
        yield device
        device.close()

    def test_close_may_be_called_twice(self, device: Subject) -> None:
        """The fixture closes a third time."""
        device.close()
        device.close()
