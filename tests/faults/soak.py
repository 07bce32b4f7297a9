"""Actor and learner with pictures for a long time: memory, descriptors, threads and delays must not grow."""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from tests.faults.evidence import Audit
from tests.faults.fuzz import resident_mib
from tests.faults.rig import FLAGS, Rig

EVERY_S = 10.0
HZ = 10.0
CAMERAS = "wrist,side"
# Buffers are filled, caches and compilers warm.
WARM_UP = 0.3
# The replay keeps a known amount of every step; these limits lie above it.
LIMITS = {"rss_mib": 0.6, "descriptors": 0.05, "threads": 0.02, "p50_ms": 2.0, "p99_ms": 20.0}
UNITS = {"rss_mib": "MiB/min", "descriptors": "1/min", "threads": "1/min", "p50_ms": "ms/min", "p99_ms": "ms/min"}


@dataclass(frozen=True)
class Sample:
    """One look at one process.

    Attributes:
        t_s: since the first look.
        process: ``actor`` or ``learner``.
        rss_mib: resident memory.
        descriptors: open files and sockets.
        threads: of the process.
        p50_ms: median time of a step since the last look: of the robot, from one step to the next beyond its period;
            of the learner, from the actor's writing a record to its own.
        p99_ms: 99th percentile of the same.
    """

    t_s: float
    process: str
    rss_mib: float
    descriptors: int
    threads: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Soak:
    """What came of it.

    Attributes:
        minutes: how long.
        steps: archived.
        samples: in order of time.
        slopes: growth per minute after the warm-up, by process and quantity.
        audit: account of the run.
        wrong: what grew.
    """

    minutes: float
    steps: int
    samples: list[Sample]
    slopes: dict[str, dict[str, float]]
    audit: Audit
    wrong: list[str]


def soak(folder: Path, minutes: float) -> Soak:
    """Train with pictures for so many minutes.

    Raises:
        TimeoutError: it does not begin, or ends early.
    """
    rig = Rig(folder, flags=FLAGS, hz=HZ, cameras=CAMERAS)
    samples: list[Sample] = []
    try:
        rig.start_learner()
        rig.await_progress(20)
        start_s = time.monotonic()
        clocks = _Clocks(rig)
        while (t_s := time.monotonic() - start_s) < 60.0 * minutes:
            time.sleep(EVERY_S - t_s % EVERY_S)
            assert rig.learner is not None
            pids = {"actor": rig.actor_pid(), "learner": rig.learner.pid}
            if not all(pids.values()) or rig.learner.poll() is not None:
                raise TimeoutError(f"a process ended after {t_s:.0f} s: {rig.said('learner.txt')}")
            delays = clocks.read(pids)
            samples += [_look(time.monotonic() - start_s, name, pid, delays[name]) for name, pid in pids.items()]
        rig.stop()
        audit = rig.audit()
    finally:
        rig.close()
    slopes = {name: growth([s for s in samples if s.process == name]) for name in ("actor", "learner")}
    wrong = [
        f"{name}: {what} grows by {slope:.2f} {UNITS[what]}"
        for name, by in slopes.items()
        for what, slope in by.items()
        if slope > LIMITS[what]
    ]
    return Soak(minutes, audit.archived, samples, slopes, audit, wrong + audit.problems)


def growth(samples: list[Sample]) -> dict[str, float]:
    """Robust slope per minute of every quantity after the warm-up: the median over all pairs (Theil and Sen)."""
    late = samples[int(WARM_UP * len(samples)) :]
    minutes = np.array([s.t_s / 60.0 for s in late])
    i, j = np.triu_indices(len(late), 1)
    slopes = {}
    for what in LIMITS:
        values = np.array([float(asdict(s)[what]) for s in late])
        slopes[what] = float(np.median((values[j] - values[i]) / (minutes[j] - minutes[i]))) if len(i) else 0.0
    return slopes


class _Clocks:
    """Reads what the witness has added since the last look."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._at: dict[int, int] = {}
        self._written_s: dict[str, float] = {}

    def read(self, pids: dict[str, int]) -> dict[str, list[float]]:
        """Milliseconds of the steps since the last look, by process."""
        actor, learner = (self._new(pids[name]) for name in ("actor", "learner"))
        moving = [float(line[1]) for line in actor if line[0] == "moving"]
        late = [1e3 * (b - a - 1.0 / HZ) for a, b in pairwise(moving) if b - a < 5.0 / HZ]
        self._written_s |= {f"{line[3]}/{line[4]}": float(line[1]) for line in actor if line[0] == "wrote"}
        keys = [(f"{line[3]}/{line[4]}", float(line[1])) for line in learner if line[0] == "wrote"]
        return {
            "actor": late,
            "learner": [1e3 * (t - self._written_s.pop(key)) for key, t in keys if key in self._written_s],
        }

    def _new(self, pid: int) -> list[list[str]]:
        path = self._rig.witness / f"{pid}.log"
        with path.open("rb") as file:
            file.seek(self._at.get(pid, 0))
            data = file.read()
        whole = data.rpartition(b"\n")[0]
        self._at[pid] = self._at.get(pid, 0) + len(whole) + bool(whole)
        return [line.split() for line in whole.decode().splitlines()]


def _look(t_s: float, name: str, pid: int, delays_ms: list[float]) -> Sample:
    p50, p99 = np.percentile(delays_ms, (50, 99)) if delays_ms else (0.0, 0.0)
    folder = Path("/proc") / str(pid)
    counts = (len(list((folder / part).iterdir())) for part in ("fd", "task"))
    return Sample(t_s, name, resident_mib(pid), *counts, float(p50), float(p99))


def write_csv(result: Soak, path: Path) -> None:
    """The samples as a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(result.samples[0])))
        writer.writeheader()
        writer.writerows(asdict(s) for s in result.samples)


def draw(result: Soak, path: Path) -> None:
    """The samples as curves."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "soak"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9.0, 5.0), sharex=True, layout="constrained")
    titles = {"rss_mib": "resident memory, MiB", "descriptors": "open descriptors", "threads": "threads"}
    for axis, what in zip(axes.flat, (*titles, "p99_ms"), strict=True):
        for name, colour in (("actor", "#0072b2"), ("learner", "#d55e00")):
            samples = [s for s in result.samples if s.process == name]
            minutes = [s.t_s / 60 for s in samples]
            axis.plot(minutes, [asdict(s)[what] for s in samples], color=colour, label=name)
            if what == "p99_ms":
                axis.plot(minutes, [s.p50_ms for s in samples], color=colour, linestyle=":")
        axis.set_title(titles.get(what, "time of a step, ms: 99th percentile, median dotted"), fontsize=10)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0, 0].legend()
    for axis in axes[1]:
        axis.set_xlabel("minutes")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def section(result: Soak, picture: str) -> str:
    """Markdown of the result."""
    lines = [
        "## Soak",
        "",
        f"`robot-rl train Reach` with two rendered 128x128 cameras at {HZ:g} Hz for {result.minutes:g} min: "
        f"{result.steps} steps archived. Looked at every {EVERY_S:g} s; slopes after the first "
        f"{100 * WARM_UP:.0f} % (median over all pairs of samples). The time of a step is, for the actor, what the "
        "period between two steps exceeds the robot's; for the learner, from the actor's log to its own.",
        "",
        "| process | memory at the end, MiB | descriptors | threads | p50, p99 of a step, ms | slopes per minute "
        "(MiB, descriptors, threads, p50 ms, p99 ms) |",
        "|---|---|---|---|---|---|",
    ]
    for name, slopes in result.slopes.items():
        last = [s for s in result.samples if s.process == name][-1]
        rates = ", ".join(f"{v:+.2f}" for v in slopes.values())
        cells = [name, f"{last.rss_mib:.0f}", str(last.descriptors), str(last.threads)]
        lines.append("| " + " | ".join([*cells, f"{last.p50_ms:.1f}, {last.p99_ms:.1f}", rates]) + " |")
    verdict = "pass" if not result.wrong else "**FAIL** " + "; ".join(result.wrong)
    limits = ", ".join(f"{v:g} {UNITS[k]} ({k})" for k, v in LIMITS.items())
    return "\n".join([*lines, "", f"Verdict: {verdict}. Limits: {limits}.", "", f"![curves of the soak]({picture})"])
