"""Records everything that the nodes of a cell say to one another; see `robot_rl.hardware.ros.bag` for the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from robot_rl.core.errors import ConfigError, StorageError
from robot_rl.hardware.cell.description import CellConfig
from robot_rl.hardware.cell.scene import Scene
from robot_rl.hardware.ros import names
from robot_rl.hardware.ros.bag import Bag, BagConfig, Sample, definition
from robot_rl.hardware.ros.node import CellNode, Health, Level

LOOK_S = 1.0
FLUSH_S = 1.0
DEPTH = 200


@dataclass(frozen=True)
class Quality:
    """What all publishers of a topic can give.

    Attributes:
        reliable: lost messages are sent again.
        latched: who comes late gets the last message.
    """

    reliable: bool
    latched: bool

    def profile(self) -> QoSProfile:
        """Of a subscription that every one of them serves."""
        return QoSProfile(
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if self.reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if self.latched else DurabilityPolicy.VOLATILE,
        )


def common_quality(publishers: Sequence[TopicEndpointInfo]) -> Quality:
    """Of one or more publishers of a topic."""
    profiles = [p.qos_profile for p in publishers]
    reliable = all(p.reliability is ReliabilityPolicy.RELIABLE for p in profiles)
    return Quality(reliable, reliable and all(p.durability is DurabilityPolicy.TRANSIENT_LOCAL for p in profiles))


class RecorderNode(CellNode):
    """Subscribes to every topic of the cell's namespace and to ``/diagnostics`` as they appear.

    A disk that is full or broken ends the recording, which `/diagnostics` says, and nothing else of the cell.

    Args:
        config: the cell.
        folder: that the files are written to.
        context: of the process.
        bag_config: when a new file begins.
    """

    def __init__(self, config: CellConfig, folder: Path, context: Context, bag_config: BagConfig | None = None) -> None:
        super().__init__("recorder", config, context)
        self._folder, self._bag_config = folder, bag_config
        self._bag: Bag | None = None
        self._topics: dict[str, tuple[Quality, Subscription[Any]]] = {}
        self._left_out: dict[str, str] = {}
        self._ended = ""
        self._look_timer = self.create_timer(LOOK_S, self._look, autostart=False)
        self._flush_timer = self.create_timer(FLUSH_S, self._flush, autostart=False)

    def open(self) -> None:
        """Begin a file."""
        self._bag, self._ended = Bag(self._folder, self.config.name, self._bag_config), ""

    def start(self) -> None:
        """Subscribe and record."""
        self._look()
        self._look_timer.reset()
        self._flush_timer.reset()

    def halt(self) -> None:
        """Stop recording."""
        self._look_timer.cancel()
        self._flush_timer.cancel()
        for _, subscription in self._topics.values():
            self.destroy_subscription(subscription)
        self._topics.clear()

    def shut(self) -> None:
        """Finish the file."""
        bag, self._bag = self._bag, None
        if bag is not None:
            try:
                bag.close()
            except StorageError as e:
                self._end(e)

    def health(self) -> list[Health]:
        """What is recorded, and why it has ended if it has."""
        if self._bag is None or self._ended:
            return [Health(Level.ERROR, self._ended or "no file is open")]
        values = {
            "file": self._bag.path.name,
            "bytes": self._bag.size,
            "messages": self._bag.written,
            "topics": len(self._topics),
        }
        if self._left_out:
            left_out = ", ".join(f"{topic} ({kind})" for topic, kind in self._left_out.items())
            return [Health(Level.WARN, f"not recorded, types unknown: {left_out}", values)]
        return [Health(Level.OK, "recording", values)]

    def _look(self) -> None:
        """Subscribe to new topics, and anew to those whose publishers have become less obliging."""
        for topic, kinds in self.get_topic_names_and_types():
            if not self._is_ours(topic):
                continue
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            quality = common_quality(publishers)
            known = self._topics.get(topic)
            if known is not None and known[0] == quality:
                continue
            cls = _message_class(kinds[0]) if len(kinds) == 1 and definition(kinds[0]) else None
            if cls is None:
                self._left_out[topic] = " and ".join(kinds)
                continue
            if known is not None:
                self.destroy_subscription(known[1])
            take = partial(self._take, topic, kinds[0], quality.latched)
            self._topics[topic] = quality, self._subscribe(cls, topic, take, quality)

    def _subscribe(self, cls: Any, topic: str, take: Callable[[bytes, Any], None], quality: Quality) -> Any:
        return self.create_subscription(
            cls,
            topic,
            # rclpy counts the parameters to find out whether the message's facts are wanted
            lambda data, info: take(data, info),
            quality.profile(),
            raw=True,
            # a publisher that does not match is met by subscribing anew, and is nothing to warn of
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )

    def _is_ours(self, topic: str) -> bool:
        return topic == names.DIAGNOSTICS or (topic.startswith(f"/{self.config.name}/") and "/_" not in topic)

    def _take(self, topic: str, kind: str, latched: bool, data: bytes, info: Any) -> None:
        if self._bag is None or self._ended:
            return
        try:
            self._bag.write(Sample(topic, kind, data, time.time_ns(), int(info["source_timestamp"]), latched))
        except StorageError as e:
            self._end(e)

    def _flush(self) -> None:
        if self._bag is None or self._ended:
            return
        try:
            self._bag.flush()
        except StorageError as e:
            self._end(e)

    def _end(self, error: StorageError) -> None:
        self._ended = str(error)
        self.get_logger().error(self._ended)


def _message_class(kind: str) -> Any:
    package, _, name = kind.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None


def make_nodes(config: CellConfig, scene: Scene, context: Context) -> list[CellNode]:
    """The recorder of a cell.

    Raises:
        ConfigError: the description names no folder.
    """
    if config.record is None:
        raise ConfigError("the cell has no record: give it the folder that recordings go to")
    return [RecorderNode(config, config.record, context)]
