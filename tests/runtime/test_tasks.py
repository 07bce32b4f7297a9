"""Where a run acts: what the description of its cell decides, and what is missing where."""

from __future__ import annotations

from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.core.imperfections import FRANKA
from robot_rl.data.episode_log import read_episode
from robot_rl.runtime.config import DemoConfig
from robot_rl.runtime.doctor import check
from robot_rl.runtime.doctor.finding import bad, ok, warn
from robot_rl.runtime.gathering import gather_demos
from robot_rl.runtime.repeat import read_repeat_facts, training_facts
from robot_rl.runtime.tasks import cell_config, check_health, open_env, open_simulation
from robot_rl.runtime.train import check_modes
from tests.runtime.fakes import tiny_config


def config(**changes: Any) -> Any:
    return tiny_config(**{"task": "Reach", "lockstep": False, "cell": "ros", **changes})


def test_the_simulation_in_process_has_no_description() -> None:
    assert cell_config(config(cell="sim")) is None


def test_a_run_on_topics_is_described_by_the_bundled_cell_with_its_task() -> None:
    described = cell_config(config(task_options={"hz": 20.0}))
    assert described is not None and (described.task, described.task_options) == ("Reach", {})


@pytest.mark.parametrize("use", [cell_config, open_env, lambda c: check_health(c, Path()), check_modes])
def test_a_description_that_is_not_here_is_missed_by_path_and_machine(use: Any) -> None:
    with pytest.raises(ConfigError, match=rf"there is no cell /.*cells/mine\.yaml on {gethostname()}"):
        use(config(cell="cells/mine.yaml"))


def test_a_learner_needs_no_description_of_a_cell_elsewhere() -> None:
    check_modes(config(cell="cells/mine.yaml", actors=0, listen="tcp://127.0.0.1:5555"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lockstep": True}, "--lockstep is for --cell sim: time on the cell ros does not wait"),
        ({"actors": 2}, "--actors is 2, but the cell ros has one arm"),
        ({"imperfections": FRANKA}, "--imperfections is for --cell sim"),
        ({"cell": "nowhere"}, "unknown cell 'nowhere'"),
    ],
)
def test_what_does_not_go_with_a_cell_in_real_time(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_modes(config(**changes))


def test_the_simulation_of_a_run_on_a_cell_is_in_process() -> None:
    env = open_simulation(config())
    assert env.lockstep
    env.close()


def test_demonstrations_for_a_simulated_cell_are_simulated_and_can_be_repeated(tmp_path: Path) -> None:
    said: list[str] = []
    run = config(demos=DemoConfig(n=1))
    env = open_simulation(run)
    gather_demos(run, tmp_path, env, said.append)
    env.close()
    assert said[0].startswith("recorded 1 demonstrations")
    assert read_repeat_facts(read_episode(tmp_path / "000000.mcap").meta)[1] == {}


def test_demonstrations_for_a_real_cell_are_not_simulated(tmp_path: Path) -> None:
    run = config(cell="franka", demos=DemoConfig(n=3))
    env = open_simulation(run)
    with pytest.raises(ConfigError, match="the cell franka is no simulation.* --demos DIR, or none with --demos 0"):
        gather_demos(run, tmp_path, env, lambda line: None)
    gather_demos(config(cell="franka", demos=DemoConfig(n=0)), tmp_path, env, lambda line: None)
    env.close()
    assert not list(tmp_path.iterdir())


def test_episodes_in_real_time_name_their_cell_instead_of_a_seed() -> None:
    assert training_facts(config(), "a0")(3) == {"cell": "ros"}
    assert set(training_facts(config(cell="sim"), "a0")(3)) == {"reset_seed", "task_options"}


def test_an_unhealthy_cell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [ok("kernel", "real time"), warn("disk", "10 GB left", "free some"), bad("clock", "jumps", "use chrony")]
    monkeypatch.setattr(check, "check_cell", lambda *_: found)
    check_health(config(cell="sim"), Path())
    with pytest.raises(DeviceError, match=r"clock: jumps \(use chrony\)") as refusal:
        check_health(config(), Path())
    assert "disk" not in str(refusal.value)
    found.pop()
    check_health(config(), Path())
