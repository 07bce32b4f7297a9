"""What a simulated cell holds, as plain data: nodes below know objects, not tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.scene import SceneObject
from robot_rl.core.types import Array


@dataclass(frozen=True)
class Scene:
    """Objects of a task and how the arm is set for it.

    Attributes:
        task: its id.
        objects: what stands in the cell or is held by the hand.
        impedance: of the tool during the task.
        start_base_tcp: where the tool is when a simulated cell starts ``[7]``.
        start_width_m: opening of the gripper then.
        start_objects: ``pose_base_object`` by name then.
    """

    task: str
    objects: tuple[SceneObject, ...]
    impedance: ImpedanceParams
    start_base_tcp: Array
    start_width_m: float
    start_objects: dict[str, Array] = field(default_factory=dict)
