"""The trained tanh-Gaussian actor in numpy alone: what runs on the robot's computer, where no JAX is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.specs import ACTION_SIZE, GRIPPER
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.encoders import eyes_from
from robot_rl.policies.perceptron import Layer, finite_array, forward, get_array, read_layers

Arrays = Mapping[str, npt.NDArray[Any]]
STATE_CLIP = np.float32(10.0)
GRIPPER_COMMANDS = 3


class GaussianPolicy:
    """Packed state and views in, seven-dimensional action out; implements `robot_rl.core.protocols.Policy`.

    Motion comes from a Gaussian squashed by tanh, or from its mode when deterministic. With a gripper critic the
    gripper command is the best of close, keep and open (-1, 0, +1), or with a small chance a random one while
    exploring. Dimensions nobody owns are 0.

    Example:
        >>> policy = GaussianPolicy.from_params(params, version=3)
        >>> action = policy.act(obs, np.random.default_rng(0))
    """

    def __init__(self, params: Arrays, version: int) -> None:
        """Use `from_params`."""
        checked = {name: finite_array(name, value) for name, value in params.items()}
        self._version = version
        self._center = get_array(checked, "normaliser/center")
        self._scale = get_array(checked, "normaliser/scale")
        self._owned = get_array(checked, "owned").astype(np.intp)
        self._tanh = bool(get_array(checked, "tanh"))
        self._log_std_range = get_array(checked, "log_std_range")
        self._eyes = eyes_from(checked)
        inputs = self._center.size + sum(eye.size for eye in self._eyes)
        self._actor = read_layers(checked, "actor", inputs, 2 * self._owned.size)
        self._gripper: tuple[Layer, ...] = ()
        self._epsilon = 0.0
        if "gripper_epsilon" in checked:
            self._gripper = read_layers(checked, "gripper", inputs, GRIPPER_COMMANDS)
            self._epsilon = float(checked["gripper_epsilon"])
        taken = {GRIPPER} if self._gripper else set()
        owned = self._owned.tolist()
        if len(set(owned)) != len(owned) or not set(owned) <= set(range(ACTION_SIZE)) - taken:
            raise DataError(f"policy parameter 'owned' is {owned}, expected distinct action indices without {taken}")
        if self._scale.shape != self._center.shape or not (self._scale > 0).all():
            raise DataError("policy parameter 'normaliser/scale' must be positive and as long as the centre")

    @classmethod
    def from_params(cls, params: Arrays, version: int) -> GaussianPolicy:
        """Build from the arrays `robot_rl.agents.sac.actor_params` returns.

        Args:
            params: flat float32 arrays by name; copied.
            version: number of the published parameters.

        Raises:
            DataError: an array is missing, of the wrong shape, or not finite.
        """
        return cls(params, version)

    @property
    def version(self) -> int:
        """Which published parameters it runs."""
        return self._version

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        """The action for one observation.

        Args:
            obs: what is seen now: the packed state ``float32[n]``, and the picture ``uint8[h, w, 3]`` or the first of
                the features ``float16[K, h, w, c]`` of each camera the policy was trained with.
            rng: source of exploration; not touched when deterministic.
            deterministic: the mode of the Gaussian and the best gripper command.

        Returns:
            ``float32[7]`` in [-1, 1].

        Raises:
            DataError: the state is of the wrong length or not finite, or a camera's view is missing or of another
                shape.
        """
        state = obs.state
        if state.shape != self._center.shape:
            raise DataError(f"the state has shape {state.shape}, the policy expects {self._center.shape}")
        x = np.minimum(np.maximum((state - self._center) / self._scale, -STATE_CLIP), STATE_CLIP)
        if not np.isfinite(state).all():
            raise DataError(f"the state is not finite at indices {np.flatnonzero(~np.isfinite(state)).tolist()}")
        if self._eyes:
            x = np.concatenate([*(eye.see(obs) for eye in self._eyes), x])
        action = np.zeros(ACTION_SIZE, np.float32)
        d = self._owned.size
        head = forward(self._actor, x, tanh=self._tanh)
        u = head[:d]
        if not deterministic:
            low, high = self._log_std_range
            log_std = np.minimum(np.maximum(head[d:], low), high)
            u = u + np.exp(log_std) * rng.standard_normal(d, dtype=np.float32)
        action[self._owned] = np.tanh(u)
        if self._gripper:
            action[GRIPPER] = self._gripper_command(x, rng, deterministic)
        return action

    def _gripper_command(self, x: Float32, rng: np.random.Generator, deterministic: bool) -> int:
        if not deterministic and rng.random() < self._epsilon:
            return int(rng.integers(GRIPPER_COMMANDS)) - 1
        return int(forward(self._gripper, x, tanh=self._tanh).argmax()) - 1
