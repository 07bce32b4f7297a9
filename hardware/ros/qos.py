"""Qualities of service, after REP 2003: drivers publish reliably, readers of streams take best effort, newest wins."""

from __future__ import annotations

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST)
"""Both ends of commands: an old one is of no use."""

STREAM_OUT = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST)
"""Publishers of readings and pictures."""

STREAM_IN = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST)
"""Readers of the same; they also hear publishers that are best effort, as franka_ros2's are."""

EVENTS_OUT = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST)
"""Publishers of messages of which every one counts, such as those with presses of buttons."""

EVENTS_IN = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST)
"""Readers of the same; they also hear publishers that are best effort."""

LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    history=HistoryPolicy.KEEP_LAST,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""States that somebody who comes later must know at once."""

QUIET = PublisherEventCallbacks(use_default_callbacks=False)
"""For publishers at a high rate: the warnings about unsuitable readers, which the readers give too, make an executor's
every turn dearer."""
