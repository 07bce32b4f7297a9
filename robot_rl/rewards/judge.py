"""A model, its gate and its watch over the cameras as one judge of an episode, live or recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from robot_rl.core.types import Array, Image
from robot_rl.rewards.drift import OK, RED, Alive, Watch, check_alive, check_picture
from robot_rl.rewards.frames import Clip
from robot_rl.rewards.gate import GateState, Look, advance, veto
from robot_rl.rewards.model_file import Scorer


@dataclass(frozen=True)
class Judged:
    """What one look at an episode gave.

    Attributes:
        views: probability by camera; empty where the model abstains.
        gate: state of the gate after it.
        drift: worst state of a camera, see `robot_rl.rewards.drift`.
        why: what is wrong with that camera, or empty.
    """

    views: Mapping[str, float]
    gate: GateState
    drift: int = OK
    why: str = ""

    @property
    def p(self) -> float | None:
        """The least convinced view's probability, or None."""
        return min(self.views.values()) if self.views else None


class SuccessJudge:
    """Judges the looks of one episode after another; the same looks give the same answers whenever they are judged.

    Args:
        scorer: the model; closed by whoever opened it.
        watches: over its cameras, by name; a camera without one is trusted.
    """

    def __init__(self, scorer: Scorer, watches: Mapping[str, Watch] | None = None) -> None:
        self.scorer = scorer
        self._watches = dict(getattr(scorer, "watches", {}) if watches is None else watches)
        self.reset()

    def reset(self) -> None:
        """A new episode begins."""
        self._gate = GateState()
        self._alive = dict.fromkeys(self.scorer.info.cameras, Alive())

    def look(
        self,
        images: Mapping[str, Image],
        readings: Mapping[str, float],
        t_s: float,
        scores: Mapping[str, float] | None = None,
    ) -> Judged:
        """One more look.

        Args:
            images: ``uint8[H, W, 3]`` by camera.
            readings: of the robot, by name.
            t_s: time of the look.
            scores: what the model says of these pictures, if it has been asked already.

        Raises:
            DataError: a picture is missing or of the wrong size, or a reading that the gate requires.
        """
        drift, why = self._check_cameras(images, readings)
        views: dict[str, float] = {}
        if scores is None:
            answer = self.scorer.score({c: images[c][None] for c in self.scorer.info.cameras if c in images})
            scores = {camera: float(p[0]) for camera, p in answer.items()}
        if drift != RED:
            views = dict(scores)
        look = Look(tuple(views.values()), t_s, readings)
        self._gate = advance(self.scorer.info.gate, self._gate, look)
        return Judged(views, self._gate, drift, why)

    def veto(self) -> None:
        """A person says that the task is not done."""
        self._gate = veto(self._gate)

    def judge_clip(self, clip: Clip, scores: Mapping[str, Array] | None = None) -> Iterator[Judged]:
        """The looks of a recorded episode, from its first frame after the start: as a running episode is judged.

        Args:
            clip: the episode.
            scores: what the model says of its frames by camera, if it has been asked already.
        """
        self.reset()
        known = self.scorer.score(clip.images) if scores is None else scores
        for k in range(1, len(clip.t_s)):
            images = {camera: pictures[k] for camera, pictures in clip.images.items()}
            yield self.look(images, clip.readings[k], float(clip.t_s[k]), {c: float(p[k]) for c, p in known.items()})

    def _check_cameras(self, images: Mapping[str, Image], readings: Mapping[str, float]) -> tuple[int, str]:
        tool_m = (readings["tcp_x_m"], readings["tcp_y_m"], readings["tcp_z_m"])
        worst, why = OK, ""
        for camera in self._alive:
            if camera not in images:
                continue
            self._alive[camera], alive = check_alive(self._alive[camera], images[camera], tool_m)
            state, said = (RED, "frozen picture") if not alive else (OK, "")
            if alive and camera in self._watches:
                state, said = check_picture(self._watches[camera], images[camera])
            if state > worst:
                worst, why = state, f"{camera}: {said}"
        return worst, why
