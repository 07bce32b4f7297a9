"""Environment variables that every process of a cell runs with, so that they find one another and nobody else."""

from __future__ import annotations

import os
from pathlib import Path

from robot_rl.hardware.cell.description import CellConfig

SOCKETS = Path(__file__).parent / "fastdds.xml"
WITH_SHARED_MEMORY = Path(__file__).parent / "fastdds_pictures.xml"
# Nodes whose messages are too large for sockets.
_PICTURES = ("camera", "recorder", "reward")
# Releases whose Fast DDS reads the older variable; the newer ones warn about it.
_OLDER = ("humble", "jazzy")


def carries_pictures(node: str) -> bool:
    """Whether a node, such as ``camera:wrist``, sends or reads pictures."""
    return node.partition(":")[0] in _PICTURES


def cell_environment(config: CellConfig, *, pictures: bool = True) -> dict[str, str]:
    """What to set; empty if the description leaves the network to the environment.

    Args:
        config: of the cell.
        pictures: whether the process may send or read pictures, for which it gets shared memory beside its sockets.
            What commands the arm goes through sockets all the same: arm and arbiter have nothing else.
    """
    if config.network.reach == "environment":
        return {}
    profile = WITH_SHARED_MEMORY if pictures else SOCKETS
    vendor = "FASTRTPS" if os.environ.get("ROS_DISTRO") in _OLDER else "FASTDDS"
    return {
        "ROS_DOMAIN_ID": str(config.network.domain_id),
        # Leaves discovery to the profile: with LOCALHOST the middleware would add a transport of its own, which opens
        # sockets on every interface.
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
        "ROS_LOCALHOST_ONLY": "0",
        "ROS_STATIC_PEERS": "",
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        f"{vendor}_DEFAULT_PROFILES_FILE": str(profile),
    }


def domain_of(config: CellConfig) -> int:
    """The DDS domain that the cell's processes really use."""
    if config.network.reach == "localhost":
        return config.network.domain_id
    given = os.environ.get("ROS_DOMAIN_ID", "")
    return int(given) if given.isdigit() else 0


def enter_cell(config: CellConfig, *, pictures: bool = True) -> None:
    """Set them for this process, before its first DDS participant."""
    os.environ.update(cell_environment(config, pictures=pictures))
