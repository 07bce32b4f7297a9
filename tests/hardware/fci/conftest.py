from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from robot_rl.hardware.fci.plant import ArmPlant
from robot_rl.hardware.fci.server import FciServer, ServerOptions
from tests.hardware.fci.client import ArmClient, FaultClient, HandClient

_numbers = count(1)


class Emulator:
    """A served robot and its address. Loopback has millions of addresses, so that each may use the standard ports."""

    def __init__(self, plant: ArmPlant | None = None, address: str = "", **options: object) -> None:
        pid = os.getpid()
        self.address = address or f"127.{100 + next(_numbers) % 100}.{pid // 250 % 250}.{pid % 250 + 1}"
        chosen = ServerOptions(address=self.address, **options)  # type: ignore[arg-type]
        self.server = FciServer(plant or ArmPlant(), chosen)
        self._go_on = True
        self._thread = threading.Thread(target=self.server.run, args=(lambda: self._go_on,))
        self._thread.start()

    def close(self) -> None:
        self._go_on = False
        self._thread.join()
        self.server.close()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    served = Emulator()
    yield served
    served.close()


@pytest.fixture
def faults(emulator: Emulator) -> Iterator[FaultClient]:
    client = FaultClient(emulator.address)
    yield client
    client.close()


@pytest.fixture
def arm(emulator: Emulator) -> Iterator[ArmClient]:
    client = ArmClient(emulator.address)
    yield client
    client.close()


@pytest.fixture
def hand(emulator: Emulator) -> Iterator[HandClient]:
    client = HandClient(emulator.address)
    yield client
    client.close()
