"""One RLPD-sized update of SBX's SAC, timed on request; run by the Python of an environment that has ``sbx-rl``.

`robot_rl.agents.bench` starts this file as ``PYTHON bench_peer.py '{"critics": 10, ...}'``, writes one line for each
round and reads one line of JSON back. It imports nothing of this package, which that environment does not have.

What is alike: ten critics of two hidden layers with LayerNorm, 20 critic steps on minibatches of 256, one actor and one
temperature step, one compiled call. What is not: SBX takes the minimum over all ten target critics, there is no random
subset; so it evaluates ten target members where RLPD evaluates two.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from types import SimpleNamespace
from typing import Any


def main() -> None:
    """Answer each line on standard input with the times of one update."""
    # By name, because neither type checkers nor this package's own environment know them.
    gym, jax, np, sbx = map(import_module, ("gymnasium", "jax", "numpy", "sbx"))
    logger = import_module("stable_baselines3.common.logger")

    work = json.loads(sys.argv[1])
    n, d, utd, rows = work["state_size"], work["action_size"], work["utd"], work["batch_size"]

    class Spaces(gym.Env):  # type: ignore[misc, name-defined]
        """An environment of the right shapes, never stepped."""

        observation_space = gym.spaces.Box(-np.inf, np.inf, (n,), np.float32)
        action_space = gym.spaces.Box(-1.0, 1.0, (d,), np.float32)

    network = {"n_critics": work["critics"], "net_arch": list(work["hidden"]), "layer_norm": True}
    model = sbx.SAC("MlpPolicy", Spaces(), policy_kwargs=network, batch_size=rows, policy_delay=utd, buffer_size=1)
    model.set_logger(logger.Logger(folder=None, output_formats=[]))
    rng = np.random.default_rng(0)

    def floats(*shape: int) -> Any:
        """Rows that answer `numpy()` as the tensors of a replay buffer do."""
        rows_of_floats = np.tanh(rng.standard_normal((utd * rows, *shape))).astype(np.float32)
        return SimpleNamespace(numpy=lambda: rows_of_floats)

    drawn = SimpleNamespace(observations=floats(n), actions=floats(d), next_observations=floats(n))
    drawn.rewards, drawn.dones, drawn.discounts = floats(1), SimpleNamespace(numpy=lambda: np.zeros(utd * rows)), None
    model.replay_buffer.sample = lambda *args, **kwargs: drawn
    for _ in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        model.train(utd, rows)
        jax.block_until_ready((model.policy.qf_state.params, model.policy.actor_state.params))
        times = {"cpu_ms": 1e3 * (time.process_time() - cpu), "wall_ms": 1e3 * (time.perf_counter() - wall)}
        sys.stdout.write(json.dumps(times) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
