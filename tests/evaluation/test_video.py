"""Films: right pictures in the right order, in a format browsers play, and no lost report without graphics."""

from pathlib import Path

import av
import numpy as np
import pytest

from robot_rl.core.errors import ConfigError, DataError, DeviceError
from robot_rl.evaluation import video
from robot_rl.evaluation.video import annotate, episode_video, film_episode, grid_frames, save_stills, tile, write_video
from robot_rl.runtime.pictures import PictureConfig
from tests.evaluation.conftest import HZ, ForwardPolicy, LineEnv


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def test_browser_playable_and_faithful(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), shade, np.uint8) for shade in (0, 80, 160, 240)]
    path = write_video(tmp_path / "deep" / "film.mp4", iter(frames), 10.0)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name in ("h264", "vp9", "libvpx-vp9") and stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 10.0
    got = decoded(path)
    assert [round(float(f.mean()), -1) for f in got] == pytest.approx([0, 80, 160, 240], abs=10)


def test_odd_sizes_lose_a_line_not_the_film(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mp4", [np.zeros((49, 65, 3), np.uint8)] * 2, 10.0)
    assert decoded(path)[0].shape == (48, 64, 3)


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frames"):
        write_video(tmp_path / "film.mp4", [], 10.0)


def test_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write the video"):
        write_video(tmp_path / "file" / "film.mp4", [np.zeros((8, 8, 3), np.uint8)], 10.0)


def test_grid_is_read_like_text() -> None:
    tiles = [np.full((2, 3, 3), k, np.uint8) for k in (1, 2, 3)]
    out = tile(tiles)
    assert out.shape == (4, 6, 3)
    assert (out[0, 0, 0], out[0, 3, 0], out[2, 0, 0], out[2, 3, 0]) == (1, 2, 3, 0)
    with pytest.raises(DataError):
        tile([tiles[0], np.zeros((1, 1, 3), np.uint8)])


def test_films_share_one_time_and_wait_for_the_longest() -> None:
    films = [film_episode(ForwardPolicy(), LineEnv(), seed) for seed in (0, 1)]
    assert [len(f.shots) for f in films] == [6, 31]
    assert [f.result.success for f in films] == [True, False]
    frames = list(grid_frames(films))
    assert len(frames) == 31 + 15
    # The left film is over after 5 steps and shows its green frame from then on.
    assert not is_green(frames[4][0, 0]) and all(is_green(f[0, 0]) for f in frames[5:])
    assert not any(is_green(f[0, 64]) for f in frames)


def is_green(pixel: np.ndarray) -> bool:
    return bool(pixel[1] > 150 > pixel[0])


def test_packing_loses_nothing() -> None:
    env = LineEnv()
    film = film_episode(ForwardPolicy(), env, 0)
    np.testing.assert_array_equal(film.shots[-1].image(), env.render())


def test_drawing_leaves_the_original_alone() -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    drawn = annotate(image, 1.5, False, over=False)
    assert drawn.any() and not image.any() and drawn.shape == image.shape
    assert not drawn[60:].any()


def test_stills_run_from_start_to_end(tmp_path: Path) -> None:
    film = film_episode(ForwardPolicy(), LineEnv(), 0)
    assert [p.name for p in save_stills(film, tmp_path, "e")] == ["e_1.jpg", "e_2.jpg", "e_3.jpg", "e_4.jpg"]


def test_episode_video_films_the_first_evaluation_episodes(line_env: LineEnv, tmp_path: Path) -> None:
    path = episode_video(ForwardPolicy(), "Line", tmp_path / "film.mp4", n=4, seed=0)
    assert line_env.resets == [0, 1, 2, 3] and line_env.closed
    frames = decoded(path)
    assert frames[0].shape == (96, 128, 3) and len(frames) == 31 + round(1.5 * HZ)
    with pytest.raises(ConfigError):
        episode_video(ForwardPolicy(), "Line", tmp_path / "film.mp4", n=0)


def test_an_environment_without_pictures_is_named(line_env: LineEnv, tmp_path: Path) -> None:
    line_env.picture = False
    with pytest.raises(DataError, match="render_mode"):
        episode_video(ForwardPolicy(), "Line", tmp_path / "film.mp4")


def test_no_graphics_leaves_a_reason_and_no_error(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise DeviceError("cannot render: no display; install libegl1")

    class Saved:
        policy, task, task_options, checkpoint = ForwardPolicy(), "Line", {}, Path("000000001")
        pictures = PictureConfig()
        base = None

    monkeypatch.setattr("robot_rl.evaluation.checkpoints.load_saved_policy", lambda path: Saved)
    monkeypatch.setattr(video, "film", fail)
    assert video.record_run_video(run_dir) is None
    reason = run_dir / "videos" / video.NO_VIDEO_FILE
    assert "install libegl1" in reason.read_text()
    monkeypatch.setattr(video, "film", lambda *a, **k: [film_episode(ForwardPolicy(), LineEnv(), 0)])
    path = video.record_run_video(run_dir)
    assert path is not None and path.exists() and not reason.exists()
    assert len(list((run_dir / "videos").glob("*.jpg"))) == 4
