"""Kernel, processor, timers, clock, memory and disk of the machine that runs a cell."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import shutil
import time
from pathlib import Path

from robot_rl.hardware.cell.description import CellConfig
from robot_rl.runtime.doctor.finding import Finding, bad, ok, warn

CPUS = Path("/sys/devices/system/cpu")
REALTIME = Path("/sys/kernel/realtime")
SHARED_MEMORY = Path("/dev/shm")
RT_PRIORITY = 80
CORES_OF_A_CELL = 4
# Each process of a cell has a shared memory segment of 16 MiB for pictures.
MIN_SHARED_MIB = 256
LATENESS_S = 0.002
VERY_LATE_S = 0.02
SLEEPS = 200
# From adjtimex(2): the clock is not synchronised.
STA_UNSYNC = 0x0040
MIN_FREE_GIB = (1.0, 20.0)
CLOCK_STEP_S = 0.001


def drives_robot(config: CellConfig) -> bool:
    """Whether a control loop of 1 kHz to a real robot runs here."""
    return config.robot.provider == "franky" and not config.robot.emulated


def check_kernel(config: CellConfig, kernel: str | None = None, realtime: Path = REALTIME) -> Finding:
    """Whether the kernel preempts everything for a control thread."""
    version = platform.version() if kernel is None else kernel
    preempts = "PREEMPT_RT" in version or (realtime.is_file() and realtime.read_text().strip() == "1")
    if preempts:
        return ok("kernel", f"real-time: {platform.release()}")
    if not drives_robot(config):
        return ok("kernel", f"not real-time ({platform.release()}), which this cell does not need")
    remedy = "install a PREEMPT_RT kernel (on Ubuntu: pro enable realtime-kernel)"
    if config.robot.realtime == "enforce":
        return bad("kernel", f"not real-time ({platform.release()}), and robot.realtime is enforce", remedy)
    return warn("kernel", f"not real-time ({platform.release()}): the robot will stop now and then", remedy)


def check_priority(config: CellConfig) -> Finding:
    """Whether this user may run real-time threads."""
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    if os.geteuid() == 0 or limit == resource.RLIM_INFINITY or limit >= RT_PRIORITY:
        return ok("priority", "this user may run real-time threads")
    if not drives_robot(config):
        return ok("priority", "no real-time threads for this user, which this cell does not need")
    text = f"this user may use real-time priority {limit}, the driver asks for {RT_PRIORITY}"
    return bad("priority", text, "add the user to a group with 'rtprio 99' in /etc/security/limits.d, log in again")


def check_governor(config: CellConfig, cpus: Path = CPUS) -> Finding:
    """Whether the processor stays at full clock."""
    governors = {p.read_text().strip() for p in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    if not governors:
        return ok("governor", "no frequency scaling here")
    if governors == {"performance"}:
        return ok("governor", "performance")
    text = f"the clock of the processor follows its load ({', '.join(sorted(governors))})"
    remedy = "cpupower frequency-set -g performance"
    return warn("governor", text, remedy) if drives_robot(config) else ok("governor", text)


def check_cores(config: CellConfig) -> Finding:
    """Whether there are cores enough for the nodes beside a learner."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if cores >= CORES_OF_A_CELL or config.simulated:
        return ok("cores", str(cores))
    return warn("cores", f"{cores}", f"run the learner on another machine: the cell wants {CORES_OF_A_CELL} for itself")


def check_timers(config: CellConfig, sleeps: int = SLEEPS) -> Finding:
    """How late this process wakes up when it sleeps, now."""
    late_s = []
    due_s = time.monotonic()
    for _ in range(sleeps):
        due_s += 0.005
        time.sleep(max(due_s - time.monotonic(), 0.0))
        late_s.append(time.monotonic() - due_s)
        due_s = max(due_s, time.monotonic())
    late_s.sort()
    p99_s, worst_s = late_s[int(0.99 * sleeps)], late_s[-1]
    text = f"wakes up {1e3 * p99_s:.1f} ms late at most in 99 of 100 sleeps, {1e3 * worst_s:.1f} ms once"
    remedy = "end what else runs on this machine (top shows it)"
    if p99_s > VERY_LATE_S and not config.simulated:
        return bad("timers", text, remedy)
    return warn("timers", text, remedy) if p99_s > LATENESS_S else ok("timers", text)


def check_clock(config: CellConfig, status: int | None = None) -> Finding:
    """Whether the clock is kept by a time service, and does not jump."""
    before = time.time() - time.monotonic()
    time.sleep(0.05)
    step_s = abs(time.time() - time.monotonic() - before)
    if step_s > CLOCK_STEP_S:
        return bad("clock", f"it moved by {1e3 * step_s:.1f} ms within 50 ms", "let one time service slew it, not two")
    status = _clock_status() if status is None else status
    if status is None or not status & STA_UNSYNC:
        return ok("clock", "synchronised" if status is not None else "steady")
    text = "steady, not synchronised with a time service"
    if config.network.reach == "localhost":
        return ok("clock", text)
    return warn("clock", text, "run chrony or systemd-timesyncd on every machine of the cell: ages are compared")


def check_memory(config: CellConfig, folder: Path = SHARED_MEMORY) -> Finding:
    """Whether pictures fit into shared memory."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as e:
        return bad("shared memory", f"{folder}: {e.strerror}", "mount a tmpfs there")
    free_mib = usage.free / 2**20
    text = f"{free_mib:.0f} MiB free in {folder}"
    if free_mib >= MIN_SHARED_MIB:
        return ok("shared memory", text)
    remedy = "mount it larger, or delete fastrtps_* there of processes that were killed (fastdds shm clean)"
    return bad("shared memory", text, remedy) if config.cameras else warn("shared memory", text, remedy)


def check_disk(folder: Path) -> Finding:
    """Whether an hour of episodes fits."""
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free_gib = shutil.disk_usage(there).free / 2**30
    text = f"{free_gib:.1f} GiB free for {folder}"
    if free_gib < MIN_FREE_GIB[0]:
        return bad("disk", text, "delete old runs, or train with --out-dir on another disk")
    if free_gib < MIN_FREE_GIB[1]:
        return warn("disk", text, "an hour with two cameras takes about 2 GiB: delete old runs")
    return ok("disk", text)


def _clock_status() -> int | None:
    """The kernel's clock status bits, or None where they cannot be asked for."""

    class Timex(ctypes.Structure):
        # The fields up to `status`, and room for the rest of struct timex.
        _fields_ = (
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_char * 256),
        )

    try:
        timex = Timex()
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    return int(timex.status) if answer >= 0 else None
