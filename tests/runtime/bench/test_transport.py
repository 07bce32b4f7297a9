"""The transport bench measures every way it names; its numbers are for people."""

from __future__ import annotations

import sys

import pytest

from robot_rl.core.errors import ConfigError
from robot_rl.policies.gaussian import GaussianPolicy
from robot_rl.runtime.bench.ends import policy_arrays
from robot_rl.runtime.bench.transport import PAYLOADS, WAYS, transport_rates


def test_every_way_carries_every_payload_and_parameters() -> None:
    pytest.importorskip("grpc")
    rows = transport_rates(rounds=1, share=0.02, publications=3)
    assert len(rows) == len(WAYS) * (len(PAYLOADS) + 1)
    for row in rows:
        assert all(value > 0 for value in row.values() if not isinstance(value, str))
    assert {row["case"].split(", ")[-1] for row in rows} == set(WAYS)


def test_without_grpcio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ConfigError, match=r"pip install 'robot-rl\[bench\]'"):
        transport_rates()


def test_the_published_policy_is_one_that_acts() -> None:
    assert GaussianPolicy.from_params(policy_arrays(), 1).version == 1
