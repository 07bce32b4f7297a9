"""How fast the update is: against SBX in interleaved rounds, and against the machine's own matrix-product rate.

The unit is one RLPD step: 20 critic minibatches of 256 with ten critics of two hidden layers of 256 and LayerNorm on
24 + 7 inputs, then one actor and one temperature step. CPU time, the sum over threads, holds better than wall time on
a busy machine; both are given. Arguments are `--peer PYTHON`, a Python that has ``sbx-rl``, and ``--rounds``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np

from robot_rl.agents import sac
from robot_rl.agents.compiler import compiler_options
from robot_rl.agents.config import PRESETS, SacConfig
from robot_rl.core.errors import DeviceError
from robot_rl.core.specs import ACTION_SIZE, ActionSpec, Part, StateSpec
from robot_rl.core.transition import Batch

STATE = StateSpec((Part("state", 24, "1"),))
ACTION = ActionSpec(position_m=0.02, rotation_rad=0.1)
Round = Callable[[], dict[str, float]]
MATRIX_REPEATS = 20


def update_gflop(config: SacConfig, state_size: int = STATE.size, action_size: int = ACTION_SIZE) -> float:
    """Floating-point operations of the matrix products of one update, in 1e9; one multiply-add counts as two.

    A backward pass costs a product for the weights and one for the inputs, the latter not for the first layer.

    Args:
        config: hyper-parameters.
        state_size: values in a packed state.
        action_size: dimensions the actor owns.
    """

    def products(inputs: int, outputs: int) -> list[int]:
        sizes = (inputs, *config.hidden, outputs)
        return [2 * a * b for a, b in pairwise(sizes)]

    critic, actor = products(state_size + action_size, 1), products(state_size, 2 * action_size)
    member_step = 3 * sum(critic) - critic[0]
    step = config.critics * member_step + config.subset * sum(critic) + sum(actor)  # the last: next actions
    actor_step = 3 * sum(actor) - actor[0] + config.critics * 2 * sum(critic)
    return config.batch_size * (config.utd * step + config.actor_steps * actor_step) / 1e9


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """CPU time of all threads and wall time of some work of JAX, in milliseconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    jax.block_until_ready(work())  # type: ignore[no-untyped-call]
    return {"cpu_ms": 1e3 * (time.process_time() - cpu), "wall_ms": 1e3 * (time.perf_counter() - wall)}


def interleaved(contestants: Mapping[str, Round], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Times of all contestants in turn, `rounds` times, after one round each that compiles and is not kept."""
    times: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for i in range(rounds + 1):
        for name, run in contestants.items():
            measured = run()
            if i > 0:
                times[name].append(measured)
    return times


def time_row(name: str, rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """``name cpu_ms_min cpu_ms_median wall_ms_min wall_ms_median`` of the rounds of a contestant."""
    row: dict[str, Any] = {"name": name}
    for kind in ("cpu_ms", "wall_ms"):
        values = [r[kind] for r in rounds]
        row |= {f"{kind}_min": min(values), f"{kind}_median": float(np.median(values))}
    return row


def _update_round(config: SacConfig) -> Round:
    """One update of our own, always on the same random batch."""
    rng = np.random.default_rng(0)
    lead = (config.utd, config.batch_size)

    def floats(*shape: int) -> Any:
        return rng.standard_normal((*lead, *shape)).astype(np.float32)

    reward = (floats() > 1.5).astype(np.float32)
    n = STATE.size
    batch = Batch(floats(n), np.tanh(floats(ACTION_SIZE)), reward, 0 * reward, 0.97 * (1 - reward), floats(n))
    update = sac.make_update(config, STATE, ACTION)
    state = [sac.init(config, STATE, ACTION, 0)]

    def work() -> Any:
        state[0], info = update(state[0], batch)
        return state[0], info

    return lambda: timed(work)


def _matrix_round(config: SacConfig) -> tuple[Round, float]:
    """Nothing but products of the critics' hidden layers in their shape; also returns the count in 1e9."""
    width, rows = config.hidden[0], config.batch_size
    w = jax.random.normal(jax.random.PRNGKey(0), (config.critics, width, width)) / width**0.5
    x = jax.random.normal(jax.random.PRNGKey(1), (config.critics, width, rows))

    def plain(w: jax.Array, x: jax.Array) -> jax.Array:
        y: jax.Array = jax.lax.fori_loop(0, MATRIX_REPEATS, lambda _, y: w @ y, x)
        return y

    chain = jax.jit(plain, compiler_options=compiler_options())
    gflop = 2e-9 * config.critics * width * width * rows * MATRIX_REPEATS
    return lambda: timed(lambda: chain(w, x)), gflop


class Peer:
    """SBX in another environment; one line in, one round out."""

    def __init__(self, python: str, config: SacConfig) -> None:
        """Start it; the first round compiles."""
        work = {"state_size": STATE.size, "action_size": ACTION_SIZE, "utd": config.utd, "critics": config.critics}
        work |= {"batch_size": config.batch_size, "hidden": config.hidden}  # type: ignore[dict-item]
        command = [python, str(Path(__file__).with_name("bench_peer.py")), json.dumps(work)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def round(self) -> dict[str, float]:
        """Times of one update.

        Raises:
            DeviceError: the other Python ended, usually because it has no ``sbx-rl``; its own message is on stderr.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise DeviceError("the peer ended without an answer: does its Python have sbx-rl (pip install sbx-rl)?")
        times: dict[str, float] = json.loads(line)
        return times

    def close(self) -> None:
        """End the process. May be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def update_bench(peer_python: str | None = None, rounds: int = 8) -> list[dict[str, Any]]:
    """Run all contestants in turn, `rounds` times, after one round each that compiles.

    Args:
        peer_python: path of a Python that has ``sbx-rl``; None leaves the peer out.
        rounds: timed rounds.

    Returns:
        One row for each contestant: ``name cpu_ms_min cpu_ms_median wall_ms_min wall_ms_median gflop gflop_per_cpu_s``
        (at the minimum), ``share_of_matrix_rate`` and, with a peer, ``speed_against_sbx`` (ratio of CPU minima).
        ``matrix products`` is the rate the machine reached on bare products in the same rounds.

    Raises:
        DeviceError: the peer does not answer.
    """
    rlpd = PRESETS["rlpd"]
    own = {"RLPD step": rlpd, "RLPD step, minimum over all ten as in SBX": replace(rlpd, subset=rlpd.critics)}
    own["laptop step (2 critics, 4 minibatches)"] = PRESETS["laptop"]
    contestants: dict[str, Round] = {name: _update_round(config) for name, config in own.items()}
    gflop = {name: update_gflop(config) for name, config in own.items()}
    contestants["matrix products"], gflop["matrix products"] = _matrix_round(rlpd)
    with ExitStack() as stack:
        if peer_python is not None:
            peer = Peer(peer_python, rlpd)
            stack.callback(peer.close)
            contestants["SBX"] = peer.round
            gflop["SBX"] = update_gflop(replace(rlpd, subset=rlpd.critics))
        times = interleaved(contestants, rounds)
    return _rows(times, gflop)


def _rows(times: dict[str, list[dict[str, float]]], gflop: dict[str, float]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, rounds in times.items():
        row = time_row(name, rounds)
        row |= {"gflop": gflop[name], "gflop_per_cpu_s": 1e3 * gflop[name] / row["cpu_ms_min"]}
        rows.append(row)
    by_name = {row["name"]: row for row in rows}
    for row in rows:
        row["share_of_matrix_rate"] = row["gflop_per_cpu_s"] / by_name["matrix products"]["gflop_per_cpu_s"]
        if "SBX" in by_name and row["name"].startswith("RLPD"):
            row["speed_against_sbx"] = by_name["SBX"]["cpu_ms_min"] / row["cpu_ms_min"]
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a Python that has sbx-rl")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    for row in update_bench(arguments.peer, arguments.rounds):
        print(" ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{value}:" for key, value in row.items()))


if __name__ == "__main__":
    main()
