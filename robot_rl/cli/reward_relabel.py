"""``robot-rl reward relabel DATA --model MODEL --name NAME``: let a reward model say what recorded steps were worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.meter import Meter
from robot_rl.core.errors import ConfigError


@dataclass(frozen=True)
class RelabelArguments:
    """Ask a reward model about every step of recorded episodes; the episode files stay as they are.

    The answers go into relabels/NAME.safetensors beside the episodes; robot-rl train TASK --demos DATA --demos.relabel
    NAME learns from them. Every kind of model can be asked: classifiers through their gate, preferences, similarities.

    Attributes:
        data: runs, folders of episodes, or files.
        model: folder of the reward model.
        name: of the relabels.
        component: what the answers become: success (moves the ends of episodes), process (learnt from), progress or
            p_success (only looked at); auto takes what the kind of model is there for.
        way: how process is made: cost pays p - 1 a step, value 2 p - 1, the others are the forms of process rewards;
            auto is cost for preferences and min_form for the rest.
        gamma: discount of the learner, for the way potential.
        note: for people, kept with the relabels.
        dry_run: only print what would change.
    """

    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    model: Path
    name: str
    component: Literal["auto", "success", "process", "progress", "p_success"] = "auto"
    way: Literal["auto", "cost", "value", "potential", "clip", "delta", "min_form", "softmin", "naive_sum"] = "auto"
    gamma: float = 0.97
    note: str = ""
    dry_run: bool = False


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: RelabelArguments = parse(RelabelArguments, argv, verb="reward relabel")
    if not a.data:
        raise ConfigError("which episodes? Give a run folder, a folder of episodes or a file")
    from robot_rl.data.catalog import find_episodes
    from robot_rl.data.relabels import relabels_path, write_relabels
    from robot_rl.rewards.model_file import load_reward_model
    from robot_rl.rewards.relabel import How, changes, default_component, relabel

    files = find_episodes(*a.data)
    folders = sorted({path.parent for path in files})
    for folder in folders:
        relabels_path(folder, a.name)  # a name that cannot be is refused before the work
    scorer = load_reward_model(a.model)
    try:
        how = How(default_component(scorer.info) if a.component == "auto" else a.component, a.way, a.gamma)
        rows = relabel(scorer, files, how, on_file=Meter("relabelling"))
    finally:
        scorer.close()
    facts = changes(rows, how.component)
    width = max(map(len, facts))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in facts.items()))
    if a.dry_run:
        print("nothing was written (--dry-run)")
        return 0
    by_folder: dict[Path, dict[str, object]] = defaultdict(dict)
    for row in rows:
        by_folder[row.path.parent][row.episode_id] = row.values
    note = a.note or f"{how.component}{f' {how.way}' if how.component == 'process' else ''} by {a.model.name}"
    for folder, values in by_folder.items():
        path = write_relabels(folder, a.name, how.component, scorer.info.checksum, values, note=note)  # type: ignore[arg-type]
        print(f"written: {path}")
    return 0
