"""What learning makes of corrections, take-overs, age and discarded episodes: in a run, and after a resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.agents.config import SacConfig
from robot_rl.core.errors import ConfigError
from robot_rl.core.marks import DISCARD, DISCARDED
from robot_rl.runtime.config import InterventionConfig, PaceConfig, TrainConfig
from robot_rl.runtime.episode_files import read_records
from robot_rl.runtime.learner.checkpoint import list_checkpoints
from robot_rl.runtime.learner.learner import Learner
from robot_rl.runtime.learner.lockstep import train_lockstep
from robot_rl.runtime.learner.process import train_two_processes
from robot_rl.runtime.stop import StopFlag
from tests.runtime.fakes import ACTIONS, SPEC, Helper, PointEnv, stream, tiny_config
from tests.runtime.learner.test_lockstep import StopAfter
from tests.runtime.runs import POINT, async_config, check_exactly_once, final_arrays, go, rows, same, start

AGENT = SacConfig(hidden=(8,), batch_size=8, utd=2, n_step=1, q_range=(-2.0, 1.0))
UNBOUNDED = replace(AGENT, q_range=None)
EVERYTHING = InterventionConfig(before_s=0.2, before_reward=-0.05, recency_half_life_steps=40.0)
OPTIONS: dict[str, dict[str, Any]] = {
    "before": {"interventions": InterventionConfig(before_s=0.2), "agent": AGENT},
    "recency": {"interventions": InterventionConfig(recency_half_life_steps=40.0)},
    "online": {"interventions": InterventionConfig(corrections_in="online")},
    "bc": {"algorithm": "bc", "pace": PaceConfig(learning_starts=20, publish_every=3, warmup_updates=5)},
    "everything": {"interventions": EVERYTHING, "agent": AGENT, "capacity": 100},
}


def discards(steps: set[int] = frozenset({3})) -> Any:  # type: ignore[assignment]
    """An operator who throws every other episode away in its fourth step."""
    turn = iter(range(10_000))

    def make(rng: np.random.Generator) -> Helper:
        buttons = frozenset({DISCARD}) if next(turn) % 2 else frozenset[str]()
        return Helper(set(steps), rng.uniform(-1, 1), buttons)

    return make


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    session = start(tiny_config(out_dir=tmp_path_factory.mktemp("plain")))
    go(session)
    return final_arrays(session.run)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_changes_learning_and_a_resumed_run_is_bit_identical(
    name: str, plain: dict[str, np.ndarray], tmp_path: Path
) -> None:
    straight = start(tiny_config(out_dir=tmp_path / "straight", **OPTIONS[name]))
    assert go(straight)
    config = tiny_config(out_dir=tmp_path / "cut", **OPTIONS[name])
    first = start(config)
    assert not go(first, StopAfter(first, 110))
    second = start(config, first.run)
    assert second.learner.counters.env_steps >= 110
    assert go(second)
    assert same(final_arrays(straight.run), final_arrays(first.run))
    assert not same(final_arrays(straight.run), plain)
    check_exactly_once(straight)


def charged(learner: Learner) -> dict[tuple[int, int], float]:
    """Reward drawn for every step of `tests.runtime.fakes.stream`, whose states say episode and step."""
    slots = learner.replay.online.members
    batch = learner._sampler._allocate().flat
    out = type(batch)(*(np.zeros((len(slots), *a.shape[1:]), np.float32) for a in batch))
    learner.replay.gather(slots, out, np.zeros(len(slots), np.int64))
    pairs = zip(out.state, out.reward, strict=True)
    return {(int(s[0]), int(s[1])): float(r) for s, r in pairs}


def test_the_seconds_before_a_take_over_are_counted_at_the_control_rate() -> None:
    """Every episode of the stream has one operator step, the second: only the first can be charged."""
    config = tiny_config(interventions=InterventionConfig(before_s=0.04, before_reward=-0.5), agent=UNBOUNDED)
    for hz, expected in ((10.0, 0.0), (50.0, -0.5)):
        learner = Learner(config, SPEC, ACTIONS, hz)
        for record in stream([4, 3]):
            learner.add(record)
        rewards = charged(learner)
        assert rewards == {
            (e, s): expected if s == 0 else float(s == n - 1) for e, n in ((0, 4), (1, 3)) for s in range(n)
        }


def test_steps_that_were_counted_before_a_restart_are_charged_too() -> None:
    config = tiny_config(interventions=InterventionConfig(before_s=0.1), agent=AGENT)
    one, two = (Learner(config, SPEC, ACTIONS) for _ in range(2))
    for record in stream([4, 3]):
        one.add(record)
        two.add(record, counted=False)
    assert charged(one) == charged(two) and min(charged(two).values()) == pytest.approx(-0.05)
    assert (one.counters.env_steps, one.counters.intervention_steps) == (7, 2) and two.counters.env_steps == 0


def test_an_abandoned_episode_is_charged_no_more() -> None:
    learner = Learner(tiny_config(interventions=InterventionConfig(before_s=0.1), agent=AGENT), SPEC, ACTIONS)
    first, second, *_ = stream([4])
    learner.add(first)
    learner.abandon(first.episode_id)
    assert not learner.add(second) and learner.counters.env_steps == 1


@pytest.mark.parametrize("algorithm", ["rlpd", "bc"])
def test_discarded_episodes_are_logged_and_not_learnt_from(tmp_path: Path, algorithm: Any) -> None:
    config = tiny_config(out_dir=tmp_path, algorithm=algorithm)
    session = start(config)
    try:
        train_lockstep(session, PointEnv(limit=12), StopFlag(), make_teleop=discards())
    finally:
        session.finish("finished")
        session.close()
    table = check_exactly_once(session)
    thrown = [r for r in table if r["stop_reason"] == DISCARDED]
    kept = [r for r in table if r["stop_reason"] != DISCARDED]
    assert thrown and kept and session.learner.replay.counters.discarded == len(thrown)
    logged = list(read_records(session.run.episodes / "a0"))
    assert sum(r.stop_reason == DISCARDED for r in logged) == len(thrown)
    counters = session.learner.counters
    assert len(logged) == counters.env_steps and counters.intervention_steps == sum(r.intervention for r in logged)
    for learner in (session.learner, start(config, session.run).learner):
        assert len(learner.replay.online) == sum(int(r["length"]) for r in kept)
        helped = sum(int(r["intervention_steps"]) for r in kept)
        assert len(learner.replay.demo) == helped + session.demo_steps
        assert learner.replay.counters == session.learner.replay.counters


def test_a_run_of_no_steps_is_what_warm_up_makes_of_the_demonstrations(tmp_path: Path) -> None:
    pace = PaceConfig(learning_starts=20, publish_every=3, warmup_updates=120)
    session = start(tiny_config(out_dir=tmp_path, algorithm="bc", env_steps=0, pace=pace))
    assert go(session)
    counters = session.learner.counters
    assert (counters.env_steps, counters.updates, counters.warmup_updates) == (0, 120, 120)
    assert [int(float(r["update"])) for r in rows(session.run.path / "learner.csv")] == [50, 100]
    resumed = start(session.config, session.run)
    assert go(resumed) and resumed.learner.counters.updates == 120


class StopInWarmUp(StopFlag):
    """Asks to stop when so many updates have been made."""

    def __init__(self, learner: Learner, updates: int) -> None:
        self._learner, self._updates = learner, updates
        self.urgent = False

    @property
    def requested(self) -> bool:  # type: ignore[override]
        return self._learner.counters.updates >= self._updates


def test_warm_up_can_be_stopped_and_goes_on_to_the_bit(tmp_path: Path) -> None:
    pace = PaceConfig(learning_starts=20, publish_every=3, warmup_updates=40)
    options: dict[str, Any] = {"algorithm": "bc", "pace": pace, "env_steps": 60}
    straight = start(tiny_config(out_dir=tmp_path / "straight", **options))
    assert go(straight)
    config = tiny_config(out_dir=tmp_path / "cut", **options)
    first = start(config)
    assert not go(first, StopInWarmUp(first.learner, 15))
    assert first.learner.counters.warmup_updates == 15
    second = start(config, first.run)
    assert go(second)
    assert same(final_arrays(straight.run), final_arrays(first.run))


def test_cloning_waits_for_something_to_clone() -> None:
    learner = Learner(tiny_config(algorithm="bc"), SPEC, ACTIONS)
    own = [replace(r, intervention=False) for r in stream([10] * 4)]
    for record in own:
        learner.add(record)
    assert not learner.can_sample and not learner.due
    learner.add_demos([stream([6], "demo-0")])
    assert learner.due
    drawn = learner._sampler.draw_slots()
    assert set(drawn.ravel()) <= set(learner.replay.demo.members)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"interventions": InterventionConfig(before_s=1.0)}, r"--agent.q-range -1.67 1"),
        ({"interventions": InterventionConfig(before_s=1.0), "agent": SacConfig(gamma=1.0)}, r"--agent.q-range None"),
        ({"env_steps": 0}, "nothing would act"),
        ({"env_steps": 0, "algorithm": "bc"}, "warmup-updates above 0"),
        ({"algorithm": "bc", "interventions": InterventionConfig(corrections_in="online")}, "leave .* at both"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TrainConfig(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"interventions": InterventionConfig(before_s=1.0), "agent": SacConfig(q_range=(-1.67, 1.0))},
        {"interventions": InterventionConfig(before_s=1.0), "agent": SacConfig(q_range=None, gamma=1.0)},
        {"interventions": InterventionConfig(before_s=1.0, before_reward=0.0)},
        {"interventions": InterventionConfig(before_s=1.0), "algorithm": "bc"},
        {"env_steps": 0, "algorithm": "bc", "pace": PaceConfig(warmup_updates=1)},
    ],
)
def test_what_goes_together_is_not(options: dict[str, Any]) -> None:
    TrainConfig(**options)


@pytest.mark.parametrize("env_steps", [0, 60])
def test_cloning_with_an_actor_in_another_process(tmp_path: Path, env_steps: int) -> None:
    pace = PaceConfig(learning_starts=20, publish_every=3, slack=10, warmup_updates=10)
    session = start(async_config(tmp_path, algorithm="bc", env_steps=env_steps, pace=pace))
    assert train_two_processes(session, StopFlag(), actor_module=POINT)
    session.close()
    counters = session.learner.counters
    assert counters.warmup_updates == 10 and env_steps <= counters.env_steps <= env_steps + 2
    assert counters.updates == 10 + max(0, counters.env_steps - 20)
    assert list_checkpoints(session.run.checkpoints)
