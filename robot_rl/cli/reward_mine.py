"""``robot-rl reward mine RUN --model MODEL --out DIR``: what a success classifier got wrong, for the next version."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.meter import Meter
from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import DataError, StorageError

if TYPE_CHECKING:
    from robot_rl.rewards.mine import Found


@dataclass(frozen=True)
class MineArguments:
    """Find the frames that a success classifier would fall for in recorded episodes, and label them for training.

    Looked at are episodes in which the truth is known, or whose outcome a person has said; the highest-scoring frames
    of failures and what was wrongly taken for success become hard negatives. Frames of which nobody can say the truth
    are listed for review, and nothing is said about them. Then train again with both folders:
    robot-rl reward train OLD_DIR MINED_DIR --out MODEL.

    Attributes:
        run: folder of a run, of episodes, or a file.
        model: folder of the classifier.
        out: folder that the episodes are copied to, with what their frames show.
        episodes: how many episodes at most, the most convincing first.
        least: only frames that score at least so much, as a share of the threshold.
    """

    run: Annotated[Path, tyro.conf.Positional]
    model: Path
    out: Path
    episodes: Annotated[int, Range(1, 100_000)] = 20
    least: Annotated[float, Range(0.0, 1.0)] = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: MineArguments = parse(MineArguments, argv, verb="reward mine")
    from contextlib import closing

    from robot_rl.data.demos import episode_files
    from robot_rl.data.episode_log import SUFFIX
    from robot_rl.rewards.mine import mine
    from robot_rl.rewards.model_file import load_reward_model

    root = a.run / "episodes" if (a.run / "episodes").is_dir() else a.run
    files = sorted(root.rglob(f"*{SUFFIX}")) if root.is_dir() else episode_files(root)
    if not files:
        raise DataError(f"there are no finished episodes in {root}")
    meter = Meter("looking")
    with closing(load_reward_model(a.model)) as scorer:
        found = mine(scorer, files, least=a.least, on_file=meter)
    kept = sorted(found, key=lambda f: -f.worst)[: a.episodes]
    for one in kept:
        _tell(one)
    hard = [f for f in kept if f.negatives.size]
    _copy(hard, a.out)
    frames = sum(f.negatives.size for f in hard)
    print(f"{len(hard)} episodes with {frames} hard negatives in {a.out}; {len(kept) - len(hard)} to review")
    return 0


def _tell(found: Found) -> None:
    shown = np.flatnonzero(found.p >= found.p.max() - 1e-9)[0]
    what = f"{found.negatives.size} hard negatives" if found.negatives.size else "nobody knows the truth"
    print(f"{found.clip.path}: {found.worst:.2f} at frame {shown}, {what}")


def _copy(found: Sequence[Found], out: Path) -> None:
    from robot_rl.rewards.spans import spans_of, write_spans

    try:
        out.mkdir(parents=True, exist_ok=True)
        first = max((int(p.stem) for p in out.glob("[0-9]*.mcap") if p.stem.isdigit()), default=-1) + 1
        for number, one in enumerate(found, first):
            shutil.copyfile(one.clip.path, out / f"{number:06d}.mcap")
    except OSError as e:
        raise StorageError(f"cannot copy to {out}: {e.strerror or e}") from e
    for one in found:
        write_spans(out, one.clip.episode_id, spans_of(one.clip.success.tolist(), one.clip.bucket), "mined")
