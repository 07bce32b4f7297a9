"""What acts on top of a frozen base policy, in numpy alone: propose, select, follow; see `robot_rl.agents.edit`.

Until the actor was trained the base's first proposal is done, to the bit; while exploring, with a change drawn
uniformly from all that an edit may make.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.protocols import Policy
from robot_rl.core.specs import ACTION_SIZE, GRIPPER
from robot_rl.core.transition import Observation
from robot_rl.core.types import Float32
from robot_rl.policies.gaussian import STATE_CLIP
from robot_rl.policies.perceptron import Layer, finite_array, forward, get_array, read_layers

FORMS = ("edit", "free", "none")
SELECTIONS = ("first", "argmax", "softmax")
MARK = "edit/chunk"
"""An array that only parameters of these policies have."""


class EditPolicy:
    """State and plans of a base in, seven-dimensional action out; implements `robot_rl.core.protocols.Policy`.

    A chunk that was decided on is followed to its end, unless `flush` says that somebody else acted. When deterministic
    nothing is drawn: the candidate of the greatest value is done also where exploration draws one.

    Attributes:
        chose_base: share of the decisions so far in which the base's own proposal was done.
    """

    def __init__(self, params: Mapping[str, npt.NDArray[Any]], version: int) -> None:
        """Use `from_params`."""
        checked = {name: finite_array(name, value) for name, value in params.items()}
        self._version = version
        self._center = get_array(checked, "normaliser/center")
        self._scale = get_array(checked, "normaliser/scale")
        self._owned = get_array(checked, "owned").astype(np.intp)
        self._chunk = int(get_array(checked, "edit/chunk"))
        self._form = FORMS[int(get_array(checked, "edit/form"))]
        self._select = SELECTIONS[int(get_array(checked, "edit/select"))]
        self._change = get_array(checked, "edit/scale")
        self._sigma = float(get_array(checked, "edit/sigma"))
        self._log_std_range = get_array(checked, "edit/log_std_range")
        self._sees_base, self._bases, self._armed, self._critic_sees, self._tanh = (
            bool(get_array(checked, name))
            for name in ("edit/sees_base", "edit/bases", "edit/armed", "edit/critic_sees_base", "tanh")
        )
        self._temperature = float(get_array(checked, "edit/softmax_temperature"))
        self._squashed = bool(checked.get("edit/squashed", np.float32(1.0)))
        self._made = np.tile((self._owned != GRIPPER) | (self._form == "free"), self._chunk)
        n, size, outputs = self._center.size, self._made.size, int(self._made.sum())
        if self._sigma < 0.0:
            outputs *= 2
        self._actor = read_layers(checked, "actor", n + size, outputs) if self._form != "none" else ()
        self._critic = _members(checked, n + size * (1 + self._critic_sees)) if self._select != "first" else ()
        self._following: deque[Float32] = deque()
        self._decisions = self._base_decisions = 0

    @classmethod
    def from_params(cls, params: Mapping[str, npt.NDArray[Any]], version: int) -> EditPolicy:
        """Build from the arrays `robot_rl.agents.edit.actor_params` returns.

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

    @property
    def chose_base(self) -> float:
        """Share of the decisions so far in which the base's own proposal was done."""
        return self._base_decisions / max(self._decisions, 1)

    def reset(self) -> None:
        """A new episode begins."""
        self.flush()

    def flush(self) -> None:
        """Somebody else acted: the rest of the chunk is void."""
        self._following.clear()

    def continue_from(self, before: Policy) -> None:
        """Do what a policy before this one has decided on first, if it is of this kind."""
        if isinstance(before, EditPolicy) and before._chunk == self._chunk:
            self._following = before._following.copy()

    def act(self, obs: Observation, rng: np.random.Generator, *, deterministic: bool = False) -> Float32:
        """The action for one observation.

        Args:
            obs: what is seen now; its state ends with the base's plans.
            rng: source of exploration; not touched when deterministic.
            deterministic: without exploration noise, the best candidate.

        Returns:
            ``float32[7]`` in [-1, 1].

        Raises:
            DataError: the state is of the wrong length or not finite.
        """
        x, plans = self._split(obs.state)
        if self._following:
            return self._following.popleft()
        chunk = self._decide(x, plans, rng, deterministic).reshape(self._chunk, -1)
        actions = np.zeros((self._chunk, ACTION_SIZE), np.float32)
        actions[:, self._owned] = chunk
        self._following.extend(actions[1:])
        first: Float32 = actions[0].copy()
        return first

    def _split(self, state: Float32) -> tuple[Float32, Float32]:
        """Network input ``[n]`` and proposals ``[K, h d]``."""
        n, step = self._center.size, self._chunk * ACTION_SIZE
        if state.ndim != 1 or state.size <= n or (state.size - n) % step:
            raise DataError(
                f"the state has shape {state.shape}, the policy expects {n} values and plans of {step} each after them"
            )
        if not np.isfinite(state).all():
            raise DataError(f"the state is not finite at indices {np.flatnonzero(~np.isfinite(state)).tolist()}")
        x = np.minimum(np.maximum((state[:n] - self._center) / self._scale, -STATE_CLIP), STATE_CLIP)
        plans = np.clip(state[n:], -1.0, 1.0).reshape(-1, self._chunk, ACTION_SIZE)[..., self._owned]
        return x, plans.reshape(len(plans), -1)

    def _decide(self, x: Float32, plans: Float32, rng: np.random.Generator, deterministic: bool) -> Float32:
        """One chunk ``[h d]``."""
        draw = None if deterministic else rng
        if not self._armed:
            base: Float32 = plans[0]
            return base if draw is None or self._form != "edit" else self._astray(base, draw)
        found = []
        if self._form != "none":
            found.append(self._acted(x, plans, draw))
        if self._bases:
            found.append(plans)
        chunks = np.concatenate(found)
        chosen = 0
        if self._select != "first":
            chosen = self._choose(self._values(x, plans[0], chunks), rng, deterministic)
        self._decisions += 1
        self._base_decisions += self._bases and chosen >= len(chunks) - len(plans)
        best: Float32 = chunks[chosen]
        return best

    def _astray(self, plan: Float32, rng: np.random.Generator) -> Float32:
        """The base with a change drawn uniformly from all that an edit may make."""
        change = rng.uniform(-1.0, 1.0, plan.size).astype(np.float32) * self._made
        astray: Float32 = np.clip(plan + self._change * change, -1.0, 1.0)
        return astray

    def _acted(self, x: Float32, plans: Float32, rng: np.random.Generator | None) -> Float32:
        """The actor's chunks ``[K, h d]``, of a free actor ``[1, h d]``; the mode without a generator."""
        here = plans[:1] if self._form == "free" else plans
        seen = here if self._sees_base else np.zeros_like(here)
        out = forward(self._actor, np.concatenate([np.repeat(x[:, None], len(here), axis=1), seen.T]), tanh=self._tanh)
        outputs = int(self._made.sum())
        made: Float32 = out[:outputs]
        noise: Float32 = np.zeros((outputs, len(here)), np.float32)
        if rng is not None:
            noise = rng.standard_normal((outputs, len(here)), dtype=np.float32)
        if self._sigma < 0.0:
            low, high = self._log_std_range
            made = made + np.exp(np.clip(out[outputs:], low, high)).astype(np.float32) * noise
        chunks: Float32 = np.zeros_like(here)
        chunks[:, self._made] = (np.tanh(made) if self._squashed else made).T
        if self._form == "edit":
            chunks *= self._change
            chunks += here
        if self._sigma > 0.0:
            chunks[:, self._made] += np.float32(self._sigma) * noise.T
        clipped: Float32 = np.clip(chunks, -1.0, 1.0)
        return clipped

    def _values(self, x: Float32, plan: Float32, chunks: Float32) -> Float32:
        """Mean over the critics of the value of each chunk ``[C]``."""
        seen = np.concatenate([x, plan]) if self._critic_sees else x
        inputs = np.concatenate([np.repeat(seen[:, None], len(chunks), axis=1), chunks.T])
        values: Float32 = np.mean([forward(layers, inputs, tanh=self._tanh)[0] for layers in self._critic], axis=0)
        return values

    def _choose(self, values: Float32, rng: np.random.Generator, deterministic: bool) -> int:
        if deterministic or self._select == "argmax":
            return int(values.argmax())
        chance = np.exp((values - values.max()) / self._temperature)
        return int(rng.choice(len(values), p=chance / chance.sum()))


def _members(params: Mapping[str, Float32], inputs: int) -> tuple[tuple[Layer, ...], ...]:
    """The critics of an ensemble, whose arrays have a leading axis of members."""
    own = {name: value for name, value in params.items() if name.startswith("critic/")}
    count = len(get_array(params, "critic/out/b"))
    return tuple(
        read_layers({name: value[e] for name, value in own.items()}, "critic", inputs, 1) for e in range(count)
    )
