"""``robot-rl node NAME CELL``: one node of a cell, in this process, until Ctrl-C; `cell up` starts them all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import tyro

from robot_rl.cli.arguments import parse
from robot_rl.cli.ros import import_ros
from robot_rl.core.errors import ConfigError, unknown_name
from robot_rl.core.protocols import RewardModel
from robot_rl.hardware.cell.description import CellConfig, load_cell
from robot_rl.hardware.cell.environment import carries_pictures
from robot_rl.hardware.cell.graph import with_task
from robot_rl.hardware.cell.presence import Presence
from robot_rl.hardware.cell.scene import Scene

ROS_ARGS = "--ros-args"
# A process that was killed may have left children that need a moment.
PREDECESSOR_S = 2.0
# Each module has `make_nodes(config, scene, context)`; `camera` takes the camera's name besides, `reward` the judge.
NODES = {
    name: f"robot_rl.hardware.ros.nodes.{name}"
    for name in ("sim", "arm", "arbiter", "gripper", "camera", "world", "teleop", "reward", "recorder")
}
DESCRIPTION = f"""\
One node of a cell, in this process, until Ctrl-C or SIGTERM; `robot-rl cell up` and the launch files start them all.
What follows --ros-args is ROS 2's own, such as -p or -r. Nodes: {", ".join(NODES)}; docs/ros.md says what each does.
"""


@dataclass(frozen=True)
class NodeArguments:
    """Arguments of ``robot-rl node``.

    Attributes:
        name: which node; a camera as camera:NAME.
        cell: YAML of the cell, or the name of a bundled one.
        task: whose objects a simulated cell holds; empty for the cell's own.
    """

    name: tyro.conf.Positional[str]
    cell: tyro.conf.Positional[str]
    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = ""


def run(argv: Sequence[str]) -> int:
    """Run the verb."""
    args = list(argv)
    ros_args = args[args.index(ROS_ARGS) :] if ROS_ARGS in args else []
    a = parse(NodeArguments, args[: len(args) - len(ros_args)], verb="node", description=DESCRIPTION)
    config = with_task(load_cell(a.cell), a.task)
    kind, _, which = a.name.partition(":")
    if kind not in NODES:
        raise ConfigError(unknown_name("node", kind, NODES))
    if kind == "camera" and which not in config.cameras:
        raise ConfigError(unknown_name("camera of this cell", which, config.cameras))
    if which and kind != "camera":
        raise ConfigError(unknown_name("node", a.name, NODES))
    executor, module = import_ros("robot_rl.hardware.ros.executor"), import_ros(NODES[kind])
    scene = make_scene(config)
    extra: tuple[Any, ...] = (make_judge(config),) if kind == "reward" else (which,) if which else ()
    with closing(Presence(config, a.name, wait_s=PREDECESSOR_S)):
        context = executor.open_context(config, ros_args, pictures=carries_pictures(a.name))
        executor.run_nodes(module.make_nodes(config, scene, context, *extra), context)
    return 0


def make_scene(config: CellConfig) -> Scene:
    """What a simulated cell of this description holds.

    Raises:
        ConfigError: unknown task or option.
    """
    from robot_rl.envs.tasks import make_task

    task = make_task(config.task, **config.task_options)
    start = task.sample_start(np.random.default_rng(config.seed))
    return Scene(
        task.id,
        task.objects,
        config.robot.impedance or task.impedance,
        start.pose_base_tcp,
        start.gripper_width_m,
        start.objects,
    )


def make_judge(config: CellConfig) -> RewardModel:
    """What the reward node asks: the success classifier that the cell names, or else the rules of its task.

    Raises:
        ConfigError: unknown task or option, or a classifier that may not judge this cell.
        DataError: there is no such classifier, or it is damaged.
    """
    from robot_rl.envs.judge import TaskJudge
    from robot_rl.envs.tasks import make_task

    task = make_task(config.task, **config.task_options)
    if config.reward_model is None:
        return TaskJudge(task)
    from robot_rl.rewards.detector import open_detector

    return open_detector(
        config.reward_model,
        task.id,
        home_base_tcp=np.asarray(task.home_base_tcp),
        real=not config.simulated,
        unevaluated=config.reward_unevaluated,
    )
