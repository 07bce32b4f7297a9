"""Disks that fill up, refuse or vanish: one sentence, no step lost that was appended, no descriptor left open."""

import itertools
import math
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from robot_rl.core.errors import DataError, StorageError
from robot_rl.data.append_file import AppendFile
from robot_rl.data.episode_log import EpisodeWriter, continue_episode, read_episode, read_meta
from tests.data.episodes import META, episode, same

ROOT = Path(__file__).parents[2]
RECORDS = episode(1, 30, images=True)
WRITE_UNTIL_REFUSED = """
    import os, sys
    from pathlib import Path
    from robot_rl.core.errors import StorageError
    from robot_rl.data.episode_log import EpisodeWriter
    from tests.data.episodes import META, episode

    def write(folder):
        before = len(os.listdir("/proc/self/fd"))
        steps = 0
        try:
            writer = EpisodeWriter(Path(folder) / "1.mcap", META)
            for record in episode(1, 30, images=True):
                writer.append(record)
                steps = writer.steps
            writer.close()
        except StorageError as e:
            print(steps, len(os.listdir("/proc/self/fd")) - before, e)
"""


def child(code: str, *command: str) -> list[str]:
    """Run Python code in another process; its output as words of the first line."""
    program = textwrap.dedent(WRITE_UNTIL_REFUSED) + textwrap.dedent(code)
    done = subprocess.run(
        [*command, sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, done.stdout
    return done.stdout.split(maxsplit=2)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def assert_holds(path: Path, steps: int) -> None:
    read = read_episode(path, strict=False)
    assert len(read.records) == steps
    assert all(same(a, b) for a, b in zip(RECORDS, read.records, strict=False))


@pytest.mark.parametrize("limit", [6000, 9001, 12345, 15001])
def test_a_full_disk_keeps_the_steps_before(tmp_path: Path, limit: int) -> None:
    steps, leaked, sentence = child(f"""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        write({str(tmp_path)!r})
    """)
    partial = tmp_path / "1.mcap.partial"
    assert int(leaked) == 0 and int(steps) > 0
    assert sentence.strip() == (
        f"cannot write {tmp_path / '1.mcap'}: File too large; the {steps} steps before are kept in {partial}"
    )
    assert_holds(partial, int(steps))
    # with room again the episode goes on
    with continue_episode(partial) as writer:
        assert writer.steps == int(steps)
        for record in RECORDS[writer.steps :]:
            writer.append(record)
    assert_holds(tmp_path / "1.mcap", 30)


def test_no_room_even_for_the_header_leaves_no_file(tmp_path: Path) -> None:
    steps, leaked, sentence = child(f"""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        write({str(tmp_path)!r})
    """)
    assert (steps, leaked) == ("0", "0")
    assert sentence.strip() == f"cannot write {tmp_path / '1.mcap.partial'}: File too large"
    assert not list(tmp_path.iterdir())


def test_no_room_to_take_an_episode_up_leaves_it_as_it_was(tmp_path: Path) -> None:
    with EpisodeWriter(tmp_path / "1.mcap", META) as writer:
        for record in RECORDS[:20]:
            writer.append(record)
    before = writer.partial_path.read_bytes()
    _, leaked, sentence = child(f"""
        import resource, signal
        from robot_rl.data.episode_log import continue_episode
        open_before = len(os.listdir("/proc/self/fd"))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
        try:
            continue_episode({str(writer.partial_path)!r})
        except StorageError as e:
            print(0, len(os.listdir("/proc/self/fd")) - open_before, e)
    """)
    assert leaked == "0" and "stays as it was: cannot write" in sentence
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


NAMESPACES = (
    bool(shutil.which("unshare")) and not subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode
)


@pytest.mark.skipif(not NAMESPACES, reason="no user namespaces here")
def test_a_full_file_system_keeps_the_steps_before(tmp_path: Path) -> None:
    inside, copy = tmp_path / "small", tmp_path / "copy"
    inside.mkdir()
    words = child(
        f"""
        import shutil, subprocess
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", {str(inside)!r}], check=True)
        write({str(inside)!r})
        shutil.copytree({str(inside)!r}, {str(copy)!r})
        """,
        *("unshare", "-rm"),
    )
    steps, leaked, sentence = int(words[0]), int(words[1]), words[2]
    assert steps > 0 and leaked == 0
    assert "No space left on device" in sentence and f"the {steps} steps before are kept" in sentence
    assert_holds(copy / "1.mcap.partial", steps)


@pytest.mark.skipif(not NAMESPACES, reason="no user namespaces here")
def test_a_read_only_file_system_is_one_sentence(tmp_path: Path) -> None:
    words = child(
        f"""
        import subprocess
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", {str(tmp_path)!r}], check=True)
        write({str(tmp_path)!r})
        """,
        *("unshare", "-rm"),
    )
    assert words[:2] == ["0", "0"]
    assert words[2].strip() == f"cannot write {tmp_path / '1.mcap.partial'}: Read-only file system"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="cannot write .*: Permission denied"):
            EpisodeWriter(tmp_path / "1.mcap", META)
    finally:
        tmp_path.chmod(0o700)


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*1\.mcap\.partial: (Not a directory|File exists)"):
        EpisodeWriter(tmp_path / "file" / "1.mcap", META)
    with pytest.raises(DataError, match="cannot read .*: Not a directory"):
        read_episode(tmp_path / "file" / "1.mcap")
    with pytest.raises(DataError, match="cannot read .*: Is a directory"):
        read_meta(tmp_path)


def test_a_removed_folder_is_noticed_and_its_steps_are_written_anew(tmp_path: Path) -> None:
    before = open_descriptors()
    writer = EpisodeWriter(tmp_path / "run" / "1.mcap", META)
    for record in RECORDS[:3]:
        writer.append(record)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(StorageError, match="No such file or directory; the 3 steps before are kept in"):
        writer.append(RECORDS[3])
    writer.close()
    assert open_descriptors() == before
    assert_holds(tmp_path / "run" / "1.mcap.partial", 3)


def test_a_removed_folder_that_cannot_be_made_again_is_said_so(tmp_path: Path) -> None:
    before = open_descriptors()
    writer = EpisodeWriter(tmp_path / "run" / "1.mcap", META)
    writer.append(RECORDS[0])
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(StorageError, match="the 1 steps before are no longer on this disk"):
        writer.close()
    assert open_descriptors() == before


def test_a_moved_folder_is_noticed_and_found(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "run" / "1.mcap", META)
    writer.append(RECORDS[0])
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="kept in .*/elsewhere/"):
        writer.append(RECORDS[1])
    assert_holds(tmp_path / "elsewhere" / "1.mcap.partial", 1)


def test_another_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "1.mcap", META)
    writer.append(RECORDS[0])
    writer.partial_path.unlink()
    writer.partial_path.write_text("mine")
    with pytest.raises(StorageError, match="another file has taken its place"):
        writer.append(RECORDS[1])
    assert writer.partial_path.read_text() == "mine"


def test_flushed_bytes_are_in_the_file_and_pending_ones_are_not(tmp_path: Path) -> None:
    file = AppendFile(tmp_path / "f")
    file.write(b"one")
    assert (file.tell(), file.size, file.path.read_bytes()) == (3, 0, b"")
    file.flush()
    file.write(b"two")
    assert (file.tell(), file.size, file.path.read_bytes()) == (6, 3, b"one")
    file.close(tmp_path / "g")
    assert file.closed and not (tmp_path / "f").exists()
    assert (tmp_path / "g").read_bytes() == b"onetwo"


@pytest.mark.parametrize(("every_s", "expected"), [(0.0, 3), (math.inf, 0), (3600.0, 0)])
def test_synchronising_follows_its_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_s: float, expected: int
) -> None:
    synced = []
    monkeypatch.setattr("robot_rl.data.append_file.os.fdatasync", synced.append)
    monkeypatch.setattr("robot_rl.data.append_file.SYNC_SHARE", math.inf)
    file = AppendFile(tmp_path / "f", sync_every_s=every_s)
    for _ in range(3):
        file.write(b"x")
        file.flush()
    assert len(synced) == expected
    file.close()


def test_a_slow_disk_is_synchronised_more_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    synced_at_s = []

    def slow_sync(_: int) -> None:
        synced_at_s.append(now_s[0])
        now_s[0] += 0.1

    monkeypatch.setattr("robot_rl.data.append_file.time.monotonic", lambda: now_s[0])
    monkeypatch.setattr("robot_rl.data.append_file.os.fdatasync", slow_sync)
    file = AppendFile(tmp_path / "f", sync_every_s=1.0)
    while now_s[0] < 20.0:
        file.write(b"x")
        file.flush()
        now_s[0] += 0.1
    file.close()
    gaps_s = [b - a for a, b in itertools.pairwise(synced_at_s)]
    assert 1.0 <= synced_at_s[0] < 1.2
    assert len(gaps_s) >= 3 and min(gaps_s) >= 5.0
