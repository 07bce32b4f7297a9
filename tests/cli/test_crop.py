"""``robot-rl crop``: on a task, on episodes of the simulator, on other episodes, on a cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robot_rl.cli.demos import run as demos
from robot_rl.cli.main import main
from robot_rl.data.episode_log import read_episode
from robot_rl.envs import make_env
from robot_rl.runtime.episode_files import EpisodeSink

pytestmark = pytest.mark.gl


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    crops = ["--crops", "side", "100", "0", "400", "400"]
    assert demos(["record", "Reach", "--n", "1", "--out", str(folder), "--cameras", "side", *crops]) == 0
    return folder


def printed_crop(text: str, camera: str) -> tuple[int, ...]:
    words = text.split(f"--crops {camera} ")[1].split()
    return tuple(int(w) for w in words[:4])


def test_a_task_gets_a_region_that_keeps_tool_and_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheets" / "crop.png"
    arguments = ["crop", "Reach", "--auto", "--episodes", "1", "--cameras", "side", "--out", str(out)]
    assert main(arguments) == 0 and out.is_file()
    text = capsys.readouterr().out
    region = printed_crop(text, "side")
    assert f"crop: {list(region)}" in text and region[2] == region[3] < 480
    env = make_env("Reach", cameras=("side",), crops={"side": region})
    assert env.reset(seed=0)[0]["images"]["side"].shape == (128, 128, 3)
    env.close()


def test_episodes_of_the_simulator_are_seen_in_full_whatever_was_recorded(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    episode = read_episode(recorded / "000000.mcap")
    assert '"crops": {"side": [100, 0, 400, 400]}' in episode.meta.extra["task_options"]
    arguments = ["crop", str(recorded), "--roi", "side", "50", "60", "300", "200", "--out", str(tmp_path / "a.png")]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "of 640x480" in text and printed_crop(text, "side") == (50, 60, 300, 200)


def test_other_episodes_are_judged_by_what_moves_and_told_in_pixels_of_the_device(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    episode = read_episode(recorded / "000000.mcap")
    sink = EpisodeSink(tmp_path / "real", replace(episode.meta, extra={"cell": "lab"}))
    for record in episode.records:
        sink.append(record)
    sink.close()
    cell = tmp_path / "lab.yaml"
    cell.write_text("cameras:\n  side: {provider: uvc, device: /dev/video0, crop: [80, 0, 480, 480]}\n")
    arguments = ["crop", str(tmp_path / "real"), "--auto", "--cell", str(cell), "--out", str(tmp_path / "b.png")]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "of 128x128" in text and "--crops" not in text
    left, top, width, height = (int(v) for v in text.split("crop: [")[1].split("]")[0].split(","))
    assert left >= 80 and left + width <= 560 and top >= 0 and top + height <= 480 and width > 60


def test_the_cameras_of_a_cell_are_opened_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    with av.open(str(tmp_path / "video.nut"), "w", format="nut") as container:
        stream = container.add_stream("rawvideo", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "rgb24"
        for n in range(300):
            image = np.zeros((120, 160, 3), np.uint8)
            image[40:60, 20 + n % 60 : 40 + n % 60] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    camera = f"{{provider: uvc, device: {tmp_path}/video.nut, width: 160, height: 120, crop: [20, 0, 100, 100]}}"
    cell = tmp_path / "cell.yaml"
    robot = "robot: {provider: franky}\ngripper: {provider: franky}\nworld: {provider: fixed}\n"
    cell.write_text(f"{robot}cameras:\n  front: {camera}\n")
    arguments = ["crop", str(cell), "--auto", "--seconds", "3", "--out", str(tmp_path / "c.png")]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "of 160x120" in text
    left, top, width, height = (int(v) for v in text.split("crop: [")[1].split("]")[0].split(","))
    assert top <= 41 and top + height >= 59 and left + width <= 160 and width < 120


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Reech"], "cell 'Reech'"),
        (["Reach", "--cameras", "sid"], "did you mean 'side'"),
        (["Reach", "--episodes", "1", "--cameras", "side", "--roi", "wrist", "1", "1", "9", "9"], "camera of --roi"),
        (["Reach", "--episodes", "1", "--cameras", "side", "--roi", "side", "600", "1", "90", "9"], "does not lie in"),
        (["/nowhere/000000.mcap"], "there is no"),
    ],
)
def test_what_cannot_be_looked_at_is_said_in_a_sentence(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["crop", *arguments, "--out", str(tmp_path / "x.png")]) == 2
    assert says in capsys.readouterr().err
