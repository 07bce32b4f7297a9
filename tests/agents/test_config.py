"""Hyper-parameters: bounds, presets, and the choice by machine."""

from dataclasses import replace

import pytest

from robot_rl.agents.config import PRESETS, SacConfig, describe, preset, preset_for_machine
from robot_rl.core.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("hidden", (), "widths"),
        ("hidden", (256, 0), "widths"),
        ("critics", 0, "at least 1"),
        ("subset", 3, "at most critics=2"),
        ("actor_steps", 5, "at most utd=4"),
        ("gamma", 1.1, r"\[0, 1\]"),
        ("tau", 0.0, r"\(0, 1\]"),
        ("lr_actor", -1e-3, "positive"),
        ("initial_temperature", 0.0, "positive"),
        ("log_std_min", 3.0, "below 2"),
        ("q_range", (1.0, 0.0), "low < high"),
        ("gripper_epsilon", 1.5, r"\[0, 1\]"),
        ("activation", "relo", "did you mean 'relu'"),
        ("temperature_form", "log", "Available: exp, softplus"),
    ],
)
def test_a_wrong_value_names_the_field_and_what_is_allowed(field: str, value: object, expected: str) -> None:
    with pytest.raises(ConfigError, match=field) as caught:
        replace(SacConfig(), **{field: value})  # type: ignore[arg-type]
    assert caught.match(expected)


def test_the_default_is_the_laptop_preset() -> None:
    assert PRESETS["laptop"] == SacConfig()
    assert describe(SacConfig()) == "2 critics of 256-256, minibatches of 128, 3-step returns"
    assert describe(SacConfig(), "bc") == "cloned actor of 256-256, minibatches of 128"
    assert "10 critics of 64-64, a gripper critic" in describe(
        replace(SacConfig(), critics=10, hidden=(64, 64), gripper_critic=True)
    )


def test_rlpd_has_the_published_settings() -> None:
    c = PRESETS["rlpd"]
    assert (c.critics, c.subset, c.utd, c.actor_steps, c.batch_size, c.n_step) == (10, 2, 20, 1, 256, 1)
    assert (c.gamma, c.initial_temperature, c.critic_layer_norm) == (0.99, 1.0, True)


def test_serl_compat_has_the_published_settings() -> None:
    c = PRESETS["serl_compat"]
    assert (c.activation, c.actor_layer_norm, c.critics, c.subset, c.utd, c.actor_steps) == ("tanh", True, 10, 2, 4, 1)
    assert (c.gamma, c.batch_size, c.n_step, c.tau, c.initial_temperature) == (0.96, 256, 1, 0.005, 0.01)
    assert c.temperature_form == "softplus"
    assert c.temperature_from_next_state
    assert not c.backup_entropy
    assert c.q_range is None


def test_hil_serl_compat_differs_from_it_as_published() -> None:
    c = PRESETS["hil_serl_compat"]
    assert (c.critics, c.subset, c.utd, c.gamma, c.gripper_critic, c.target_entropy) == (2, 2, 2, 0.97, True, -3.5)


def test_presets_are_found_by_name() -> None:
    assert preset("rlpd") is PRESETS["rlpd"]
    assert preset("auto").critics in (2, 10)
    with pytest.raises(ConfigError, match="did you mean 'rlpd'"):
        preset("rldp")


def test_a_stronger_machine_gets_more_updates_per_step() -> None:
    ratios = [preset_for_machine(cores, gpu=False).utd for cores in (1, 2, 4, 64)]
    assert ratios == [2, 4, 8, 8]
    gpu = preset_for_machine(8, gpu=True)
    assert (gpu.critics, gpu.subset, gpu.utd) == (10, 2, 20)
