"""The process reward in a run: paid when an episode ends, worked out again by a resume, switched off when farmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_rl.agents.config import SacConfig
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.marks import DISCARDED
from robot_rl.core.transition import StepRecord
from robot_rl.rewards.monitor import MonitorConfig
from robot_rl.rewards.process import shape
from robot_rl.rewards.process_config import ProcessConfig
from robot_rl.runtime.config import InterventionConfig, TrainConfig
from robot_rl.runtime.learner.learner import Learner
from robot_rl.runtime.learner.lockstep import train_lockstep
from robot_rl.runtime.learner.session import Session
from robot_rl.runtime.learner.shaping import Shaper
from robot_rl.runtime.stop import StopFlag
from tests.runtime.fakes import ACTIONS, SPEC, Helper, PointEnv, stream, tiny_config
from tests.runtime.learner.test_interventions import charged
from tests.runtime.learner.test_lockstep import StopAfter
from tests.runtime.runs import check_exactly_once, final_arrays, make_run, open_session, rows, same, start

AGENT = SacConfig(hidden=(8,), batch_size=8, utd=2, n_step=1, q_range=None)
POTENTIAL = ProcessConfig(form="potential", beta=0.5)


class WatchedEnv(PointEnv):
    """A point on a line whose progress is how near the goal is; or, farmable, how long the episode has lasted."""

    farmable = False

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        *out, info = super().step(action)
        near = 1.0 - min(1.0, abs(self.x - self.goal) / 0.6)
        info["rewards"]["progress"] = 0.9 if self.farmable else near
        return (*out, info)


class HopelessEnv(WatchedEnv):
    """A goal out of reach that looks near."""

    farmable = True

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        super().reset(**options)
        self.goal = 9.0
        return self._observe(), {"t_control_s": 0.0}


def watched(records: Sequence[StepRecord], phi: Sequence[float]) -> list[StepRecord]:
    """The same records with progress."""
    return [replace(r, rewards={**r.rewards, "progress": p}) for r, p in zip(records, phi, strict=True)]


def learner_with(process: ProcessConfig, **changes: Any) -> Learner:
    return Learner(tiny_config(**{"process": process, "agent": AGENT, **changes}), SPEC, ACTIONS)


def unaided(records: Sequence[StepRecord]) -> list[StepRecord]:
    return [replace(r, intervention=False) for r in records]


def begin(config: TrainConfig) -> Session:
    session = open_session(make_run(config, demo_steps=0), config)
    session.begin()
    return session


def run(session: Session, env: PointEnv, stop: StopFlag | None = None, *, helped: bool = False) -> bool:
    def make_helper(rng: np.random.Generator) -> Helper:
        return Helper({1, 2}, rng.uniform(-1, 1))

    try:
        return train_lockstep(session, env, stop or StopFlag(), make_teleop=make_helper if helped else None)
    finally:
        session.finish("finished")
        session.close()


def paid(learner: Learner, episode: int = 0) -> list[float]:
    """Process reward drawn for each step, after its weight and without success."""
    rewards = charged(learner)
    steps = sorted(s for e, s in rewards if e == episode)
    return [rewards[episode, s] - (s == steps[-1]) for s in steps]


def test_an_episode_is_paid_when_it_ends() -> None:
    learner, phi = learner_with(POTENTIAL), [0.1, 0.4, 0.2, 0.6]
    records = watched(unaided(stream([4])), phi)
    for record in records[:-1]:
        learner.add(record)
    assert set(charged(learner).values()) == {0.0}
    learner.add(records[-1])
    values = shape([0.1, *phi], POTENTIAL.shaping(AGENT.gamma), terminated=True, success=True)
    assert paid(learner) == pytest.approx([0.5 * float(v) for v in values], abs=1e-6)
    assert learner.replay.reward_version(records[0].episode_id) == 1


def test_success_alone_is_learnt_from_without_a_form() -> None:
    learner = learner_with(ProcessConfig())
    for record in stream([4]):
        learner.add(record)
    assert paid(learner) == [0.0] * 4 and learner.replay.weights.process == 1.0
    assert not any(name.startswith("process") for name in learner.figures())


def test_help_earns_nothing_while_it_lasts_and_half_a_second_after() -> None:
    phi = np.linspace(0.0, 0.9, 12).tolist()
    learner = learner_with(replace(POTENTIAL, form="min_form"))
    for record in watched(stream([12]), phi):  # an operator is in command in the second step
        learner.add(record)
    got = np.array(paid(learner))
    assert not got[:7].any() and (got[7:] > 0.0).all()


def test_a_persons_own_demonstration_earns_what_it_achieves() -> None:
    learner, phi = learner_with(replace(POTENTIAL, form="min_form")), [0.0, 0.3, 0.6]
    records = [replace(r, intervention=True) for r in watched(stream([3], "demo-0"), phi)]
    assert learner.add_demos([records]) == 3
    assert len(learner.replay.demo) == 3
    slots = learner.replay.demo.members
    batch = learner._sampler._allocate().flat
    out = type(batch)(*(np.zeros((len(slots), *a.shape[1:]), np.float32) for a in batch))
    learner.replay.gather(slots, out, np.zeros(len(slots), np.int64))
    by_step = {int(s[1]): float(r) for s, r in zip(out.state, out.reward, strict=True)}
    assert by_step == pytest.approx({0: 0.0, 1: 0.15, 2: 0.15 + 1.0})


def test_a_demonstration_without_progress_is_refused() -> None:
    with pytest.raises(DataError, match=r"step 0 of episode 'demo-0-000000' says nothing of progress"):
        learner_with(POTENTIAL).add_demos([stream([3], "demo-0")])


def test_a_step_without_progress_is_neither_logged_nor_learnt_from(tmp_path: Path) -> None:
    session = begin(tiny_config(out_dir=tmp_path, process=POTENTIAL, agent=AGENT))
    first = stream([3], f"{session.run.run_id}-a0")[0]
    with pytest.raises(DataError, match="process.form potential needs"):
        session.add(first)
    assert session.archive.cursors == {} and session.learner.counters.env_steps == 0
    session.close()


def test_what_is_thrown_away_earns_nothing_and_what_is_cut_keeps_what_it_earned() -> None:
    learner = learner_with(POTENTIAL)
    gone = watched(unaided(stream([3])), [0.1, 0.2, 0.3])
    gone[-1] = replace(gone[-1], terminated=False, truncated=True, stop_reason=DISCARDED)
    cut = watched(unaided([r for r in stream([1, 4]) if r.episode_id.endswith("1")]), [0.1, 0.3, 0.5, 0.7])[:3]
    for record in (*gone, *cut):
        learner.add(record)
    learner.abandon(cut[0].episode_id)
    values = shape([0.1, 0.1, 0.3, 0.5], POTENTIAL.shaping(AGENT.gamma), terminated=False, success=False)
    rewards = charged(learner)
    assert {e for e, _ in rewards} == {1}
    assert [rewards[1, s] for s in (0, 1)] == pytest.approx([0.5 * float(v) for v in values[:2]])
    assert learner.shaper.state.seen == 0


@pytest.mark.parametrize("form", ["potential", "min_form", "softmin"])
def test_a_resumed_run_is_bit_identical(form: Any, tmp_path: Path) -> None:
    monitor = MonitorConfig(window=10, check_every=2)
    process = ProcessConfig(form=form, beta=0.5, anneal_above=0.4, monitor=monitor)
    options: dict[str, Any] = {"process": process, "agent": AGENT}
    straight = begin(tiny_config(out_dir=tmp_path / "straight", **options))
    assert run(straight, WatchedEnv(limit=12), helped=True)
    config = tiny_config(out_dir=tmp_path / "cut", **options)
    first = begin(config)
    assert not run(first, WatchedEnv(limit=12), StopAfter(first, 110), helped=True)
    second = start(config, first.run)
    assert second.learner.shaper.to_plain() == first.learner.shaper.to_plain()
    assert run(second, WatchedEnv(limit=12), helped=True)
    assert same(final_arrays(straight.run), final_arrays(first.run))
    tables = [rows(s.run.path / "process.csv") for s in (straight, second)]
    assert tables[0] == tables[1]
    assert [int(r["episode"]) for r in tables[0]] == list(range(len(check_exactly_once(straight))))
    assert second.learner.replay.weights == straight.learner.replay.weights


def test_it_changes_what_is_learnt(tmp_path: Path) -> None:
    ends = []
    for name, process in (("off", ProcessConfig()), ("on", POTENTIAL), ("weightless", replace(POTENTIAL, beta=0.0))):
        session = begin(tiny_config(out_dir=tmp_path / name, process=process, agent=AGENT, env_steps=60))
        assert run(session, WatchedEnv(limit=12))
        ends.append(final_arrays(session.run))
    assert not same(ends[0], ends[1]) and same(ends[0], ends[2])


def test_a_farmed_reward_is_switched_off_for_good(tmp_path: Path) -> None:
    monitor = MonitorConfig(window=10, check_every=1, patience=2)
    process = ProcessConfig(form="naive_sum", beta=0.3, allow_naive_sum=True, monitor=monitor)
    config = tiny_config(out_dir=tmp_path, process=process, agent=AGENT, env_steps=80)
    session = begin(config)
    assert run(session, HopelessEnv(limit=4))
    learner = session.learner
    assert "100% of episodes failed" in learner.shaper.off and learner.replay.weights.process == 0.0
    table = rows(session.run.path / "process.csv")
    assert [float(r["beta"]) for r in table] == [0.3] * 10 + [0.0] * 10
    assert [int(r["alarm"]) for r in table] == [0] * 9 + [1] + [2] * 10
    assert {float(r["process_return"]) for r in table} == {3.6}
    events = [e["text"] for e in session.run.info()["events"]]
    assert sum("red alarm" in e and "weight is 0 from now on" in e for e in events) == 1
    again = start(config, session.run)
    assert again.learner.shaper.off == learner.shaper.off and again.learner.replay.weights.process == 0.0
    again.close()


def test_an_alarm_may_only_be_told() -> None:
    monitor = MonitorConfig(switch_off=False, window=10, check_every=1, patience=1)
    learner = learner_with(replace(POTENTIAL, monitor=monitor))
    for number in range(12):
        records = unaided([r for r in stream([2] * (number + 1)) if r.episode_id.endswith(f"{number:06d}")])
        records[-1] = replace(
            records[-1], terminated=False, truncated=True, stop_reason="time_out", rewards={"success": 0.0}
        )
        for record in watched(records, [0.9, 0.9]):
            learner.add(record)
    assert learner.shaper.state.last.level == "red" and learner.replay.weights.process == 0.5
    (notice,) = learner.shaper.take_notices()
    assert "red alarm" in notice and "weight" not in notice and "run-a0-000009" in notice
    assert learner.shaper.take_notices() == []
    assert learner.figures()["process_alarm"] == 2.0


def test_the_weight_falls_when_the_policy_succeeds_by_itself_and_never_rises_again() -> None:
    shaper = Shaper(replace(POTENTIAL, anneal_above=0.5), 0.97, 10.0)
    weights = []
    for number in range(60):
        success = 20 <= number < 40
        (record,) = unaided([r for r in stream([1] * (number + 1)) if r.episode_id.endswith(f"{number:06d}")])
        record = replace(record, rewards={"success": float(success), "progress": 0.5}, terminated=success)
        shaper.add(replace(record, truncated=not success, stop_reason="success" if success else "time_out"))
        weights.append(shaper.beta)
    assert weights[29] == 0.5 and weights[33] == 0.0 and 0.0 < weights[31] < 0.5 and weights[-1] == 0.0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, r"clipped to \[0, 1\], where the process reward potential of weight 0.5.*--agent.q-range -0.5 1"),
        (
            {"interventions": InterventionConfig(before_s=1.0), "agent": SacConfig(q_range=(-1.67, 1.0))},
            r"--agent.q-range -2.167 1",
        ),
        ({"algorithm": "bc"}, "--algorithm bc has no use for a process reward"),
        ({"pair": "PlaceCube"}, "--pair has no use for a process reward"),
        ({"task_options": {"dense_reward": True}, "agent": SacConfig(q_range=None)}, "dense_reward has no use"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TrainConfig(process=POTENTIAL, **options)
