"""How fast batches are drawn, beside what the memory allows and beside a buffer of the usual shape.

The floor of a row copies as many bytes as the sampler must touch, from as many random places, with `numpy.take` into
preallocated memory. The peer keeps one array per key and indexes each, as most published buffers do.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DeviceError
from robot_rl.core.specs import ACTION_SIZE, Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.frames import frame_bytes
from robot_rl.data.replay import MixtureSampler, ReplayBuffer
from robot_rl.data.rewards import STORED

STATE_SIZE = 24
EPISODE_STEPS = 100
CAMERAS, IMAGE_PX, FEATURES = ("side", "wrist"), 128, (4, 4, 512)
Peer = dict[str, npt.NDArray[Any]]


def replay_bench(
    *, transitions: int = 100_000, image_frames: int = 3_000, rounds: int = 60, peer_python: Path | None = None
) -> list[dict[str, Any]]:
    """Milliseconds per draw, interleaved with floor and peer in the same run.

    Args:
        transitions: state transitions stored.
        image_frames: transitions with two 128x128 cameras stored, 98,304 bytes each as pictures.
        rounds: repetitions; the image rows make a quarter of them.
        peer_python: path of a Python that has ``lerobot``, whose buffer the image rows are then compared with too.

    Returns:
        One row per case with ``case``, ``transitions`` (per draw), ``ms_min``, ``ms_median``, ``floor_ms_min``,
        ``floor_ms_median``, ``peer_ms_min``, ``peer_ms_median``, ``over_floor`` and ``peer_over_ours`` (ratios of the
        medians) and ``kib_per_transition``; those with images also ``lerobot_ms_min``, ``lerobot_ms_median``,
        ``lerobot_over_ours`` and ``lerobot_kib`` if there is a peer.

    Raises:
        DeviceError: the peer does not answer.
    """
    few = max(3, rounds // 4)
    recent = _filled(transitions, half_life_steps=transitions / 5)
    rows = [
        _row("states, 20 slices of 256", _filled(transitions), utd=20, rounds=rounds),
        _row("the same by recency", recent, utd=20, rounds=rounds),
    ]
    with ExitStack() as stack:
        peer = None
        if peer_python is not None:
            peer = stack.enter_context(closing(LeRobot(peer_python, image_frames)))
        pictures = _filled(image_frames, camera_shapes=dict.fromkeys(CAMERAS, (IMAGE_PX, IMAGE_PX, 3)))
        rows.append(_row("two 128x128 cameras, 256", pictures, utd=1, rounds=few, other=peer))
        del pictures
        for copies in (1, 4):
            shapes = dict.fromkeys(CAMERAS, (copies, *FEATURES))
            cached = _filled(image_frames, feature_shapes=shapes, encoder="bench")
            name = f"cached 4x4x512 features of them, {copies} cop{'y' if copies == 1 else 'ies'}, 256"
            rows.append(_row(name, cached, utd=1, rounds=few, other=peer))
    return rows


def _row(case: str, buffer: ReplayBuffer, *, utd: int, rounds: int, other: LeRobot | None = None) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sampler = MixtureSampler(buffer, 256, utd, 0.5, rng)
    peer = _peer(buffer)
    size = utd * 256
    calls: list[Callable[[], Any]] = [
        sampler.sample,
        _floor(buffer, size, rng),
        lambda: {
            name: array[slots] for slots in [rng.integers(len(buffer), size=size)] for name, array in peer.items()
        },
    ]
    if other is not None:
        calls.append(other.round)
    ours, floor, theirs, *more = _time(calls, rounds)
    stored = frame_bytes(buffer.camera_shapes, buffer.feature_shapes) + 4 * _row_floats()
    row = {
        "case": case,
        "transitions": size,
        **_summary("ms", ours),
        **_summary("floor_ms", floor),
        **_summary("peer_ms", theirs),
        "over_floor": float(np.median(ours) / np.median(floor)),
        "peer_over_ours": float(np.median(theirs) / np.median(ours)),
        "kib_per_transition": stored / 1024,
    }
    if other is not None:
        row |= _summary("lerobot_ms", more[0])
        row |= {"lerobot_over_ours": float(np.median(more[0]) / np.median(ours)), "lerobot_kib": other.kib}
    return row


class LeRobot:
    """LeRobot's buffer of the same pictures in another Python.

    Args:
        python: path of that Python.
        transitions: stored.

    Attributes:
        kib: memory of a transition.

    Raises:
        DeviceError: it does not answer.
    """

    def __init__(self, python: Path, transitions: int) -> None:
        work = {
            "transitions": transitions,
            "image_px": IMAGE_PX,
            "cameras": CAMERAS,
            "batch_size": 256,
            "state_size": STATE_SIZE,
            "action_size": ACTION_SIZE,
            "episode_steps": EPISODE_STEPS,
            "threads": len(os.sched_getaffinity(0)),
        }
        command = [str(python), str(Path(__file__).with_name("bench_peer.py")), json.dumps(work)]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as e:
            raise DeviceError(f"cannot start {python}: {e.strerror}") from e
        self.kib = self._answer()["bytes_per_transition"] / 1024

    def round(self) -> None:
        """One draw."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._answer()

    def close(self) -> None:
        """End the process. May be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise DeviceError("the peer ended without an answer: does its Python have lerobot (pip install lerobot)?")
        answer: dict[str, float] = json.loads(line)
        return answer


def _row_floats() -> int:
    # state, action, components, guided, link
    return STATE_SIZE + ACTION_SIZE + len(STORED) + 2


def _floor(buffer: ReplayBuffer, size: int, rng: np.random.Generator) -> Callable[[], None]:
    """Random rows of the same bytes into memory that is there: per transition its row and the state behind it."""
    width = _row_floats() + STATE_SIZE
    rows = np.zeros((len(buffer), width), np.float32)
    out = np.empty((size, width), np.float32)
    views = buffer.views
    frames: dict[str, npt.NDArray[Any]] = {n: np.zeros((len(buffer), *s), views.dtype) for n, s in views.shapes}
    # touch every page: untouched ones would all be the same zero page
    rows += 1
    for images in frames.values():
        images += 1
    copies = {name: np.empty((size, *f.shape[1:]), views.dtype) for name, f in frames.items()}
    next_copies = {name: np.empty_like(copy) for name, copy in copies.items()}

    def run() -> None:
        slots = rng.integers(len(rows) - 1, size=size)
        np.take(rows, slots, axis=0, out=out, mode="clip")
        for name, images in frames.items():
            np.take(images, slots, axis=0, out=copies[name], mode="clip")
            np.take(images, slots + 1, axis=0, out=next_copies[name], mode="clip")

    return run


def _peer(buffer: ReplayBuffer) -> Peer:
    """One array per key, observations and next observations each stored."""
    size = len(buffer)
    shapes: dict[str, tuple[int, ...]] = {
        "state": (STATE_SIZE,),
        "next_state": (STATE_SIZE,),
        "action": (ACTION_SIZE,),
        "reward": (),
        "mask": (),
        "done": (),
    }
    peer: Peer = {name: np.ones((size, *shape), np.float32) for name, shape in shapes.items()}
    for name, shape in buffer.views.shapes:
        for key in (name, f"next_{name}"):
            peer[key] = np.ones((size, *shape), buffer.views.dtype)
    return peer


def _filled(transitions: int, **options: Any) -> ReplayBuffer:
    spec = StateSpec((Part("state", STATE_SIZE, ""),))
    frames = transitions + transitions // EPISODE_STEPS + 2
    buffer = ReplayBuffer(spec, frames, pinned=0, **options)
    rng = np.random.default_rng(1)
    images = {name: rng.integers(0, 255, shape).astype(np.uint8) for name, shape in buffer.camera_shapes.items()}
    features = {name: rng.random(shape).astype(np.float16) for name, shape in buffer.feature_shapes.items()}
    obs = [
        Observation(rng.normal(size=STATE_SIZE).astype(np.float32), images, features) for _ in range(EPISODE_STEPS + 1)
    ]
    action = np.zeros(ACTION_SIZE, np.float32)
    for episode in range(transitions // EPISODE_STEPS):
        for i in range(EPISODE_STEPS):
            last = i == EPISODE_STEPS - 1
            record = StepRecord(
                str(episode), i, obs[i], action, action, {"success": 0.0}, False, last, "", episode % 10 == 0,
                Source.SIM, 0, "bench", 0.0, 0.0, final_obs=obs[-1] if last else None,
            )  # fmt: skip
            buffer.add(record)
    return buffer


def _time(calls: list[Callable[[], Any]], rounds: int) -> npt.NDArray[np.float64]:
    """Milliseconds ``[calls, rounds]``, interleaved, after one call each that is not counted."""
    for call in calls:
        call()
    out = np.empty((len(calls), rounds))
    shuffle = np.random.default_rng(2)
    for r in range(rounds):
        # the order changes: what runs after a call with large outputs finds the caches cold
        for c in shuffle.permutation(len(calls)).tolist():
            start = time.perf_counter()
            calls[c]()
            out[c, r] = 1e3 * (time.perf_counter() - start)
    return out


def _summary(name: str, times_ms: npt.NDArray[np.float64]) -> dict[str, float]:
    return {f"{name}_min": float(times_ms.min()), f"{name}_median": float(np.median(times_ms))}
