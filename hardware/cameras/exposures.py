"""When a picture was taken, which number it gets, and whether it is one too many."""

from __future__ import annotations

from collections import deque

TICK_S = 1e-6


class DeviceTime:
    """System time from the clock of a device, of which only the arrival of its messages is known.

    The offset between both clocks is the smallest arrival minus device time of the last `window_s`: transport only
    ever adds to it. The result is late by the shortest transport of that window, and drifts with both clocks by no
    more than they part in it. A device time that runs backwards begins a new estimate.

    Args:
        window_s: what is remembered.
    """

    def __init__(self, window_s: float = 30.0) -> None:
        self._window_s = window_s
        self._offsets: deque[tuple[float, float]] = deque()
        self._last_device_s = -float("inf")

    def to_system(self, device_s: float, arrival_s: float) -> float:
        """System time of something that the device stamped `device_s` and that came at `arrival_s`; never later."""
        if device_s < self._last_device_s:
            self._offsets.clear()
        self._last_device_s = device_s
        offset_s = arrival_s - device_s
        # Ascending offsets, so that the first is the smallest of the window.
        while self._offsets and self._offsets[-1][1] >= offset_s:
            self._offsets.pop()
        self._offsets.append((device_s, offset_s))
        while self._offsets[0][0] < device_s - self._window_s:
            self._offsets.popleft()
        return device_s + self._offsets[0][1]


class Numbering:
    """Numbers and times that only go up, from those of a device that may be plugged out and in again."""

    def __init__(self) -> None:
        self._device: int | None = None
        self._sequence = -1
        self._t_s = -float("inf")

    def restart(self) -> None:
        """The device counts anew."""
        self._device = None

    def place(self, number: int, t_s: float, now_s: float) -> tuple[int, float] | None:
        """Sequence and time of a picture, or None for one that has been seen.

        Args:
            number: of the device; a gap stays a gap, a lower one means that the device counts anew.
            t_s: system time of the picture.
            now_s: what the system's clock says; the time of the picture is not later.
        """
        if number == self._device:
            return None
        ahead = 1 if self._device is None or number < self._device else number - self._device
        self._device = number
        self._sequence += ahead
        self._t_s = max(min(t_s, now_s), self._t_s + TICK_S)
        return self._sequence, self._t_s


def capture_time(claimed_s: float | None, arrival_s: float, max_delay_s: float = 10.0) -> float:
    """System time of a picture: what its stream claims if that is plausible, else its arrival.

    Args:
        claimed_s: system time according to the stream, if it says any.
        arrival_s: when it came.
        max_delay_s: a claim of longer ago, or of the future, is something else's time.
    """
    if claimed_s is not None and arrival_s - max_delay_s <= claimed_s <= arrival_s:
        return claimed_s
    return arrival_s


class RateLimit:
    """Lets at most so many pictures a second through, evenly, of a stream that has more.

    Args:
        hz: how many, on average; one may come half a period early.
    """

    def __init__(self, hz: float) -> None:
        self._period_s = 1.0 / hz
        self._due_s = -float("inf")

    def passes(self, t_s: float) -> bool:
        """Whether the picture of this time goes through; times ascend."""
        if t_s < self._due_s - 0.5 * self._period_s:
            return False
        # After a pause the count begins anew, lest what was missed comes all at once.
        late = t_s > self._due_s + self._period_s
        self._due_s = (t_s if late else self._due_s) + self._period_s
        return True
