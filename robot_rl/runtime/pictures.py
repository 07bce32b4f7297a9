"""Learning from pictures: what a run is told about them, and what sees and watches them in each of its processes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from robot_rl.core.config import Range, check_ranges
from robot_rl.core.errors import ConfigError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import StateSpec
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.data.frames import frame_bytes
from robot_rl.vision.eyes import Eyes
from robot_rl.vision.frozen import check_name, open_encoder
from robot_rl.vision.health import PictureWatch

CNN = "cnn"
MEMORY_SHARE = 0.7
"""Of the machine's memory, for pictures and features in the replay."""


@dataclass(frozen=True)
class PictureConfig:
    """Pictures that a policy is learnt from.

    Attributes:
        cameras: which; none for learning from the state alone. The state then holds nothing of the task's objects,
            unless ``--task-options observe_objects=True`` says otherwise.
        image_size: side of the square pictures that networks see, pixels.
        encoder: ``cnn`` trains one; otherwise a frozen encoder, such as ``resnet10:FILE``, ``timm:NAME:FILE``,
            ``open_clip:DIR`` or ``random:small``, whose features are computed once for each frame. Every machine opens
            a file of its own.
        crops: randomly shifted copies of each picture whose features are kept, the picture itself among them; updates
            draw one of them. The memory of the replay grows with it.
        keep_frames: the replay holds the pictures beside the features.
        usual: what each camera shows in the demonstrations, 48 numbers each, by which swapped cameras are known;
            filled in by the run.
    """

    cameras: tuple[str, ...] = ()
    image_size: Annotated[int, Range(16, 1024)] = 128
    encoder: str = CNN
    crops: Annotated[int, Range(1, 64)] = 4
    keep_frames: bool = False
    usual: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges and names.

        Raises:
            ConfigError: a value is out of range, a camera is named twice, or no encoder has such a name.
        """
        check_ranges(self)
        if len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"pictures.cameras names a camera twice: {', '.join(self.cameras)}")
        if self.encoder != CNN:
            check_name(self.encoder)

    @property
    def on(self) -> bool:
        """Pictures are learnt from."""
        return bool(self.cameras)

    @property
    def frozen(self) -> bool:
        """A frozen encoder looks at them."""
        return self.on and self.encoder != CNN


def open_eyes(config: PictureConfig, *, copies: int | None = None) -> Eyes | None:
    """What sees for the networks of a run; None without pictures.

    Args:
        config: of the run.
        copies: of each picture whose features are computed; by default as many as the replay keeps.

    Raises:
        ConfigError: the encoder's file is not on this machine, or a library is missing.
        DataError: the file holds something else.
    """
    if not config.on:
        return None
    encoder = open_encoder(config.encoder) if config.frozen else None
    return Eyes(config.cameras, config.image_size, encoder, copies=copies or config.crops)


def layout_checksum(spec: StateSpec, eyes: Eyes | None) -> str:
    """What both ends must agree on: of the state's layout, and after a dash of what the networks see."""
    return spec.checksum if eyes is None else f"{spec.checksum}-{eyes.views.checksum}"


def layout_difference(got: str, expected: str) -> str:
    """One sentence about an actor's layout that is not the learner's; empty if it is.

    Args:
        got: the actor's `layout_checksum`, empty if it is not known yet.
        expected: the learner's.
    """
    if got in ("", expected):
        return ""
    (state, _, views), (own_state, _, own_views) = got.partition("-"), expected.partition("-")
    if state != own_state:
        return (
            f"the actor's state layout is {state}, the learner's is {own_state}: "
            "install the same version of robot_rl on both sides"
        )
    return (
        f"what the actor's networks see is {views or 'nothing'}, the learner's see {own_views or 'nothing'}: open the "
        "same frozen encoder on both sides, the actor's file being named with --encoder"
    )


def picture_storage(config: PictureConfig, eyes: Eyes) -> dict[str, Any]:
    """What `robot_rl.data.replay.ReplayBuffer` keeps of a run's pictures, by the names of its arguments."""
    frozen = config.frozen
    return {
        "camera_shapes": eyes.image_shapes if config.keep_frames or not frozen else {},
        "feature_shapes": eyes.feature_shapes,
        "encoder": eyes.views.encoder,
    }


def room(config: PictureConfig, eyes: Eyes, capacity: int, env_steps: int) -> int:
    """How many frames to make room for: no more than a run can fill.

    Args:
        config: of the run.
        eyes: of the run.
        capacity: frames that the replay may hold.
        env_steps: that will be taken.

    Raises:
        ConfigError: this machine has not so much memory; says how many frames fit.
    """
    stored = picture_storage(config, eyes)
    each = frame_bytes(stored["camera_shapes"], stored["feature_shapes"])
    wanted, there = min(capacity, env_steps), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted * each > MEMORY_SHARE * there:
        fit = int(MEMORY_SHARE * there / each)
        raise ConfigError(
            f"{wanted:,} frames of {each / 1024:.0f} KiB need {wanted * each / 2**30:.1f} GiB, this machine has "
            f"{there / 2**30:.1f}: add --capacity {fit}, or keep less with --pictures.crops or --pictures.image-size"
        )
    # every step may begin a segment of its own, which takes a second frame
    return max(2, min(capacity, 2 * env_steps + 1000))


def open_watch(config: PictureConfig, spec: StateSpec) -> PictureWatch | None:
    """What looks after the pictures of a run while it acts; None without pictures."""
    return PictureWatch(config.cameras, spec, config.usual) if config.on else None


class Seeing:
    """A policy whose observations go through `Eyes` first; implements `robot_rl.core.protocols.Policy`.

    Args:
        policy: acts on what is seen.
        eyes: closed by whoever opened them.
    """

    def __init__(self, policy: Policy, eyes: Eyes) -> None:
        self._policy, self._eyes = policy, eyes

    @property
    def version(self) -> int:
        """Of the policy."""
        return self._policy.version

    def reset(self) -> None:
        """Begin a new episode, if the policy wants to know."""
        reset = getattr(self._policy, "reset", None)
        if reset is not None:
            reset()

    def flush(self) -> None:
        """Somebody else acted: what the policy has planned is void."""
        flush = getattr(self._policy, "flush", None)
        if flush is not None:
            flush()

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        """The action for an observation as it was read.

        Raises:
            DataError: a picture is missing, or as the policy.
        """
        return self._policy.act(self._eyes.see(obs), rng, deterministic=deterministic)


def seeing(policy: Policy, eyes: Eyes | None) -> Policy:
    """The policy, looking through these eyes if there are any."""
    return policy if eyes is None else Seeing(policy, eyes)


def picture_options(config: PictureConfig, shown: tuple[str, ...] = (), *, own_size: bool = True) -> dict[str, Any]:
    """What `robot_rl.envs.make_env` is told of a run's cameras.

    Args:
        config: of the run.
        shown: cameras that only people look through.
        own_size: the pictures' size is this run's to say; that of a cell outside this process is in its YAML.
    """
    cameras = tuple(dict.fromkeys((*config.cameras, *shown)))
    size = {"image_size": (config.image_size, config.image_size)} if config.on and own_size else {}
    return {"cameras": cameras, **size}
