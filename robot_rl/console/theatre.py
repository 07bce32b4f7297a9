"""What stands in the 3-D view: the live cell or a recording, a second one to compare with, marks and the gizmo."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import viser

from robot_rl.console.browser import BrowserTeleop
from robot_rl.console.gizmo import Gizmo
from robot_rl.console.stage import Stage
from robot_rl.console.stage_marks import StageMarks
from robot_rl.core.errors import RobotRlError
from robot_rl.envs.options import split_options
from robot_rl.envs.tasks import make_task
from robot_rl.envs.tasks.base import Task
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.view import View

GHOST_RGB = (240, 140, 40)


class Scene:
    """A cell and what is marked in it.

    Args:
        server: of viser.
        root: of its nodes.
        task: whose objects and workspace it has.
        ghost: translucent, in one colour, without marks.
    """

    def __init__(self, server: viser.ViserServer, root: str, task: Task, *, ghost: bool = False) -> None:
        self.task, self._server = task, server
        self._stage = Stage(server.scene, f"{root}/cell", task.objects, ghost_rgb=GHOST_RGB if ghost else None)
        self._marks = None if ghost else StageMarks(server.scene, f"{root}/marks", task.limits)

    def show(self, view: View) -> None:
        """Show a state."""
        with self._server.atomic():
            self._stage.pose(view.q_rad, view.gripper_width_m, view.objects)
            if self._marks is not None:
                self._marks.show(view.pose_base_tcp, view.pose_base_target, view.wrench_tcp)

    def close(self) -> None:
        """Take it out of the view."""
        self._stage.close()
        if self._marks is not None:
            self._marks.close()


class Theatre:
    """Shows the live cell, or recordings instead while there are any. May be used by several threads.

    Args:
        server: of viser.
        device: moved by the gizmo, and told where the live tool is.
    """

    def __init__(self, server: viser.ViserServer, device: BrowserTeleop) -> None:
        self._server, self._device = server, device
        self._lock = threading.RLock()
        self._live: Scene | None = None
        self._of: tuple[str, tuple[tuple[str, object], ...]] | None = None
        self._gizmo: Gizmo | None = None
        self._gizmo_visible = False
        self._recordings: list[Scene] = []
        self._bare = Stage(server.scene, "/bare", ())  # what there is to see before anything runs
        self.problem = ""

    @property
    def replays(self) -> bool:
        """Whether recordings are shown instead of the live cell."""
        return bool(self._recordings)

    @property
    def gizmo_visible(self) -> bool:
        """Whether the tool can be dragged."""
        return self._gizmo_visible

    @gizmo_visible.setter
    def gizmo_visible(self, value: bool) -> None:
        with self._lock:
            self._gizmo_visible = value
            if self._gizmo is not None:
                self._gizmo.visible = value and not self._recordings

    def show_live(self, view: View, status: ActorStatus) -> None:
        """Show the live cell."""
        with self._lock:
            if not self._set_live(status):
                return
            assert self._live is not None and self._gizmo is not None
            spec = self._live.task.action_spec
            self._device.see(view.pose_base_tcp, spec.step, spec.motion)
            if not self._recordings:
                self._gizmo.visible = self._gizmo_visible
                self._live.show(view)
                self._gizmo.follow(view.pose_base_tcp)

    def clear_live(self) -> None:
        """There is no live cell any more."""
        with self._lock:
            self._of = None
            if self._live is not None and self._gizmo is not None:
                self._live.close()
                self._gizmo.close()
            self._live = self._gizmo = None
            self._bare.visible = not self._recordings

    def show_recordings(self, tasks: Sequence[Task]) -> None:
        """Make room for so many recordings, the second and later ones as ghosts; none for the live cell again."""
        with self._lock:
            for scene in self._recordings:
                scene.close()
            if tasks:
                self.clear_live()
            self._recordings = [
                Scene(self._server, f"/recording{k}", task, ghost=k > 0) for k, task in enumerate(tasks)
            ]
            self._bare.visible = not tasks

    def show_frames(self, views: Sequence[View]) -> None:
        """Show a state of each recording."""
        with self._lock:
            for scene, view in zip(self._recordings, views, strict=False):
                scene.show(view)

    def _set_live(self, status: ActorStatus) -> bool:
        """Whether there is a live scene now; built anew if the task is another one."""
        if self._recordings or not status.task:
            return False
        wanted = (status.task, tuple(sorted(status.task_options.items())))
        if self._of == wanted:
            return self._live is not None
        self.clear_live()
        self._of = wanted
        try:
            task = make_task(status.task, **split_options(status.task_options)[1])
        except RobotRlError as e:
            self.problem = f"this console cannot show the task of that actor: {e}"
            return False
        self.problem = ""
        self._bare.visible = False
        self._live = Scene(self._server, "/live", task)
        self._gizmo = Gizmo(self._server.scene, self._device, task.action_spec.motion)
        return True
