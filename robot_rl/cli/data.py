"""``robot-rl data``: list, inspect, validate, repair, replay, thin, describe and exchange recorded episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from robot_rl.cli.arguments import parse
from robot_rl.core.errors import ConfigError, DataError, unknown_name

if TYPE_CHECKING:
    from robot_rl.core.types import Image
    from robot_rl.data.episode_log import Episode
    from robot_rl.runtime.repeat import Deviation

EXIT_FINDINGS = 1
USAGE = """\
usage: robot-rl data list PATH...                       what each episode file holds
       robot-rl data inspect FILE [--step N]            one file: header, layout, steps; --frames DIR writes PNG
       robot-rl data validate PATH...                   check files; exit code 1 if one has an error
       robot-rl data repair PATH [--out DIR]            whole episodes out of cut files, which stay as they are
       robot-rl data replay FILE [--video OUT.mp4]      repeat an episode in the simulator and compare the states
       robot-rl data thin PATH --out DIR [--every N]    a smaller copy of a dataset, by whole episodes
       robot-rl data card RUN                           the dataset card of a run
       robot-rl data export PATH --to DIR               episodes as a LeRobotDataset
       robot-rl data import PATH --to DIR               episodes from a LeRobotDataset or from SERL pickles
       robot-rl data convert-encoder PICKLE --to FILE   weights of a frozen encoder from SERL's pickle of them

PATH is a run folder, a folder of episodes (searched with everything below it) or a file."""


@dataclass(frozen=True)
class ListArguments:
    """Say what episode files hold, one line each, and in all.

    Attributes:
        paths: runs, folders of episodes, or files.
    """

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional]


@dataclass(frozen=True)
class InspectArguments:
    """Look into one episode file, also one that was cut off.

    Attributes:
        file: the episode.
        step: show everything about this step instead of one line for each.
        frames: write every camera frame as PNG into this folder.
    """

    file: Annotated[Path, tyro.conf.Positional]
    step: int | None = None
    frames: Path | None = None


@dataclass(frozen=True)
class ValidateArguments:
    """Check files: schema, checksums, order of steps, values, ranges, time stamps, jitter, clocks, cameras.

    Attributes:
        paths: runs, folders of episodes, or files.
    """

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional]


@dataclass(frozen=True)
class RepairArguments:
    """Make whole episodes of the complete steps of cut or damaged files; the originals stay as they are.

    Attributes:
        path: a run, a folder of episodes, or a file; files that are whole are passed over.
        out: folder of the new files; by default name.recovered.mcap beside each.
    """

    path: Annotated[Path, tyro.conf.Positional]
    out: Path | None = None


@dataclass(frozen=True)
class ReplayArguments:
    """Take a recorded episode's actions again in the simulator, from its initial state, and compare the states.

    Attributes:
        file: the episode; its header holds the task's options and the seed of the initial state.
        video: also film it, for example out.mp4.
        steps: list every observation that differs.
    """

    file: Annotated[Path, tyro.conf.Positional]
    video: Path | None = None
    steps: bool = False


@dataclass(frozen=True)
class ThinArguments:
    """Copy a part of a dataset, whole episodes byte for byte; the original stays as it is.

    Attributes:
        path: a run, a folder of episodes, or a file.
        out: folder of the copy, absent or empty; thinned.json in it says what was kept and dropped.
        every: keep the first of every so many episodes.
        max_gb: keep at most so many GB (10^9 bytes), spread evenly over the dataset.
        successes_only: drop episodes that did not end in success.
        keep_interventions: keep every episode in which an operator took over, whatever the rules above say.
    """

    path: Annotated[Path, tyro.conf.Positional]
    out: Path
    every: int = 1
    max_gb: float | None = None
    successes_only: bool = False
    keep_interventions: bool = False


@dataclass(frozen=True)
class CardArguments:
    """Print the dataset card of a run and write it into the run folder: dataset_card.md and dataset_card.json.

    Attributes:
        run: run folder, also of a run that is still training.
    """

    run: Annotated[Path, tyro.conf.Positional]


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    if argv[0] not in VERBS:
        raise ConfigError(unknown_name("verb of robot-rl data", argv[0], VERBS))
    return VERBS[argv[0]](argv[1:])


def _list(argv: Sequence[str]) -> int:
    a: ListArguments = parse(ListArguments, argv, verb="data list")
    from robot_rl.cli.data_show import listing
    from robot_rl.data.catalog import describe, find_episodes

    print(listing([describe(path) for path in find_episodes(*_given(a.paths))]))
    return 0


def _inspect(argv: Sequence[str]) -> int:
    a: InspectArguments = parse(InspectArguments, argv, verb="data inspect")
    from robot_rl.cli.data_show import inspection, step_in_full
    from robot_rl.data.cameras import write_frames
    from robot_rl.data.episode_log import read_episode

    episode = read_episode(a.file, strict=False)
    if a.step is None:
        print(inspection(episode))
    elif 0 <= a.step < len(episode.records):
        print(step_in_full(episode, episode.records[a.step]))
    else:
        raise DataError(f"{a.file} has no step {a.step}, expected 0 to {len(episode.records) - 1}")
    if a.frames is not None:
        print(f"{len(write_frames(episode.records, a.frames))} frames written to {a.frames}")
    return 0


def _validate(argv: Sequence[str]) -> int:
    a: ValidateArguments = parse(ValidateArguments, argv, verb="data validate")
    from robot_rl.cli.data_show import findings_table
    from robot_rl.data.catalog import find_episodes
    from robot_rl.data.validate import validate

    files = find_episodes(*_given(a.paths))
    findings = [finding for _, found in validate(files) for finding in found]
    print(findings_table(findings, len(files)))
    return EXIT_FINDINGS if any(f.severity == "error" for f in findings) else 0


def _repair(argv: Sequence[str]) -> int:
    a: RepairArguments = parse(RepairArguments, argv, verb="data repair")
    from robot_rl.cli.data_show import repair_table
    from robot_rl.data.catalog import find_episodes
    from robot_rl.data.repair import repair

    repairs = repair(find_episodes(a.path), a.out)
    print(repair_table(repairs))
    return EXIT_FINDINGS if any(r.target is None for r in repairs) else 0


def _replay(argv: Sequence[str]) -> int:
    a: ReplayArguments = parse(ReplayArguments, argv, verb="data replay")
    from robot_rl.cli.data_show import deviations_table, repetition_text
    from robot_rl.data.episode_log import read_episode
    from robot_rl.runtime.repeat import conclude, expected_observations

    episode = read_episode(a.file, strict=False, images=False)
    deviations, video = _repeat(episode, a.video)
    result = conclude(deviations, episode)
    if a.steps and not result.identical:
        print(deviations_table(deviations))
    print(repetition_text(result, expected_observations(episode)))
    if video is not None:
        print(f"film: {video}")
    return 0


def _repeat(episode: Episode, video: Path | None) -> tuple[list[Deviation], Path | None]:
    """Repeat an episode in an environment of its own, filming it if wanted."""
    from robot_rl.envs import make_env
    from robot_rl.evaluation.video import CAMERA, write_video
    from robot_rl.runtime.repeat import read_repeat_facts, repeat_episode

    _, options = read_repeat_facts(episode.meta)
    # Shadows cost ten times the time on a machine without a graphics card.
    env = make_env(
        episode.meta.task,
        render_mode=None if video is None else "rgb_array",
        render_camera=CAMERA,
        render_shadows=False,
        **options,
    )
    deviations: list[Deviation] = []

    def frames() -> Iterator[Image]:
        for deviation in repeat_episode(episode, env):
            deviations.append(deviation)
            picture = env.render()
            if picture is not None:
                yield picture

    try:
        if video is not None:
            return deviations, write_video(video, frames(), env.hz)
        return list(repeat_episode(episode, env)), None
    finally:
        env.close()


def _thin(argv: Sequence[str]) -> int:
    a: ThinArguments = parse(ThinArguments, argv, verb="data thin")
    from robot_rl.cli.data_show import choice_text
    from robot_rl.data.catalog import describe, find_episodes
    from robot_rl.data.thin import Rule, choose, copy_chosen

    rule = Rule(a.every, a.max_gb, a.successes_only, a.keep_interventions)
    choice = choose([describe(path) for path in find_episodes(a.path)], rule)
    copy_chosen(choice, a.out, rule)
    print(choice_text(choice, a.out))
    return 0


def _card(argv: Sequence[str]) -> int:
    a: CardArguments = parse(CardArguments, argv, verb="data card")
    from robot_rl.data.card_page import markdown, write_card

    card, page, data = write_card(a.run)
    print(markdown(card))
    print(f"written to {page} and {data}")
    return 0


def _export(argv: Sequence[str]) -> int:
    from robot_rl.cli.data_exchange import run_export

    return run_export(argv)


def _import(argv: Sequence[str]) -> int:
    from robot_rl.cli.data_exchange import run_import

    return run_import(argv)


def _convert_encoder(argv: Sequence[str]) -> int:
    from robot_rl.cli.data_exchange import run_convert_encoder

    return run_convert_encoder(argv)


def _given(paths: Sequence[Path]) -> Sequence[Path]:
    if not paths:
        raise ConfigError("which episodes? Give a run folder, a folder of episodes or a file")
    return paths


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": _list,
    "inspect": _inspect,
    "validate": _validate,
    "repair": _repair,
    "replay": _replay,
    "thin": _thin,
    "card": _card,
    "export": _export,
    "import": _import,
    "convert-encoder": _convert_encoder,
}
