"""Saving and restoring an agent, and what is published of it."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from robot_rl.agents import sac
from robot_rl.agents.config import SacConfig
from robot_rl.core.errors import DataError
from robot_rl.core.specs import ActionSpec, Part, StateSpec
from robot_rl.core.transition import Batch

STATE = StateSpec((Part("a", 3, "m", scale=0.5, center=0.1),))
ACTION = ActionSpec(0.02, 0.1)
CONFIG = SacConfig(hidden=(8,), critics=2, utd=1, batch_size=4, gripper_critic=True)


def batch(seed: int) -> Batch:
    rng = np.random.default_rng(seed)
    columns = {"state": (3,), "action": (7,), "next_state": (3,)}
    draw = {name: rng.uniform(-1, 1, (1, 4, *columns.get(name, ()))).astype(np.float32) for name in Batch._fields}
    return Batch(**draw)


def test_a_saved_agent_goes_on_bit_for_bit() -> None:
    update = sac.make_update(CONFIG, STATE, ACTION)
    state, _ = update(sac.init(CONFIG, STATE, ACTION, 0), batch(0))
    saved = sac.flatten_state(state)
    state, _ = update(state, batch(1))
    resumed = sac.unflatten_state(sac.init(CONFIG, STATE, ACTION, 99), saved)
    assert all(np.array_equal(a, saved[name]) for name, a in sac.flatten_state(resumed).items())
    resumed, _ = update(resumed, batch(1))
    one, other = sac.flatten_state(state), sac.flatten_state(resumed)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_saved_arrays_are_copies_with_readable_names() -> None:
    state = sac.init(CONFIG, STATE, ACTION, 0)
    saved = sac.flatten_state(state)
    assert {"actor/0/w", "critic/out/b", "critic_optimiser/0/mu/0/w", "gripper/0/gain", "key", "updates"} <= set(saved)
    assert all(type(value) is np.ndarray for value in saved.values())
    saved["actor/0/w"][:] = 7.0
    assert not (np.asarray(state.actor["0"]["w"]) == 7.0).any()


def test_every_difference_is_listed() -> None:
    saved = sac.flatten_state(sac.init(CONFIG, STATE, ACTION, 0))
    del saved["actor/0/w"]
    saved["stray"] = np.zeros(1)
    saved["critic/0/b"] = saved["critic/0/b"][:, :4]
    saved["updates"] = saved["updates"].astype(np.int64)
    with pytest.raises(DataError, match="4 differences") as caught:
        sac.unflatten_state(sac.init(CONFIG, STATE, ACTION, 0), saved)
    for text in (
        "actor/0/w is missing",
        "stray is not expected",
        r"critic/0/b is float32\[2, 4\], expected float32\[2, 8\]",
        r"updates is int64\[\], expected int32\[\]",
    ):
        assert caught.match(text)


def test_another_configuration_does_not_fit() -> None:
    saved = sac.flatten_state(sac.init(CONFIG, STATE, ACTION, 0))
    plain = replace(CONFIG, gripper_critic=False)
    with pytest.raises(DataError, match="gripper/0/w is not expected"):
        sac.unflatten_state(sac.init(plain, STATE, ACTION, 0), saved)


def test_published_parameters_are_flat_float32_and_leave_the_critics_at_home() -> None:
    params = sac.actor_params(sac.init(CONFIG, STATE, ACTION, 0), CONFIG)
    assert all(value.dtype == np.float32 for value in params.values())
    assert set(params) == {
        *(f"actor/{layer}/{leaf}" for layer in ("0", "out") for leaf in ("w", "b")),
        *(f"gripper/0/{leaf}" for leaf in ("w", "b", "gain", "shift")),
        *(f"gripper/out/{leaf}" for leaf in ("w", "b")),
        "normaliser/center",
        "normaliser/scale",
        "owned",
        "tanh",
        "log_std_range",
        "gripper_epsilon",
    }
    np.testing.assert_array_equal(params["owned"], range(6))
    np.testing.assert_allclose(params["normaliser/scale"], 0.5)


@pytest.mark.parametrize(("form", "alpha"), [("exp", 0.01), ("softplus", 0.01), ("softplus", 1.0)])
def test_the_temperature_starts_where_asked(form: str, alpha: float) -> None:
    config = replace(CONFIG, temperature_form=form, initial_temperature=alpha)  # type: ignore[arg-type]
    theta = float(sac.init(config, STATE, ACTION, 0).temperature)
    value = np.exp(theta) if form == "exp" else np.logaddexp(0, theta)
    assert value == pytest.approx(alpha, rel=1e-5)


def test_the_target_starts_as_a_copy_in_its_own_memory() -> None:
    state = sac.init(CONFIG, STATE, ACTION, 0)
    for a, b in zip(jax.tree.leaves(state.critic), jax.tree.leaves(state.target_critic), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.unsafe_buffer_pointer() != b.unsafe_buffer_pointer()
