"""Simulating processes: what they answer does not depend on how many there are, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from robot_rl.core.errors import DataError, DeviceError
from robot_rl.envs import make_env
from robot_rl.runtime.residual_ppo.pool import EnvPool
from robot_rl.runtime.residual_ppo.slots import NO_SEED, End

SIZE = 21
STEPS = 60


@contextmanager
def pool(workers: int = 1, envs: int = 3, task: str = "Reach", **options: object) -> Iterator[EnvPool]:
    with closing(EnvPool(task, options, envs=envs, workers=workers, state_size=SIZE)) as made:
        yield made


def actions(k: int) -> np.ndarray:
    return np.random.default_rng(k).uniform(-1, 1, (3, 7)).astype(np.float32)


def played(workers: int) -> list[tuple[np.ndarray, ...]]:
    with pool(workers) as made:
        slots = made.slots
        slots.seeds[:] = [5, 6, NO_SEED]
        made.reset()
        found = [tuple(x.copy() for x in slots[2:])]
        slots.seeds[:] = [7, NO_SEED, 8]
        for k in range(STEPS):
            slots.actions[:] = actions(k)
            made.step()
            found.append(tuple(x.copy() for x in slots[2:]))
        return found


def test_the_answers_are_those_of_the_environment_itself_whoever_simulates() -> None:
    one, two = played(1), played(2)
    assert all(np.array_equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))
    with closing(make_env("Reach")) as env:
        for row, seed, then in ((0, 5, 7), (1, 6, NO_SEED)):
            seen, _ = env.reset(seed=seed, options={"reset_by": "program"})
            for k in range(STEPS):
                states, _, _, ends, _ = one[k]
                assert np.array_equal(states[row], seen["state"])
                seen, reward, terminated, truncated, info = env.step(actions(k)[row])
                states, last_states, rewards, ends, successes = one[k + 1]
                assert rewards[row] == np.float32(reward) and bool(successes[row]) == info["success"]
                if not (terminated or truncated):
                    assert ends[row] == End.GOES_ON
                    continue
                assert ends[row] == (End.TERMINATED if terminated else End.TRUNCATED)
                assert np.array_equal(last_states[row], seen["state"])
                if then == NO_SEED:
                    break
                seen, _ = env.reset(seed=then, options={"reset_by": "program"})
                assert np.array_equal(states[row], seen["state"])
            else:
                continue
            assert all(one[j][3][row] == End.RESTS for j in range(k + 2, STEPS + 1))
    assert all(x[3][2] == End.RESTS for x in one)


def test_what_is_wrong_with_an_environment_is_said_in_its_own_words() -> None:
    with pytest.raises(DataError, match="simulation process 0: unknown option"), pool(clearance_mm=1.0):
        pass


def test_a_process_that_dies_is_reported_and_the_others_end() -> None:
    with pool(2) as made:
        made.slots.seeds[:] = 1
        made.reset()
        pids = made.pids
        os.kill(pids[1], signal.SIGKILL)
        with pytest.raises(DeviceError, match=r"simulation process 1 of 2 ended by itself with exit code -9"):
            made.step()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_ctrl_c_is_left_to_who_asked() -> None:
    with pool() as made:
        made.slots.seeds[:] = 1
        made.reset()
        os.kill(made.pids[0], signal.SIGINT)
        made.step()
        assert (made.slots.ends == End.GOES_ON).all()


def test_nobody_simulates_for_a_process_that_is_gone(tmp_path: Path) -> None:
    code = f"""
    import os, signal
    from robot_rl.runtime.residual_ppo.pool import EnvPool
    made = EnvPool("Reach", {{}}, envs=1, workers=1, state_size={SIZE})
    print(made.pids[0], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    pid, end_s = int(done.stdout), time.monotonic() + 30.0
    while Path(f"/proc/{pid}").is_dir() and "\tZ" not in (Path(f"/proc/{pid}/status").read_text()):
        assert time.monotonic() < end_s, "it goes on"
        time.sleep(0.05)


def test_closing_twice_is_harmless() -> None:
    with pool() as made:
        made.close()
