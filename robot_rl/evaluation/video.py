"""Films of evaluation episodes that any browser plays: one episode, or several side by side."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np

from robot_rl.core.errors import ConfigError, DataError, DeviceError, RobotRlError
from robot_rl.core.protocols import Policy
from robot_rl.core.types import Image
from robot_rl.evaluation.evaluate import EVALUATION_SEED
from robot_rl.evaluation.rollout import Env, EpisodeResult, play_episode
from robot_rl.runtime.base_config import BaseUse
from robot_rl.runtime.based import on_base
from robot_rl.runtime.pictures import picture_options

GREEN = (52, 190, 130)
HOLD_S = 1.5
CAMERA = "film"
TILE = (360, 480)
NO_VIDEO_FILE = "no_video.txt"


@dataclass(frozen=True)
class _Shot:
    """One captured frame; packed without loss, because a few raw episodes would fill the memory of a small machine."""

    packed: bytes
    shape: tuple[int, ...]
    step: int
    success: bool

    def image(self) -> Image:
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)


@dataclass(frozen=True)
class Film:
    """One filmed episode.

    Attributes:
        result: how it went.
        shots: frames at the control rate.
        hz: control rate.
    """

    result: EpisodeResult
    shots: tuple[_Shot, ...]
    hz: float

    def frame(self, k: int) -> Image:
        """Frame k with time and outcome drawn on it; the last one once the episode is over."""
        shot = self.shots[min(k, len(self.shots) - 1)]
        over = k >= len(self.shots) - 1
        return annotate(shot.image(), shot.step / self.hz, shot.success, over=over)


def film_episode(policy: Policy, env: Env, seed: int) -> Film:
    """Play one episode and keep its frames.

    Raises:
        DeviceError: the environment cannot render; the message says what to install.
        DataError: an observation is not finite, or a frame is no picture.
    """
    shots: list[_Shot] = []

    def keep(image: Image, step: int, success: bool) -> None:
        if image is None or image.ndim != 3 or image.dtype != np.uint8:
            raise DataError("the environment gives no picture: it must be made with render_mode='rgb_array'")
        shots.append(_Shot(zlib.compress(np.ascontiguousarray(image).tobytes(), 1), image.shape, step, success))

    result = play_episode(policy, env, seed, on_frame=keep)
    return Film(result, tuple(shots), float(env.hz))


def annotate(image: Image, time_s: float, success: bool, *, over: bool) -> Image:
    """A copy with the robot time in a corner, and a green frame from success on."""
    from PIL import Image as Pictures
    from PIL import ImageDraw, ImageFont

    picture = Pictures.fromarray(image)
    draw = ImageDraw.Draw(picture, "RGBA")
    font = ImageFont.load_default(size=max(11, image.shape[0] // 24))
    text = f"{time_s:.1f} s" + ("  success" if success else "  ended without success" if over else "")
    left, top, right, bottom = draw.textbbox((12, 10), text, font=font)
    draw.rounded_rectangle((left - 6, top - 4, right + 6, bottom + 5), radius=4, fill=(10, 14, 20, 165))
    draw.text((12, 10), text, font=font, fill=GREEN if success else (235, 238, 242))
    if success:
        draw.rectangle(
            (0, 0, image.shape[1] - 1, image.shape[0] - 1), outline=GREEN, width=max(3, image.shape[0] // 90)
        )
    return np.asarray(picture)


def tile(images: Sequence[Image]) -> Image:
    """Pictures of one size in a grid as square as possible, left to right and top to bottom; free places stay black.

    Raises:
        DataError: there is none or the sizes differ.
    """
    if not images or len({i.shape for i in images}) != 1:
        raise DataError(
            f"got pictures of shapes {[i.shape for i in images]}, expected at least one and all of one shape"
        )
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    height, width, depth = images[0].shape
    out = np.zeros((rows * height, columns * width, depth), np.uint8)
    for k, image in enumerate(images):
        r, c = divmod(k, columns)
        out[r * height : (r + 1) * height, c * width : (c + 1) * width] = image
    return out


def write_video(path: Path, frames: Iterable[Image], hz: float) -> Path:
    """Encode frames: H.264 in MP4 where the encoder exists, else VP9 in WebM; 4:2:0, as browsers expect.

    Args:
        path: of the file; its suffix is replaced by that of the container in use.
        frames: ``uint8[H, W, 3]`` of one shape, at least one; odd sizes lose their last row or column.
        hz: frames a second.

    Returns:
        The path written.

    Raises:
        DataError: there are no frames, or no encoder, or the file cannot be written.
    """
    import av

    codec, suffix, options = _encoder()
    out = path.with_suffix(suffix)
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise DataError(f"no frames to write into {out}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(out), "w", options={"movflags": "+faststart"} if suffix == ".mp4" else {}) as container:
            rate = Fraction(hz).limit_denominator(1000)
            stream = cast(av.VideoStream, container.add_stream(codec, rate=rate, options=options))
            height, width = first.shape[0] // 2 * 2, first.shape[1] // 2 * 2
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            for image in chain([first], pictures):
                cut = np.ascontiguousarray(image[:height, :width])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
            container.mux(stream.encode(None))
    except (OSError, av.FFmpegError) as e:
        raise DataError(f"cannot write the video {out}: {e}") from e
    return out


def _encoder() -> tuple[str, str, dict[str, str]]:
    import av

    for name, suffix, options in (
        ("libx264", ".mp4", {"crf": "23", "preset": "medium"}),
        ("libopenh264", ".mp4", {}),
        ("libvpx-vp9", ".webm", {"crf": "32", "b": "0"}),
    ):
        if name in av.codecs_available:
            return name, suffix, options
    raise DataError("this build of PyAV has no video encoder, expected one of libx264, libopenh264, libvpx-vp9")


def grid_frames(films: Sequence[Film]) -> Iterator[Image]:
    """Films side by side in one time; each stays on its last frame until the longest is over, and a moment more."""
    length = max(len(f.shots) for f in films) + round(HOLD_S * films[0].hz)
    for k in range(length):
        yield tile([f.frame(k) for f in films])


def film(
    policy: Policy,
    task: str,
    *,
    n: int = 4,
    seed: int = EVALUATION_SEED,
    task_options: Mapping[str, Any] | None = None,
    base: BaseUse | None = None,
) -> list[Film]:
    """Film the first n evaluation episodes of a task, picked by seed and not by outcome.

    Raises:
        ConfigError: `n` is not positive, or the task is unknown.
        DeviceError: the machine cannot render; the message says what to install.
    """
    from robot_rl.envs import make_env

    if n < 1:
        raise ConfigError(f"got {n} episodes to film, expected at least 1")
    # Shadows cost ten times the time on a machine without a graphics card.
    options = {"render_camera": CAMERA, "render_size": TILE, "render_shadows": False, **dict(task_options or {})}
    env: Any = on_base(base, make_env(task, render_mode="rgb_array", **options))
    try:
        return [film_episode(policy, env, seed + k) for k in range(n)]
    finally:
        env.close()


def episode_video(
    policy: Policy,
    task: str,
    path: Path,
    n: int = 4,
    *,
    seed: int = EVALUATION_SEED,
    task_options: Mapping[str, Any] | None = None,
) -> Path:
    """Film n evaluation episodes into one video, side by side, at the speed of the robot.

    Returns:
        Path of the video, whose suffix may differ from the one asked for.

    Raises:
        DeviceError: the machine cannot render; the message says what to install.
        DataError: the video cannot be written.
    """
    films = film(policy, task, n=n, seed=seed, task_options=task_options)
    return write_video(path, grid_frames(films), films[0].hz)


def record_run_video(run_dir: Path, *, n: int = 4, checkpoint: Path | None = None) -> Path | None:
    """Film a run's policy into ``videos/``, with stills of the first episode beside it.

    A machine that cannot render is no reason to lose a report: the reason is then written to ``videos/no_video.txt``.

    Args:
        run_dir: the run's folder.
        n: episodes.
        checkpoint: which one to film; the newest by default.

    Returns:
        Path of the video, or None if there is none.
    """
    from robot_rl.evaluation.checkpoints import load_saved_policy

    folder = run_dir / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    reason = folder / NO_VIDEO_FILE
    try:
        saved = load_saved_policy(checkpoint or run_dir)
        options = {**saved.task_options, **picture_options(saved.pictures)}
        films = film(saved.policy, saved.task, n=n, task_options=options, base=saved.base)
        name = f"evaluation_{saved.checkpoint.name}"
        path = write_video(folder / f"{name}.mp4", grid_frames(films), films[0].hz)
        save_stills(films[0], folder, name)
    except RobotRlError as e:
        kind = "This machine could not film" if isinstance(e, DeviceError) else "Filming failed"
        reason.write_text(f"{kind}: {e}.\n", encoding="utf-8")
        return None
    reason.unlink(missing_ok=True)
    return path


def save_stills(film: Film, folder: Path, name: str, count: int = 4) -> list[Path]:
    """Write evenly spaced frames of a film as ``<name>_1.jpg`` to ``<name>_<count>.jpg``."""
    from PIL import Image as Pictures

    paths = []
    for k, at in enumerate(np.linspace(0, len(film.shots) - 1, count).round().astype(int)):
        paths.append(folder / f"{name}_{k + 1}.jpg")
        Pictures.fromarray(film.frame(int(at))).save(paths[-1], quality=88)
    return paths
