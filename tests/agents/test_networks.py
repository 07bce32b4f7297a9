"""Feature-major perceptrons against plain numpy, and the random subset."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robot_rl.agents import networks as nets


def numpy_mlp(params: nets.Params, x: np.ndarray, activation: str, member: int | None = None) -> np.ndarray:
    """One row per sample, one member, loops: as plain as can be."""
    pick = (lambda p: np.asarray(p, np.float64)) if member is None else (lambda p: np.asarray(p, np.float64)[member])
    for i in range(len(params) - 1):
        layer = {k: pick(v) for k, v in params[str(i)].items()}
        x = x @ layer["w"].T + layer["b"]
        if "gain" in layer:
            x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6)
            x = x * layer["gain"] + layer["shift"]
        x = np.maximum(x, 0) if activation == "relu" else np.tanh(x)
    return x @ pick(params["out"]["w"]).T + pick(params["out"]["b"])


def randomised(params: nets.Params, seed: int = 0) -> nets.Params:
    """Every leaf random, also the biases and gains."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: np.asarray(p) + 0.3 * rng.standard_normal(p.shape).astype(np.float32), params)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("norm", [True, False])
def test_an_ensemble_equals_its_members_one_by_one(activation: nets.Activation, norm: bool) -> None:
    critic = randomised(nets.init_mlp(jax.random.PRNGKey(0), 5, (16, 8), 1, norm, members=3))
    rng = np.random.default_rng(1)
    state, action = rng.standard_normal((7, 3)), rng.uniform(-1, 1, (7, 2))
    q = jax.jit(nets.q_values, static_argnums=3)(
        critic, state.T.astype(np.float32), action.T.astype(np.float32), activation
    )
    assert q.shape == (3, 7)
    for member in range(3):
        expected = numpy_mlp(critic, np.hstack([state, action]), activation, member)[:, 0]
        np.testing.assert_allclose(q[member], expected, atol=2e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradients_of_an_ensemble_agree_with_finite_differences(activation: nets.Activation) -> None:
    critic = randomised(nets.init_mlp(jax.random.PRNGKey(0), 4, (6, 5), 1, True, members=2))
    x = np.random.default_rng(1).standard_normal((4, 9)).astype(np.float32)
    weights = np.random.default_rng(2).standard_normal((2, 1, 9))

    def loss(params: nets.Params) -> jax.Array:
        return (nets.mlp(params, jnp.asarray(x), activation) * weights).sum()

    def loss64(params: nets.Params) -> float:
        rows = [numpy_mlp(params, x.T.astype(np.float64), activation, e)[:, 0] for e in range(2)]
        return float((np.stack(rows) * weights[:, 0]).sum())

    gradient = jax.tree.map(np.asarray, jax.jit(jax.grad(loss))(critic))
    flat, tree = jax.tree.flatten(jax.tree.map(lambda p: np.asarray(p, np.float64), critic))
    for i, leaf in enumerate(jax.tree.leaves(gradient)):
        for at in np.ndindex(leaf.shape):
            step = np.zeros(leaf.shape)
            step[at] = 1e-6
            up = loss64(jax.tree.unflatten(tree, [*flat[:i], flat[i] + step, *flat[i + 1 :]]))
            down = loss64(jax.tree.unflatten(tree, [*flat[:i], flat[i] - step, *flat[i + 1 :]]))
            assert leaf[at] == pytest.approx((up - down) / 2e-6, rel=2e-3, abs=2e-4)


def test_gradients_reach_the_inputs() -> None:
    critic = randomised(nets.init_mlp(jax.random.PRNGKey(0), 4, (6,), 1, True, members=2))
    x = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    slope = np.asarray(jax.jit(jax.grad(lambda v: nets.mlp(critic, v, "tanh").sum()))(x))
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-2
        up = sum(numpy_mlp(critic, (x + step).T, "tanh", e).sum() for e in range(2))
        down = sum(numpy_mlp(critic, (x - step).T, "tanh", e).sum() for e in range(2))
        assert slope[at] == pytest.approx((up - down) / 2e-2, rel=1e-2, abs=1e-3)


def test_weights_start_glorot_uniform_and_biases_at_zero() -> None:
    layer = nets.init_dense(jax.random.PRNGKey(0), 200, 100, members=4)
    bound = (6 / 300) ** 0.5
    assert layer["w"].shape == (4, 100, 200)
    assert float(jnp.abs(layer["w"]).max()) <= bound
    assert float(layer["w"].std()) == pytest.approx(bound / 3**0.5, rel=0.01)
    assert not layer["b"].any()
    assert not (layer["w"][0] == layer["w"][1]).all()


def test_states_are_normalised_and_clipped() -> None:
    normaliser = nets.Normaliser(jnp.array([1.0, 0.0]), jnp.array([2.0, 0.1]))
    out = nets.normalise(normaliser, jnp.array([[3.0, 5.0], [1.0, -0.05]]))
    np.testing.assert_allclose(out, [[1.0, 10.0], [0.0, -0.5]])


def test_a_not_finite_input_is_not_hidden_by_the_activation() -> None:
    params = nets.init_mlp(jax.random.PRNGKey(0), 2, (4,), 1, False)
    assert np.isnan(nets.mlp(params, jnp.array([[np.nan], [0.0]]), "relu")).all()


@pytest.mark.parametrize(("members", "subset"), [(10, 2), (10, 9), (3, 1), (2, 2)])
def test_the_subset_is_drawn_without_replacement(members: int, subset: int) -> None:
    draw = jax.jit(jax.vmap(lambda key: nets.choose_members({"w": jnp.arange(members)}, key, members, subset)["w"]))
    for chosen in np.asarray(draw(jax.random.split(jax.random.PRNGKey(0), 1000))):
        assert chosen.shape == (subset,)
        assert len(set(chosen.tolist())) == subset


def test_every_member_is_drawn_equally_often() -> None:
    draw = jax.jit(jax.vmap(lambda key: nets.choose_members({"w": jnp.arange(5)}, key, 5, 2)["w"]))
    counts = np.bincount(np.asarray(draw(jax.random.split(jax.random.PRNGKey(0), 5000))).ravel(), minlength=5)
    assert np.abs(counts - 2000).max() < 150  # four standard deviations
