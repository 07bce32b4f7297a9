"""How fast this machine acts and how fast records travel; each row is a plain dictionary."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import DeviceError
from robot_rl.core.specs import ACTION_SIZE
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.codec import pack_record
from robot_rl.runtime.stream import Inbox, Outbox
from robot_rl.runtime.transport import RecordClient, RecordServer
from robot_rl.runtime.wire import Ack, Records

Row = dict[str, Any]

# Answers every line on stdin with the rate of one round; runs in another environment, where gym-hil is installed.
_PEER = """
import sys, time, warnings
warnings.filterwarnings("ignore")
import gymnasium, gym_hil
env = gymnasium.make("gym_hil/PandaPickCubeBase-v0", image_obs=False)
env.reset(seed=0)
env.action_space.seed(0)
print("ready", flush=True)
for line in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(int(line)):
        *_, terminated, truncated, _ = env.step(env.action_space.sample() * 0.01)
        if terminated or truncated:
            env.reset()
    print(time.perf_counter() - start, time.process_time() - cpu, flush=True)
"""


def env_rates(*, rounds: int = 5, steps: int = 200, peer_python: Path | None = None) -> list[Row]:
    """Policy steps per second on one core: states, two 128x128 cameras, and gym-hil's pick task beside them.

    Args:
        rounds: repetitions, interleaved over the cases.
        steps: policy steps of a round with states; with cameras a tenth.
        peer_python: interpreter of another environment that has gym-hil.

    Returns:
        One row per case with ``case``, ``steps_per_s`` (median), ``best`` and ``cpu_ms_per_step`` (median).

    Raises:
        DeviceError: the other environment does not answer.
    """
    from robot_rl.envs import make_env

    cases: dict[str, tuple[Callable[[int], tuple[float, float]], int]] = {}
    opened: list[Any] = []
    try:
        for name, cameras in (("PickCube, states", ()), ("PickCube, two 128x128 cameras", ("wrist", "side"))):
            env = make_env("PickCube", cameras=cameras)
            opened.append(env)
            cases[name] = (_stepper(env), steps if not cameras else max(5, steps // 10))
        if peer_python is not None:
            peer = _Peer(peer_python)
            opened.append(peer)
            cases["gym-hil PandaPickCubeBase, states"] = (peer.play, steps)
        return _interleave(cases, rounds)
    finally:
        for thing in opened:
            thing.close()


def transport_rates(*, records: int = 5_000) -> list[Row]:
    """Records per second through the sockets between two ends in this process: packed, sent, checked, acknowledged."""
    return [
        _transport_row("records with 24 state values", records, None),
        _transport_row("records with two 128x128 images", max(50, records // 25), (128, 128, 3)),
    ]


def _stepper(env: Any) -> Callable[[int], tuple[float, float]]:
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def play(n: int) -> tuple[float, float]:
        actions = rng.uniform(-1, 1, (n, ACTION_SIZE)).astype(np.float32)
        start, cpu = time.perf_counter(), time.process_time()
        for action in actions:
            *_, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return time.perf_counter() - start, time.process_time() - cpu

    play(5)
    return play


class _Peer:
    def __init__(self, python: Path) -> None:
        self._python = python
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [str(python), "-c", _PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._read()

    def play(self, n: int) -> tuple[float, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{n}\n")
        self._process.stdin.flush()
        wall, cpu = self._read().split()
        return float(wall), float(cpu)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DeviceError(f"{self._python} does not run gym-hil: exit code {self._process.wait()}")
        return line


def _interleave(cases: dict[str, tuple[Callable[[int], tuple[float, float]], int]], rounds: int) -> list[Row]:
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (play, n) in cases.items():
            wall_s, cpu_s = play(n)
            times[name].append((n / wall_s, 1e3 * cpu_s / n))
    return [
        {
            "case": name,
            "steps_per_s": float(np.median([r for r, _ in got])),
            "best": max(r for r, _ in got),
            "cpu_ms_per_step": float(np.median([c for _, c in got])),
        }
        for name, got in times.items()
    ]


def _transport_row(case: str, n: int, shape: tuple[int, int, int] | None) -> Row:
    images = {} if shape is None else {name: np.zeros(shape, np.uint8) for name in ("wrist", "side")}
    obs, action = Observation(np.zeros(24, np.float32), images), np.zeros(ACTION_SIZE, np.float32)
    records = [_record(i, obs, action) for i in range(n)]
    inbox, received = Inbox(), 0
    outbox = Outbox("bench", "a0", lambda first: records, limit=n)
    with (
        closing(RecordServer("bench")) as server,
        closing(RecordClient("bench", "a0", server.endpoint, outbox)) as client,
    ):
        client.poll(0.2)
        cpu, start = time.process_time(), time.perf_counter()
        sent = 0
        while received < n:
            for record in records[sent : sent + 32]:
                client.send(record)
            sent += 32
            rewind = False
            for message in server.receive(0.001):
                if isinstance(message, Records):
                    new, rewind = inbox.accept(message)
                    received += len(new)
            server.send("a0", Ack(inbox.cursors.get("a0"), rewind, n, received))
            client.poll()
        wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    size = len(pack_record(records[0]))
    return {
        "case": case,
        "records_per_s": n / wall_s,
        "mib_per_s": n * size / wall_s / 2**20,
        "cpu_us_per_record": 1e6 * cpu_s / n,
    }


def _record(i: int, obs: Observation, action: Any) -> StepRecord:
    return StepRecord(
        episode_id="bench-a0-000000",
        step_index=i,
        obs=obs,
        action_executed=action,
        action_policy=action,
        rewards={"success": 0.0},
        terminated=False,
        truncated=False,
        stop_reason="",
        intervention=False,
        source=Source.POLICY,
        policy_version=0,
        task="bench",
        t_wall_s=0.0,
        t_control_s=0.1 * i,
    )


def policy_rates(*, calls: int = 2_000) -> list[Row]:
    """Microseconds of one action of the default actor network, in numpy as on the robot's computer."""
    from robot_rl.agents.config import SacConfig
    from robot_rl.agents.sac import actor_params, init
    from robot_rl.core.specs import ActionSpec, Part, StateSpec
    from robot_rl.policies.gaussian import GaussianPolicy

    spec, actions = StateSpec((Part("state", 24, ""),)), ActionSpec(0.02, 0.1)
    config = SacConfig()
    policy = GaussianPolicy.from_params(actor_params(init(config, spec, actions, 0), config), 0)
    rng, state = np.random.default_rng(0), np.zeros(24, np.float32)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        policy.act(state, rng)
        times.append(time.perf_counter() - start)
    return [
        {"case": f"act, {config.hidden} units", "us_median": 1e6 * float(np.median(times)), "us_min": 1e6 * min(times)}
    ]
