"""``robot-rl keys`` and ``robot-rl act`` as processes: a learner here, an actor with keys beyond loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from robot_rl.runtime.transport.keys import load_learner_keys
from robot_rl.runtime.transport.sockets import Secured
from tests.runtime.actor.test_process import check_stream, finish
from tests.runtime.transport.stub_learner import StubLearner, policy_arrays
from tests.runtime.transport.test_link import free_pair

ROOT = Path(__file__).parents[2]
POINT = """
import sys
from robot_rl.runtime.actor import process as actor
from robot_rl.cli.main import main
from tests.runtime.fakes import PointEnv
actor.open_env = lambda config: PointEnv(limit=12)
sys.exit(main())
"""


def start(*args: object, code: str = "") -> subprocess.Popen[str]:
    front = ["-c", code] if code else ["-m", "robot_rl.cli"]
    return subprocess.Popen(
        [sys.executable, *front, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def call(*args: object) -> tuple[int, str, str]:
    process = start(*args)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_keys_are_made_and_an_actor_joins_with_them(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    code, out, _ = call("keys", "create", keys, "--actor", "bench-left")
    assert code == 0
    assert f"--keys {keys}" in out and f"move {keys}/actors/bench-left to the machine of actor bench-left" in out
    remote = Secured(f"tcp://127.0.0.2:{free_pair()}", load_learner_keys(keys))
    with closing(StubLearner(remote=remote)) as learner:
        learner.publisher.publish(1, policy_arrays())
        where = ["--learner", learner.server.remote_endpoint, "--keys", keys / "actors" / "bench-left"]
        process = start("act", *where, "--spool", tmp_path / "spool", code=POINT)
        learner.pump_until(lambda: len(learner.archive) > 20 or process.poll() is not None)
        learner.stop = True
        learner.acknowledge("bench-left")
        assert finish(process, learner) == (0, "", "")
        assert len(check_stream(learner, "bench-left")) == len(learner.archive)


def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path) -> None:
    spool = ("--spool", tmp_path)
    code, _, err = call("act", "--learner", "tcp://10.1.2.3:5555", *spool)
    assert code == 2 and err.startswith("robot-rl: endpoint 'tcp://10.1.2.3:5555' is refused without keys")
    code, _, err = call("act", "--learner", "tcp://127.0.0.1:5555", "--name", "a/b", *spool)
    assert (code, err) == (2, "robot-rl: --name is 'a/b', expected up to 64 letters, digits and _.-\n")
    code, _, err = call("act", "--learner", "tcp://127.0.0.1:5555", "--keys", tmp_path, *spool)
    assert code == 2 and "is no actor's folder of keys" in err and err.count("\n") == 1
    code, _, err = call("keys", "crate", tmp_path)
    assert code == 2 and "did you mean 'create'?" in err
