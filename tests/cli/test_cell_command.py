"""`robot-rl cell` as a person uses it: real nodes on a domain of their own, ended by Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from robot_rl.cli.cell import read_cell, run
from robot_rl.core.errors import ConfigError
from robot_rl.hardware.cell.environment import cell_environment
from robot_rl.hardware.cell.presence import running
from robot_rl.hardware.cell.sockets import open_sockets

DOMAIN = 45 + os.getpid() % 57
# A machine that is busy with other tests is late now and then, which is not the question here.
CHANGES = (f"name=up{os.getpid()}", f"network.domain_id={DOMAIN}", "limits.max_measurement_age_s=1.0")
SETTINGS = ("--set", *CHANGES)


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "robot_rl.cli", "cell", *map(str, args)]


def call(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*args), capture_output=True, text=True, timeout=120, check=False)


def test_list_names_the_bundled_cells(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^sim +sim +PickCube +none +41$", text, re.M)
    assert re.search(r"^franka +franky ", text, re.M)


@pytest.mark.parametrize("cell", ["sim", "emulated", "franka"])
def test_check_says_what_a_cell_consists_of(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", cell, *SETTINGS]) == 0
    text = capsys.readouterr().out
    assert f"ROS_DOMAIN_ID={DOMAIN}" in text
    for line in (r"arbiter +essential", r"target_pose +topic +PoseStamped +arbiter", r"enable +service +SetBool"):
        assert re.search(f"^ *{line}", text, re.M), line
    assert ("wrist/color/image_raw" in text) == (cell == "franka")
    assert "Nothing of it runs on this machine." in text


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("up", "simm"), "unknown cell 'simm': did you mean 'sim'?"),
        (("upp", "sim"), "unknown verb of robot-rl cell 'upp': did you mean 'up'?"),
        (("check", "sim", "--task", "PickCub"), "did you mean 'PickCube'?"),
        (("check", "sim", "--set", "limits.max_force"), "expected KEY=VALUE"),
        (("check", "sim", "--set", "limits.max_forse_n=3"), "unknown configuration key 'limits.max_forse_n'"),
        (("check", "sim", "--set", "limits.max_force_n=-1"), "limits.max_force_n is -1.0, expected between"),
        (("check", "sim", "--set", "name.x=1"), "name has no keys below it"),
        (("check", "sim", "--set", "supervision=automatic", "robot.provider=franky"), "both or none are sim"),
    ],
)
def test_mistakes_are_one_sentence(args: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        run(args)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_settings_change_one_key() -> None:
    config = read_cell("franka", overrides=["cameras.wrist.hz=15", "cameras.side.provider=uvc"])
    assert set(config.cameras) == {"wrist", "side"}
    assert (config.cameras["wrist"].hz, config.cameras["wrist"].exposure_us) == (15.0, 8000.0)
    assert read_cell("emulated", task="Reach").task == "Reach"
    with pytest.raises(ConfigError, match="unknown configuration key 'rob"):
        read_cell("sim", overrides=["rob.state_hz=3"])


class Up:
    """A `robot-rl cell up` in the background."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "up.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command("up", "sim", *SETTINGS, "--log-dir", folder), stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.05)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    pytest.importorskip("rclpy", reason="needs the extra ros")
    cell = Up(tmp_path_factory.mktemp("up"))
    try:
        cell.until(lambda: f"up: /up{os.getpid()} on domain {DOMAIN}: sim arbiter" in cell.text)
        yield cell
    finally:
        cell.process.send_signal(signal.SIGINT)
        assert cell.process.wait(60) == 0, cell.text


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a verb in this process: its exit code and what it prints."""
    for name, value in cell_environment(read_cell("sim", overrides=CHANGES)).items():
        monkeypatch.setenv(name, value)

    def verb(*args: str) -> tuple[int, str]:
        return run([*args, "sim", *SETTINGS]), capsys.readouterr().out

    return verb


# A parser that rclpy loads with its first node imports them.
@pytest.mark.filterwarnings("ignore:module 'sre_.*' is deprecated:DeprecationWarning")
def test_an_operator_speaks_to_the_arbiter(up: Up, tell: Callable[..., tuple[int, str]]) -> None:
    holding = re.compile(rf"^/up{os.getpid()}: arbiter holding, robot ready$", re.M)

    def enabled() -> bool:
        """Processes that have just started are refused until readings have come, and are late while all load."""
        tell("recover")
        return tell("enable")[0] == 0 and holding.search(tell("status")[1]) is not None

    up.until(enabled)
    assert re.search(r"^arm: ok", tell("status")[1], re.M)
    assert tell("stop")[0] == 0
    assert re.search(r"^fault: stop", tell("status")[1], re.M)
    code, text = tell("enable")
    assert code == 1
    assert text.startswith("enable: refused")
    assert tell("recover")[0] == 0


def test_nothing_of_a_cell_is_reachable_from_outside(up: Up, capsys: pytest.CaptureFixture[str]) -> None:
    config = read_cell("sim", overrides=CHANGES)
    for part in ("sim", "arbiter"):
        pid = running(config, part)
        assert pid
        sockets = open_sockets(pid)
        assert sockets
        assert not [str(s) for s in sockets if s.reachable]
    assert run(["check", "sim", *SETTINGS]) == 0
    assert "None can be reached from another machine." in capsys.readouterr().out


def test_a_second_one_is_refused(up: Up) -> None:
    done = call("up", "sim", *SETTINGS)
    assert done.returncode == 2
    assert f"process {up.process.pid} already runs the supervisor" in done.stderr


def test_a_node_is_not_started_twice(up: Up) -> None:
    source = up.log.parent / "cell.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "robot_rl.cli", "node", "arbiter", str(source)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "already runs the arbiter" in done.stderr


def test_a_killed_node_comes_back(up: Up) -> None:
    config = read_cell("sim", overrides=CHANGES)
    pid = running(config, "arbiter")
    assert pid
    os.kill(pid, signal.SIGKILL)
    up.until(lambda: "arbiter ended by SIGKILL; starting it again in 1 s" in up.text)
    up.until(lambda: running(config, "arbiter") not in (None, pid))


def test_a_cell_that_is_down_says_so() -> None:
    pytest.importorskip("rclpy", reason="needs the extra ros")
    done = call("status", "sim", "--set", f"name=down{os.getpid()}", f"network.domain_id={DOMAIN}")
    assert done.returncode == 2
    assert "is the cell up?" in done.stderr


def test_ros_is_named_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "rclpy.py").write_text("raise ModuleNotFoundError(\"No module named 'rclpy'\", name='rclpy')")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))}
    for args in (["cell", "status", "sim"], ["node", "arbiter", "sim"]):
        done = subprocess.run(
            [sys.executable, "-m", "robot_rl.cli", *args], capture_output=True, text=True, env=env, check=False
        )
        assert done.returncode == 2
        assert "pip install 'robot-rl[ros]'" in done.stderr
