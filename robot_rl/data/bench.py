"""How fast batches are drawn, beside what the memory allows and beside a buffer of the usual shape.

The floor of a row copies as many bytes as the sampler must touch, from as many random places, with `numpy.take` into
preallocated memory. The peer keeps one array per key and indexes each, as most published buffers do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.specs import ACTION_SIZE, Part, StateSpec
from robot_rl.core.transition import Observation, Source, StepRecord
from robot_rl.data.replay import MixtureSampler, ReplayBuffer
from robot_rl.data.rewards import STORED

STATE_SIZE = 24
EPISODE_STEPS = 100
Peer = dict[str, npt.NDArray[Any]]


def replay_bench(*, transitions: int = 100_000, image_frames: int = 3_000, rounds: int = 60) -> list[dict[str, Any]]:
    """Milliseconds per draw, interleaved with floor and peer in the same run.

    Args:
        transitions: state transitions stored.
        image_frames: transitions with two 128x128 cameras stored, 98,304 bytes each.
        rounds: repetitions; the image row makes a quarter of them.

    Returns:
        One row per case with ``case``, ``transitions`` (per draw), ``ms_min``, ``ms_median``, ``floor_ms_min``,
        ``floor_ms_median``, ``peer_ms_min``, ``peer_ms_median``, ``over_floor`` and ``peer_over_ours`` (ratios of the
        medians) and ``kib_per_transition``.
    """
    cameras = {"side": (128, 128, 3), "wrist": (128, 128, 3)}
    return [
        _row("states, 20 slices of 256", _filled(transitions, {}), utd=20, rounds=rounds),
        _row("the same by recency", _filled(transitions, {}, half_life_steps=transitions / 5), utd=20, rounds=rounds),
        _row("two 128x128 cameras, 256", _filled(image_frames, cameras), utd=1, rounds=max(3, rounds // 4)),
    ]


def _row(case: str, buffer: ReplayBuffer, *, utd: int, rounds: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sampler = MixtureSampler(buffer, 256, utd, 0.5, rng)
    images = bool(buffer.camera_shapes)
    peer = _peer(buffer)
    size = utd * 256
    ours, floor, theirs = _time(
        [
            sampler.sample_with_images if images else sampler.sample,
            _floor(buffer, size, rng),
            lambda: {
                name: array[slots] for slots in [rng.integers(len(buffer), size=size)] for name, array in peer.items()
            },
        ],
        rounds,
    )
    stored = sum(int(np.prod(shape)) for shape in buffer.camera_shapes.values()) + 4 * _row_floats()
    return {
        "case": case,
        "transitions": size,
        **_summary("ms", ours),
        **_summary("floor_ms", floor),
        **_summary("peer_ms", theirs),
        "over_floor": float(np.median(ours) / np.median(floor)),
        "peer_over_ours": float(np.median(theirs) / np.median(ours)),
        "kib_per_transition": stored / 1024,
    }


def _row_floats() -> int:
    # state, action, components, link
    return STATE_SIZE + ACTION_SIZE + len(STORED) + 1


def _floor(buffer: ReplayBuffer, size: int, rng: np.random.Generator) -> Callable[[], None]:
    """Random rows of the same bytes into memory that is there: per transition its row and the state behind it."""
    width = _row_floats() + STATE_SIZE
    rows = np.zeros((len(buffer), width), np.float32)
    out = np.empty((size, width), np.float32)
    frames: dict[str, npt.NDArray[np.uint8]] = {
        n: np.zeros((len(buffer), *s), np.uint8) for n, s in buffer.camera_shapes.items()
    }
    # touch every page: untouched ones would all be the same zero page
    rows += 1
    for images in frames.values():
        images += 1
    copies = {name: np.empty((size, *f.shape[1:]), np.uint8) for name, f in frames.items()}
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
    for name, shape in buffer.camera_shapes.items():
        for key in (name, f"next_{name}"):
            peer[key] = np.ones((size, *shape), np.uint8)
    return peer


def _filled(
    transitions: int, cameras: dict[str, tuple[int, int, int]], half_life_steps: float | None = None
) -> ReplayBuffer:
    spec = StateSpec((Part("state", STATE_SIZE, ""),))
    frames = transitions + transitions // EPISODE_STEPS + 2
    buffer = ReplayBuffer(spec, frames, camera_shapes=cameras, pinned=0, half_life_steps=half_life_steps)
    rng = np.random.default_rng(1)
    images = {name: rng.integers(0, 255, shape).astype(np.uint8) for name, shape in cameras.items()}
    obs = [Observation(rng.normal(size=STATE_SIZE).astype(np.float32), images) for _ in range(EPISODE_STEPS + 1)]
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
