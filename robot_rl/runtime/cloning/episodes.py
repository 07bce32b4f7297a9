"""The demonstrations of a cloning run: found or recorded, chosen, copied into its folder, and as arrays."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from robot_rl.core.errors import ConfigError, DataError, StorageError
from robot_rl.core.marks import DISCARDED
from robot_rl.core.specs import ActionSpec
from robot_rl.data.cameras import observations
from robot_rl.data.demos import episode_files, read_demos
from robot_rl.data.episode_log import SUFFIX, Episode
from robot_rl.data.labels import LABELS_FILE
from robot_rl.policies.base.windows import Demonstration
from robot_rl.runtime.cloning.config import CloneConfig
from robot_rl.runtime.cloning.meter import MakeMeter
from robot_rl.runtime.demos import record_demos
from robot_rl.runtime.environment import Env
from robot_rl.runtime.gathering import check_demos
from robot_rl.runtime.tasks import open_simulation
from robot_rl.vision.eyes import Eyes

Files = Sequence[tuple[Path, str]]


def gather(config: CloneConfig, folder: Path, env: Env, note: Callable[[str], None], meter: MakeMeter) -> list[Episode]:
    """See to it that `folder` holds the run's demonstrations: copies of those chosen, or new ones of the expert.

    Args:
        config: of the run.
        folder: of the run's demonstrations, which exists.
        env: of the task; only asked for its layouts.
        note: told one sentence.
        meter: shows how recording goes.

    Returns:
        The chosen ones, successes unless all are to be cloned.

    Raises:
        ConfigError: the place holds a dataset of somebody else, which must be imported first.
        DataError: it holds none to learn from, or some of another task, layout or action scale.
        StorageError: they cannot be copied.
    """
    if config.demos is None:
        _record(config, folder, note, meter("recording"))
        return read_demos(folder, env.state_spec, config.task)
    with _files_at(config.demos) as files:
        episodes = [e for file, _ in files for e in read_demos(file, env.state_spec, config.task)]
        chosen = choose(episodes, all_episodes=config.all_episodes, n=config.n_demos, where=config.demos)
        _check(chosen, env.action_spec, config)
        names = dict(files)
        for episode in chosen:
            _copy(episode.path, folder / names[episode.path])
        for labels in {e.path.parent / LABELS_FILE for e in chosen}:
            if labels.is_file():
                _copy(labels, folder / LABELS_FILE)
    left = f" of the {len(episodes)}" if len(episodes) != len(chosen) else ""
    note(f"learning from {len(chosen)}{left} demonstrations at {config.demos}")
    return chosen


def choose(
    episodes: Sequence[Episode], *, all_episodes: bool = False, n: int | None = None, where: Path | str = ""
) -> list[Episode]:
    """The episodes to clone, in their order.

    Args:
        episodes: whole ones.
        all_episodes: also those without success, but none that its operator discarded.
        n: at most so many, the first.
        where: they came from, for messages.

    Raises:
        DataError: none is left, or fewer than `n`.
    """
    kept = [e for e in episodes if e.records[-1].stop_reason != DISCARDED]
    wanted = [e for e in kept if all_episodes or e.success]
    if not wanted:
        raise DataError(
            f"none of the {len(episodes)} episodes at {where} ended in success: label them with robot-rl label, or "
            "clone failures too with --all-episodes"
        )
    if n is not None and len(wanted) < n:
        raise DataError(f"{n} demonstrations are wanted, but there are {len(wanted)} to clone at {where}: record more")
    return wanted[:n]


def held_out_split(n: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices of episodes to learn from and of those held out, both in order.

    Args:
        n: episodes, at least 1.
        share: held out, rounded up to whole episodes; one is always left to learn from.
        seed: of the choice.
    """
    held = min(math.ceil(share * n), n - 1)
    order = np.random.default_rng([seed, n]).permutation(n)
    return sorted(order[held:].tolist()), sorted(order[:held].tolist())


def demonstration(episode: Episode, eyes: Eyes | None = None) -> Demonstration:
    """States, executed actions and pictures of an episode as arrays.

    Args:
        episode: whole, of T steps.
        eyes: bring the pictures to the size that networks see; None for none.

    Raises:
        DataError: a picture is missing, or is none.
    """
    seen = observations(episode.records)
    states = np.stack([obs.state for obs in seen])
    actions = np.stack([r.action_executed for r in episode.records])
    if eyes is None:
        return Demonstration(states, actions)
    views = [eyes.views_of(obs) for obs in seen]
    return Demonstration(states, actions, {name: np.stack([v[name] for v in views]) for name in eyes.views.cameras})


def _check(chosen: Sequence[Episode], action_spec: ActionSpec, config: CloneConfig) -> None:
    check_demos(chosen, config.pictures)
    for episode in chosen:
        made = episode.meta.action_spec
        if (made.position_m, made.rotation_rad) != (action_spec.position_m, action_spec.rotation_rad):
            raise DataError(
                f"{episode.path} has actions of up to {made.position_m:g} m and {made.rotation_rad:g} rad a step, "
                f"{config.task} of {action_spec.position_m:g} m and {action_spec.rotation_rad:g} rad: "
                "record demonstrations with the task as it is"
            )


@contextmanager
def _files_at(where: Path) -> Iterator[Files]:
    """Episode files at a place, each with the name that its copy gets."""
    from robot_rl.data.exchange.lerobot_in import import_lerobot, is_lerobot
    from robot_rl.data.exchange.lerobot_out import SIDECAR

    if not is_lerobot(where):
        yield [(file, file.name) for file in episode_files(where)]
        return
    if not (where / SIDECAR).is_file():
        raise ConfigError(
            f"{where} is a LeRobot dataset of another program, whose columns mean nothing here yet: say what they mean "
            "with robot-rl data import, and give the folder that it writes"
        )
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "episodes"
        import_lerobot(where, root)
        yield [(file, "_".join(file.relative_to(root).parts)) for file in sorted(root.rglob(f"*{SUFFIX}"))]


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as e:
        raise StorageError(f"cannot copy {source} to {target}: {e.strerror or e}") from e


def _record(config: CloneConfig, folder: Path, note: Callable[[str], None], show: Callable[..., None]) -> None:
    from robot_rl.envs import make_expert

    world = config.world
    n = world.demos.n
    with closing(open_simulation(world)) as env:
        own: Any = env
        report = record_demos(
            own,
            lambda rng: make_expert(own, rng),
            n=n,
            seed=config.seed,
            folder=folder,
            task_options=world.env_options,
            on_episode=lambda kept, failed: show(kept, n, f"{failed} failed"),
        )
    note(f"recorded {report.kept} demonstrations ({report.failed} failed attempts thrown away)")
