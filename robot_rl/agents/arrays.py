"""What an agent keeps as named numpy arrays and back: for checkpoints, and for the policy that acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from robot_rl.agents.networks import Normaliser, Params
from robot_rl.core.errors import DataError

State = TypeVar("State")


def copy_tree(tree: Any) -> Any:
    """Fresh buffers: a donated state must not hold the same buffer twice."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), tree)


def flatten_state(state: Any) -> dict[str, npt.NDArray[Any]]:
    """Named numpy copies of every leaf, for checkpoints: ``critic/0/w``, ``actor_optimiser/0/mu/out/b``, ``key``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {_name(path): np.array(leaf) for path, leaf in leaves}


def unflatten_state(template: State, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
    """Inverse of `flatten_state`, bit-identical.

    Args:
        template: a state of the same configuration, for example a fresh one; left untouched.
        arrays: what `flatten_state` returned.

    Raises:
        DataError: names, shapes or types differ; the message lists all differences.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    expected = {_name(path): leaf for path, leaf in leaves}
    wrong = [f"{name} is missing" for name in expected if name not in arrays]
    wrong += [f"{name} is not expected" for name in arrays if name not in expected]
    for name, leaf in expected.items():
        got = arrays.get(name)
        if got is not None and (got.shape != leaf.shape or got.dtype != leaf.dtype):
            wrong.append(f"{name} is {got.dtype}{list(got.shape)}, expected {leaf.dtype}{list(leaf.shape)}")
    if wrong:
        raise DataError(f"the saved agent does not fit the configuration, {len(wrong)} differences: {'; '.join(wrong)}")
    restored = [jnp.array(arrays[name], copy=True) for name in expected]
    state: State = jax.tree_util.tree_unflatten(structure, restored)
    return state


def acting_params(
    actor: Params,
    normaliser: Normaliser,
    owned: jax.Array,
    *,
    tanh: bool,
    log_std_range: tuple[float, float],
    encoder: Params | None = None,
    views: Mapping[str, jax.Array] | None = None,
    gripper: Params | None = None,
    gripper_epsilon: float = 0.0,
) -> dict[str, npt.NDArray[np.float32]]:
    """What `robot_rl.policies.gaussian.GaussianPolicy` needs, as flat float32 arrays.

    Args:
        actor: perceptron that acts.
        normaliser: of the packed state.
        owned: indices of the action it commands.
        tanh: whether its activation is tanh.
        log_std_range: bounds of the log standard deviation.
        encoder: what turns views into inputs of both perceptrons, or None.
        views: ``(h, w, c)`` of what each of its cameras gives.
        gripper: perceptron that scores the gripper commands, or None.
        gripper_epsilon: chance of a random gripper command while exploring.

    Returns:
        ``actor/...`` and, if there is one, ``gripper/...`` weights and ``gripper_epsilon``; with views
        ``views/<camera>`` and ``encoder/<camera>/...``, of which frozen backbones are no part;
        ``normaliser/center`` and ``/scale``; ``owned``; ``tanh`` (1 or 0); ``log_std_range``.
    """
    trees: dict[str, Any] = {"actor": actor, "normaliser": normaliser, "owned": owned}
    if encoder is not None:
        trees["encoder"], trees["views"] = encoder, dict(views or {})
    if gripper is not None:
        trees["gripper"] = gripper
        trees["gripper_epsilon"] = np.float32(gripper_epsilon)
    trees["tanh"] = np.float32(tanh)
    trees["log_std_range"] = np.array(log_std_range)
    return named_arrays(trees)


def named_arrays(trees: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Every leaf of a tree as a float32 array by its path, such as ``actor/0/w``; what is None has no entry."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(trees)
    return {_name(path): np.array(leaf, np.float32) for path, leaf in leaves}


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
