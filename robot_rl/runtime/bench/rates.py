"""How fast this machine acts; each row is a plain dictionary."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import DeviceError
from robot_rl.core.specs import ACTION_SIZE

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


def policy_rates(*, calls: int = 2_000) -> list[Row]:
    """Microseconds of one action of the default actor network, in numpy as on the robot's computer.

    From states, from pictures of two cameras, and from their features as ``hil_serl_compat`` sees them.
    """
    from robot_rl.agents.config import PRESETS
    from robot_rl.agents.sac import actor_params, init
    from robot_rl.core.specs import NO_VIEWS, ActionSpec, Part, StateSpec, ViewSpec
    from robot_rl.core.transition import Observation
    from robot_rl.policies.gaussian import GaussianPolicy

    spec, actions, names = StateSpec((Part("state", 24, ""),)), ActionSpec(0.02, 0.1), ("side", "wrist")
    rng, state = np.random.default_rng(0), np.zeros(24, np.float32)
    pictures = {name: rng.integers(0, 256, (128, 128, 3), np.uint8) for name in names}
    features = {name: np.ones((1, 4, 4, 512), np.float16) for name in names}
    cases = {
        "states": ("laptop", NO_VIEWS, Observation(state)),
        "two pictures of 128 px": (
            "laptop",
            ViewSpec(tuple((n, (128, 128, 3)) for n in names)),
            Observation(state, pictures),
        ),
        "features 4x4x512 of two cameras": (
            "hil_serl_compat",
            ViewSpec(tuple((n, (4, 4, 512)) for n in names), "features"),
            Observation(state, features=features),
        ),
    }
    rows = []
    for name, (preset, views, obs) in cases.items():
        config = PRESETS[preset]
        policy = GaussianPolicy.from_params(actor_params(init(config, spec, actions, 0, views), config), 0)
        times = []
        for _ in range(calls if not views.shapes else calls // 10):
            start = time.perf_counter()
            policy.act(obs, rng)
            times.append(time.perf_counter() - start)
        case = f"act, {config.hidden} units, {name}"
        rows.append({"case": case, "us_median": 1e6 * float(np.median(times)), "us_min": 1e6 * min(times)})
    return rows
