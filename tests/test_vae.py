"""The variational autoencoder of BCQ-Lag and CPQ, and the critics that they train side by side."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from fisor.baselines import vae
from fisor.baselines.critics import Critics, regression_loss
from fisor.baselines.vae import VAE, Latent
from fisor.nn.networks import EnsembleQ, ScalarMLP, forward
from fisor.nn.optimiser import begin

OBSERVATIONS = jnp.eye(2)
ACTIONS = jnp.asarray([[0.8], [-0.6]])


def test_the_divergence_is_the_mean_of_each_entrys() -> None:
    """Against SciPy's integral of q (log q - log p) over each entry of the latent."""
    mean, log_std = np.array([0.7, -1.2, 0.0]), np.array([-0.5, 0.4, 0.0])
    each = []
    for q in (stats.norm(m, np.exp(s)) for m, s in zip(mean, log_std, strict=True)):
        each.append(q.expect(lambda z, q=q: q.logpdf(z) - stats.norm.logpdf(z)))
    value = vae.divergence(Latent(jnp.asarray(mean), jnp.asarray(log_std)))
    assert float(value) == pytest.approx(np.mean(each), abs=1e-5)
    assert each[2] == pytest.approx(0, abs=1e-9)


def test_the_loss_is_squared_error_and_half_the_divergence() -> None:
    """((0.5 - 0)^2 + (-0.2 - 0.2)^2) / 2 + 0.5 (mean of 1^2 / 2 and 0), by hand."""
    latent = Latent(jnp.asarray([1.0, 0.0]), jnp.zeros(2))
    value = vae.loss(jnp.asarray([0.5, -0.2]), jnp.asarray([0.0, 0.2]), latent)
    assert float(value) == pytest.approx((0.25 + 0.16) / 2 + 0.5 * 0.25)


def test_deviations_stay_within_their_bounds() -> None:
    """However large the encoder's outputs are."""
    network = VAE.of(action_dim=1, units=4)
    params = jax.jit(lambda key: network.fresh(key, 2))(jax.random.key(0))
    for sign, expected in ((1.0, 15.0), (-1.0, -4.0)):
        params["encoder"]["params"]["Dense_2"]["bias"] = jnp.full(4, 1e3 * sign)
        assert (
            network.encode(params, OBSERVATIONS, ACTIONS).log_std.tolist() == [[expected] * 2] * 2
        )


def test_draws_are_decoded_from_clipped_latents() -> None:
    """As many draws as there are states, each from its own latent within [-0.5, 0.5]."""
    network, key = VAE.of(action_dim=1, units=8), jax.random.key(1)
    params = jax.jit(lambda key: network.fresh(key, 2))(jax.random.key(0))
    states = jnp.tile(OBSERVATIONS[:1], (500, 1))
    latents = jnp.clip(jax.random.normal(key, (500, 2)), -0.5, 0.5)
    drawn = network.draw({"decoder": params["decoder"]}, states, key)
    np.testing.assert_array_equal(drawn, network.decode(params, states, latents))
    assert len(np.unique(drawn)) > 100
    assert np.abs(latents).max() == 0.5


def test_it_learns_the_actions_of_each_state() -> None:
    """Two states with one action each: what is drawn is that action."""
    network, adam = VAE.of(action_dim=1, units=16), optax.adam(0.01)
    states, actions = jnp.tile(OBSERVATIONS, (32, 1)), jnp.tile(ACTIONS, (32, 1))

    @jax.jit
    def learned(key):
        first, keys, last = jax.random.split(key, 3)
        learner, losses = jax.lax.scan(
            lambda learner, key: network.learn(adam, learner, states, actions, key),
            begin(adam, network.fresh(first, 2)),
            jax.random.split(keys, 300),
        )
        return network.draw(learner.params, states, last), losses

    drawn, losses = learned(jax.random.key(0))
    assert losses[-1] < 0.02 < 0.2 < losses[0]
    np.testing.assert_allclose(drawn, actions, atol=0.1)


def test_an_ensembles_members_are_networks_of_their_own() -> None:
    """Each member's values are those of one network with its share of the parameters."""
    ensemble = EnsembleQ(hidden_layers=2, hidden_units=8, members=4)
    params = jax.jit(ensemble.init)(jax.random.key(0), OBSERVATIONS, ACTIONS)
    values = forward(ensemble, params, OBSERVATIONS, ACTIONS)
    assert values.shape == (4, 2)
    assert len(np.unique(values)) == 8
    inputs, alone = (
        jnp.concatenate([OBSERVATIONS, ACTIONS], axis=-1),
        jax.jit(ScalarMLP(2, 8).apply),
    )
    for member in range(4):
        own = jax.tree.map(lambda leaf, m=member: leaf[m], params["params"]["VmapScalarMLP_0"])
        np.testing.assert_allclose(values[member], alone({"params": own}, inputs), rtol=1e-5)


def test_critics_of_rewards_come_before_those_of_costs() -> None:
    """The halves of one ensemble; costs alone, and the lowest of each, are the same numbers."""
    critics = Critics(EnsembleQ(hidden_layers=1, hidden_units=8, members=4))
    params = jax.jit(lambda key: critics.fresh(key, 2, 1))(jax.random.key(0))
    every = forward(critics.network, params, OBSERVATIONS, ACTIONS)
    rewards, costs = critics(params, OBSERVATIONS, ACTIONS)
    np.testing.assert_array_equal(rewards, every[:2])
    np.testing.assert_array_equal(costs, every[2:])
    alone = critics.of_costs(params, OBSERVATIONS, ACTIONS)
    np.testing.assert_allclose(alone, costs, rtol=1e-6)
    lowest = critics.lowest(params, OBSERVATIONS, ACTIONS)
    np.testing.assert_array_equal(lowest, [every[:2].min(axis=0), every[2:].min(axis=0)])


def test_the_regression_loss_sums_over_networks() -> None:
    """(1 + 4) / 2 + (0 + 9) / 2, by hand."""
    values = jnp.asarray([[1.0, 2.0], [2.0, 1.0]])
    assert float(regression_loss(values, jnp.asarray([2.0, 4.0]))) == (1 + 4) / 2 + (0 + 9) / 2
