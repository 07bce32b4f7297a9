"""Evaluating what a training run saved: find the checkpoint, play it, write the result beside the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from robot_rl.core.cells import IN_PROCESS
from robot_rl.core.config import from_dict
from robot_rl.core.errors import ConfigError, DataError
from robot_rl.core.imperfections import env_options
from robot_rl.core.protocols import Policy
from robot_rl.evaluation.evaluate import EVALUATION_SEED, Evaluation, evaluation_seeds
from robot_rl.evaluation.rollout import Env, EpisodeResult, play_episode, time_limit_s
from robot_rl.evaluation.run_record import read_config
from robot_rl.evaluation.tables import read_json
from robot_rl.runtime.base_config import BaseConfig, BaseUse, base_use
from robot_rl.runtime.based import on_base
from robot_rl.runtime.pictures import PictureConfig, open_eyes, picture_options, seeing
from robot_rl.vision.eyes import Eyes

ACTOR_FILE = "actor.safetensors"
BASE_FILE = "base.json"


@dataclass(frozen=True)
class SavedPolicy:
    """A policy from a checkpoint and what it was trained on.

    Attributes:
        policy: ready to act.
        checkpoint: folder it came from.
        run_dir: folder of its run.
        task: id of the task it was trained on.
        task_options: options of that task.
        state_checksum: of the state layout it expects, empty if not recorded.
        env_step: environment steps of the run when it was saved, None if not recorded.
        hz: control rate of the run, None if not recorded.
        cell: on which the run acted.
        pictures: that the policy looks at; it resizes and encodes them itself.
        base: frozen policy that it corrects, if it does.
    """

    policy: Policy
    checkpoint: Path
    run_dir: Path
    task: str
    task_options: Mapping[str, Any]
    state_checksum: str = ""
    env_step: int | None = None
    hz: float | None = None
    cell: str = IN_PROCESS
    pictures: PictureConfig = field(default_factory=PictureConfig)
    base: BaseUse | None = None


def find_checkpoint(path: Path) -> Path:
    """The checkpoint at a path: the folder itself, or the newest one of a run folder.

    Raises:
        DataError: there is none; says what was looked for.
    """
    from robot_rl.runtime.learner.checkpoint import latest_checkpoint

    if (path / "checkpoints").is_dir():
        return latest_checkpoint(path / "checkpoints")
    if not path.is_dir():
        raise DataError(
            f"there is no checkpoint at {path}, expected a run folder or a folder such as checkpoints/000001000"
        )
    if not any((path / name).is_file() for name in (ACTOR_FILE, BASE_FILE, "manifest.json")):
        raise DataError(f"{path} is no checkpoint: it holds neither {ACTOR_FILE} nor a folder checkpoints")
    return path


def load_saved_policy(path: Path) -> SavedPolicy:
    """Load the acting policy of a checkpoint, or of a run's newest one; a base policy follows its own plans.

    Raises:
        DataError: the checkpoint is absent, damaged, or no run lies around it, or the run's frozen encoder is another
            on this machine.
        ConfigError: the run's frozen encoder is not on this machine.
    """
    from robot_rl.policies.published import published_policy
    from robot_rl.runtime.learner.checkpoint import load_actor

    checkpoint = find_checkpoint(path).resolve()
    if (checkpoint / BASE_FILE).is_file():
        from robot_rl.evaluation.saved_base import load_saved_base

        return load_saved_base(checkpoint)
    params, state = load_actor(checkpoint)
    run_dir = checkpoint.parent.parent
    meta = read_json(run_dir / "run.json")
    config, _ = read_config(run_dir / "config.yaml")
    task = config.get("task", meta.get("task"))
    if not isinstance(task, str):
        raise DataError(
            f"the checkpoint {checkpoint} names no task: neither config.yaml nor run.json of {run_dir} has one"
        )
    counters = state.get("counters")
    step = counters.get("env_steps") if isinstance(counters, Mapping) else None
    hz = meta.get("hz")
    pictures = from_dict(PictureConfig, config.get("pictures") or {}, "pictures")
    policy = published_policy(params, _version(checkpoint))
    return SavedPolicy(
        seeing(policy, _open_eyes(pictures, state, checkpoint)),
        checkpoint,
        run_dir,
        task,
        env_options(config),
        str(state.get("state_checksum") or meta.get("state_checksum") or ""),
        int(step) if isinstance(step, int | float) else None,
        float(hz) if isinstance(hz, int | float) else None,
        str(config.get("cell") or IN_PROCESS),
        pictures,
        _base_of(config),
    )


def _base_of(config: Mapping[str, Any]) -> BaseUse | None:
    base = from_dict(BaseConfig, config.get("base") or {}, "base")
    edit, noise = config.get("edit") or {}, config.get("noise") or {}
    return base_use(base, str(config.get("algorithm", "")), edit.get("chunk", 1), noise.get("bound", 1.0))


def _open_eyes(pictures: PictureConfig, state: Mapping[str, Any], checkpoint: Path) -> Eyes | None:
    eyes, views = open_eyes(pictures, copies=1), state.get("views")
    expected = views.get("encoder", "") if isinstance(views, Mapping) else ""
    if eyes is not None and eyes.views.encoder != expected:
        raise DataError(
            f"the policy of {checkpoint} was trained on features of the frozen encoder {expected or 'none'}, but "
            f"{pictures.encoder} is {eyes.views.encoder or 'none'} here: put back the file that it was trained with"
        )
    return eyes


def evaluate_checkpoint(
    path: Path,
    *,
    n: int = 100,
    seed: int = EVALUATION_SEED,
    workers: int = 1,
    task: str | None = None,
    task_options: Mapping[str, Any] | None = None,
    cell: str | None = None,
    record: bool = True,
    on_episode: Callable[[EpisodeResult], None] | None = None,
) -> Evaluation:
    """Evaluate a checkpoint and append the result to ``evaluations.jsonl`` of its run.

    Args:
        path: folder of a checkpoint, or of a run whose newest checkpoint is meant.
        n: number of episodes.
        seed: base of the initial states.
        workers: processes to share the episodes among; the result does not depend on it. Only for the cell ``sim``.
        task: another task than the one trained on.
        task_options: other options than those trained with.
        cell: another cell than the run acted on; ``sim`` is the simulation in this process.
        record: append a row. Results on another task or other options are never recorded: they are not the run's.
        on_episode: called in this process after each of its own episodes, for progress.

    Raises:
        DataError: the checkpoint is unusable or does not fit the task, or an observation is not finite.
        ConfigError: the task, an option, the cell or a count is unusable.
        DeviceError: the cell does not run, or a device failed.
    """
    if workers < 1:
        raise ConfigError(f"got {workers} workers, expected at least 1")
    saved = load_saved_policy(path)
    cell = cell or saved.cell
    if workers > 1 and cell != IN_PROCESS:
        raise ConfigError(f"got {workers} workers, but the cell {cell} has one arm: use one, or --cell {IN_PROCESS}")
    own = (task or saved.task) == saved.task and (
        task_options is None or dict(task_options) == dict(saved.task_options)
    )
    job = Job(
        str(saved.checkpoint),
        task or saved.task,
        dict(saved.task_options if task_options is None else task_options),
        tuple(evaluation_seeds(n, seed)),
        cell,
    )
    parts = [job.part(k, min(workers, n)) for k in range(min(workers, n))]
    with _helpers(parts[1:]) as helpers:
        played, limit_s = run_job(parts[0], saved, on_episode)
        for helper in helpers:
            played += _collect(helper)
    episodes = tuple(sorted(played, key=lambda e: e.seed))
    evaluation = Evaluation(job.task, episodes, limit_s, saved.policy.version, job.task_options, cell=cell)
    if record and own:
        append_evaluation(saved, evaluation)
    return evaluation


@dataclass(frozen=True)
class Job:
    """Some episodes of an evaluation, as plain data that crosses a process boundary as JSON."""

    checkpoint: str
    task: str
    task_options: dict[str, Any]
    seeds: tuple[int, ...]
    cell: str = IN_PROCESS

    def part(self, k: int, of: int) -> Job:
        """Every `of`-th episode from the k-th on, so that parts take about equally long."""
        return replace(self, seeds=self.seeds[k::of])


def run_job(
    job: Job, saved: SavedPolicy, on_episode: Callable[[EpisodeResult], None] | None = None
) -> tuple[list[EpisodeResult], float]:
    """Play the episodes of a job.

    Returns:
        The episodes and the time limit of the task in seconds.

    Raises:
        DataError: the policy was trained on another state layout.
    """
    from robot_rl.envs import make_env

    cameras = picture_options(saved.pictures, own_size=job.cell == IN_PROCESS)
    env: Env = on_base(saved.base, make_env(job.task, cell=job.cell, **cameras, **job.task_options))  # type: ignore[assignment]
    try:
        if saved.state_checksum and env.state_spec.checksum != saved.state_checksum:
            raise DataError(
                f"the checkpoint {saved.checkpoint} expects the state layout {saved.state_checksum}, "
                f"but {job.task} has {env.state_spec.checksum}: {', '.join(env.state_spec.slices)}"
            )
        played = []
        for seed in job.seeds:
            played.append(play_episode(saved.policy, env, seed))
            if on_episode is not None:
                on_episode(played[-1])
        return played, time_limit_s(env)
    finally:
        env.close()


def append_evaluation(saved: SavedPolicy, evaluation: Evaluation) -> None:
    """Add a row to ``evaluations.jsonl`` of the run.

    Raises:
        DataError: the file cannot be written.
    """
    robot_s = saved.env_step / saved.hz if saved.env_step is not None and saved.hz else None
    row = {"checkpoint": saved.checkpoint.name, "env_step": saved.env_step, "robot_s": robot_s, **evaluation.row()}
    path = saved.run_dir / "evaluations.jsonl"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as e:
        raise DataError(f"cannot write {path}: {e.strerror or e}") from e


@contextmanager
def _helpers(jobs: Sequence[Job]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that play parts; none outlives the block."""
    import robot_rl

    root = str(Path(robot_rl.__file__).resolve().parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-m", "robot_rl.evaluation.worker"]
    running: list[subprocess.Popen[str]] = []
    try:
        for job in jobs:
            helper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
            running.append(helper)
            assert helper.stdin is not None
            helper.stdin.write(json.dumps(asdict(job)))
            helper.stdin.close()
        yield running
    finally:
        for helper in running:
            helper.kill()
            helper.wait()
            if helper.stdout is not None:
                helper.stdout.close()


def _collect(helper: subprocess.Popen[str]) -> list[EpisodeResult]:
    assert helper.stdout is not None
    lines = helper.stdout.read().strip().splitlines()
    code = helper.wait()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        raise DataError(f"an evaluation process ended with exit code {code} and no result") from None
    if "error" in answer:
        raise DataError(answer["error"])
    return [EpisodeResult(**e) for e in answer["episodes"]]


def _version(checkpoint: Path) -> int:
    return int(checkpoint.name) if checkpoint.name.isdigit() else -1
