"""N candidates of an observation: what they share is computed once, with the same results."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configured import section
from jax.extend.core import jaxprs_in_params
from oracles import drawn_params, twins

from fisor.config.acting import Acting
from fisor.critics.trained import CriticNetworks
from fisor.nn.networks import forward
from fisor.policies import agent, diffusion
from fisor.policies.candidates import action_values, predict_noise, rounded
from fisor.policies.score_network import ScoreNetwork
from fisor.policies.stored import PolicyNetworks, PolicyParams

B, N, OBSERVATION_DIM, LEVELS = 3, 4, 7, 3
NETWORK = ScoreNetwork(2, LEVELS, blocks=2, units=8, dropout=0.0)
CRITIC = CriticNetworks.of_size(2, 16)


@pytest.fixture(scope="module")
def score() -> Any:
    """Drawn parameters, no layer norm's scale or bias left at its initial value."""
    return drawn_params(lambda key: NETWORK.init_params(key, OBSERVATION_DIM), 1)


@pytest.fixture(scope="module")
def q() -> Any:
    """Drawn parameters of twins."""
    return drawn_params(lambda key: CRITIC.init_params(key, OBSERVATION_DIM, 2)[0], 2)


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Observations `[B, obs_dim]` and actions `[B, N, 2]`."""
    draw = np.random.default_rng(3)
    sizes = (B, OBSERVATION_DIM), (B, N, 2)
    observations, actions = (draw.normal(size=size).astype(np.float32) for size in sizes)
    return observations, actions


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)])
def test_the_noise_is_the_plain_networks(
    score: Any, rows: tuple[np.ndarray, np.ndarray], precision: str, tolerance: float
) -> None:
    """At each level, of each observation's candidates.

    Oracle: the network's own `__call__`, which learns, on every row's whole input. In bfloat16 the
    two round other numbers: the last bit of a sum may make one rounding go the other way.
    """
    observations, noisy = rows[0], rows[1].reshape(-1, 2)
    plain = ScoreNetwork(2, LEVELS, 2, 8, 0.0, product_precision=precision)
    repeated = np.repeat(observations, N, axis=0)
    params = rounded(score, precision)

    @partial(jax.jit, static_argnums=0)
    def both(level: int) -> tuple[Any, Any]:
        time = jnp.full(B * N, level)
        split = predict_noise(plain, params, observations, N, precision)(noisy, time)
        return split, forward(plain, score, repeated, noisy, time)

    for level in range(1, LEVELS + 1):
        found, expected = both(level)
        assert np.asarray(expected).std() > 0.3
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


def test_bfloat16_kernels_are_rounded_and_nothing_else(score: Any) -> None:
    """Biases, layer norms and frequencies stay in float32; with `float32` nothing changes."""
    leaves = jax.tree_util.tree_leaves_with_path(
        rounded(jax.tree.map(jnp.asarray, score), "bfloat16")
    )
    assert {path[-1].key for path, leaf in leaves if leaf.dtype == jnp.bfloat16} == {"kernel"}
    assert all(leaf.dtype == jnp.bfloat16 for path, leaf in leaves if path[-1].key == "kernel")
    assert rounded(score, "float32") is score


def test_action_values_are_the_twins(q: Any, rows: tuple[np.ndarray, np.ndarray]) -> None:
    """Both values of each action. Oracle: NumPy's twins on every row's whole input."""
    observations, actions = rows
    values = jax.jit(action_values)(q, observations, actions)
    expected = twins(q, np.repeat(observations, N, axis=0), actions.reshape(-1, 2))
    np.testing.assert_allclose(values, expected.reshape(2, B, N), rtol=1e-5, atol=1e-5)


def products(jaxpr: Any) -> list[tuple[Any, Any]]:
    """The operands' shapes and types of all products, those in scans and calls included."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            found.append(tuple(operand.aval for operand in equation.invars))
        for inner in jaxprs_in_params(equation.params):
            found += products(inner)
    return found


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_candidates_share_is_computed_once(score: Any, q: Any, precision: str) -> None:
    """No product with as many columns as an observation has more rows than there are observations.

    And in bfloat16 all operands of z_theta's layers are of that type. Oracle: the traced program.
    """
    acting = section(Acting, N=N, acting_precision=precision)
    networks = PolicyNetworks(NETWORK, diffusion.schedule(LEVELS), CRITIC, CRITIC)
    kept = rounded(score, precision)
    params = PolicyParams(kept, q_h=q, v_h=None, q_r=q)
    act = partial(agent.act, networks, acting=acting)
    traced = jax.make_jaxpr(act)(params, jnp.ones((B, OBSERVATION_DIM)), jax.random.key(0))
    operands = products(traced.jaxpr)
    of_observations = [left for left, _ in operands if left.shape[-1] == OBSERVATION_DIM]
    assert [left.shape[-2] for left in of_observations] == [B, B]  # z_theta's and Q_h's
    in_float32 = [right.shape for _, right in operands if right.dtype == jnp.float32]
    of_critics = [(OBSERVATION_DIM, 16), (2, 16), (16, 16), (16, 1)]
    frequencies = (1, 32)
    if precision == "bfloat16":
        assert {shape[-2:] for shape in in_float32} == {*of_critics, frequencies}
    else:
        assert len(in_float32) == len(operands)
