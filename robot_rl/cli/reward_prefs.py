"""``robot-rl reward prefs PREFS DATA --out MODEL``: a reward from preferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.meter import Meter
from robot_rl.core.errors import ConfigError, DataError


@dataclass(frozen=True)
class FitArguments:
    """How the ensemble is trained, see robot_rl.rewards.bradley_terry.

    Attributes:
        members: networks of the ensemble.
        updates: gradient steps of each.
        batch: pairs of a step.
        learning_rate: of AdamW.
        smoothing: share by which labels are drawn towards 1/2, about twice the share of labels that are wrong.
    """

    members: int = 3
    updates: int = 250
    batch: int = 32
    learning_rate: float = 1e-3
    smoothing: float = 0.05


@dataclass(frozen=True)
class PrefsArguments:
    """Make a reward model of preferences: a Bradley-Terry ensemble on the frames that were compared.

    Pairs with a clip of an episode that is held out are not trained on; how many of them the rewards order as they were
    labelled stands in the model's card, with its 95 % interval.

    Attributes:
        prefs: folder of preferences, as robot-rl label-prefs writes it.
        data: the recordings that were labelled: runs, folders of episodes, or files.
        out: folder of the model.
        size: side of the pictures that the networks see, pixels.
        crop: part of the picture that they see: left, top, right, bottom, relative to it.
        encoder: a frozen encoder whose features are judged in place of the pictures, for example open_clip:DIR.
        equal: learn also from pairs of which neither was preferred, with half the weight.
        held_out: share of the episodes that are held out.
        seed: of everything random.
        fit: how the ensemble is trained.
    """

    prefs: Annotated[Path, tyro.conf.Positional]
    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    out: Path
    size: int = 64
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    encoder: str = ""
    equal: bool = False
    held_out: float = 0.12
    seed: int = 0
    fit: FitArguments = field(default_factory=FitArguments)


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    a: PrefsArguments = parse(PrefsArguments, argv, verb="reward prefs")
    if not a.data:
        raise ConfigError("which recordings were labelled? Give their run folder, folder of episodes or file")
    from robot_rl.rewards.bradley_terry import PreferenceFit
    from robot_rl.rewards.model_file import write_model
    from robot_rl.rewards.preference_frames import Recordings
    from robot_rl.rewards.preference_model import train_preferences
    from robot_rl.rewards.preferences import PreferenceStore
    from robot_rl.vision.preprocess import PreprocessSpec

    store = PreferenceStore(a.prefs)
    labelled = store.usable(equal=a.equal)
    if not labelled:
        raise DataError(f"{a.prefs} holds no preferences among {len(store.labelled)} answers: label more pairs")
    recordings = Recordings(a.data, store.question.cameras, on_read=Meter("reading"))
    meter = Meter("training")
    info, arrays = train_preferences(
        labelled,
        recordings,
        spec=PreprocessSpec(a.size, a.crop),
        encoder=a.encoder,
        fit=PreferenceFit(**vars(a.fit)),
        held_out=a.held_out,
        seed=a.seed,
        on_update=lambda done, total, loss: meter(done, total, f"loss {loss:.3f}"),
    )
    written = write_model(a.out, info, arrays)
    print(
        f"{info.card['preferences']} preferences, {info.card['equal']} undecided, by {', '.join(info.card['labelers'])}"
    )
    for name, words in (("trained", "ordered as labelled, of those trained on"), ("held_out", "of those held out")):
        print(f"{words}: {rate_text(info.card[name])}")
    print(f"version {written.version} written to {a.out}")
    return 0


def rate_text(facts: dict[str, Any]) -> str:
    """A share with its interval."""
    if not facts.get("pairs"):
        return "no pairs"
    share, low, high = (100 * facts[k] for k in ("accuracy", "low", "high"))
    return f"{share:.1f} % ({low:.1f} to {high:.1f}) of {facts['pairs']}"
