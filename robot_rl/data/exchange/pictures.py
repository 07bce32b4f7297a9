"""Pictures as PNG without loss, or as the frames of an MP4 video with loss."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from robot_rl.core.errors import DataError
from robot_rl.core.types import Image

PNG_LEVEL = 3
_ENCODERS = {
    # A key frame every second frame and none that refers to later ones: readers jump to any frame quickly and exactly.
    "libx264": {"crf": "18", "preset": "medium", "g": "2", "bf": "0"},
    "libsvtav1": {"crf": "25", "preset": "8", "g": "2"},
}


def encode_png(image: Image) -> bytes:
    """A picture ``uint8[H, W, 3]`` as the bytes of a PNG file."""
    from PIL import Image as Pictures

    out = io.BytesIO()
    Pictures.fromarray(image).save(out, format="PNG", compress_level=PNG_LEVEL)
    return out.getvalue()


def decode_picture(data: bytes, where: str) -> Image:
    """The bytes of a picture file as ``uint8[H, W, 3]``.

    Args:
        data: PNG, or what else Pillow reads.
        where: for the message.

    Raises:
        DataError: it is no picture, or an absurdly large one.
    """
    from PIL import Image as Pictures

    try:
        with Pictures.open(io.BytesIO(data)) as picture:
            return np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Pictures.DecompressionBombError, Warning) as e:
        raise DataError(f"{where} holds no readable picture: {e}") from e


@dataclass(frozen=True)
class Placed:
    """Where the frames of an episode lie.

    Attributes:
        file: number of the video file.
        from_s: time of the first frame in it.
        to_s: time at which the last frame ends.
    """

    file: int
    from_s: float
    to_s: float


class VideoFiles:
    """Episodes of one camera, one after the other in MP4 files that begin anew when they have grown large.

    Args:
        folder: receives ``chunk-000/file-000.mp4`` and so on.
        fps: frames a second.
        max_bytes: a file that is larger gets no further episode; the few frames the encoder holds back do not count.
        chunk_files: files in a folder.

    Attributes:
        codec: canonical name of the video codec, ``h264`` or ``av1``.
        pix_fmt: of the encoded frames.
    """

    def __init__(self, folder: Path, fps: int, max_bytes: int, chunk_files: int) -> None:
        import av

        self._folder, self._fps, self._max_bytes, self._chunk_files = folder, fps, max_bytes, chunk_files
        self._encoder = next((name for name in _ENCODERS if name in av.codecs_available), "")
        if not self._encoder:
            raise DataError(f"this build of PyAV has no video encoder, expected one of {', '.join(_ENCODERS)}")
        self.codec = {"libx264": "h264", "libsvtav1": "av1"}[self._encoder]
        self.pix_fmt = "yuv420p"
        self._file, self._frames, self._bytes = 0, 0, 0
        self._container: Any = None
        self._stream: Any = None

    def add(self, images: Iterable[Image]) -> Placed:
        """Append the frames of an episode.

        Raises:
            DataError: a side of the pictures is odd.
            OSError: the disk refuses.
        """
        import av

        begin = self._frames
        for image in images:
            if self._container is None:
                self._open(image)
            self._encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
            self._frames += 1
        placed = Placed(self._file, begin / self._fps, self._frames / self._fps)
        if self._bytes > self._max_bytes:
            self.close()
            self._file, self._frames, self._bytes = self._file + 1, 0, 0
        return placed

    def _path(self) -> Path:
        return self._folder / chunk_name(self._file, self._chunk_files, ".mp4")

    def _open(self, image: Image) -> None:
        import av

        self._path().parent.mkdir(parents=True, exist_ok=True)
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            raise DataError(f"videos need even picture sizes, got {height}x{width}: export without --video")
        self._container = av.open(str(self._path()), "w")
        options = _ENCODERS[self._encoder]
        stream = self._container.add_stream(self._encoder, rate=self._fps, options=options)
        self._stream = cast(Any, stream)
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, self.pix_fmt

    def close(self) -> None:
        """Finish the open file. May be called twice."""
        if self._container is not None:
            self._encode(None)
            self._container.close()
            self._container = None

    def _encode(self, frame: Any) -> None:
        import av

        try:
            packets = self._stream.encode(frame)
            self._bytes += sum(packet.size for packet in packets)
            self._container.mux(packets)
        except av.FFmpegError:
            # FFmpeg crashes when a file is written to whose header it could not write
            self._container = None
            raise


def chunk_name(file: int, chunk_files: int, suffix: str) -> str:
    """``chunk-000/file-000`` and suffix of the n-th file."""
    return f"chunk-{file // chunk_files:03d}/file-{file % chunk_files:03d}{suffix}"


def read_video(path: Path, from_s: float, count: int, fps: float) -> Iterator[Image]:
    """Frames ``uint8[H, W, 3]`` of one episode out of a video file.

    Args:
        path: of the file.
        from_s: time of the episode's first frame.
        count: frames wanted.
        fps: frames a second.

    Raises:
        DataError: the file cannot be read, or a frame is missing.
    """
    import av

    done, half = 0, 0.5 / fps
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.time_base is None:
                raise DataError(f"{path} is a video without times")
            container.seek(int(from_s / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                time_s = float(frame.time or 0.0)
                if done == count or time_s > from_s + done / fps + half:
                    break
                if time_s >= from_s + done / fps - half:
                    yield cast(Image, frame.to_ndarray(format="rgb24"))
                    done += 1
    except (OSError, IndexError, av.FFmpegError) as e:
        raise DataError(f"cannot read the video {path}: {e}") from e
    if done < count:
        raise DataError(f"{path} has no frame at {from_s + done / fps:.3f} s, which its episode needs")
