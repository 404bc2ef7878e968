"""CDT's parts: what its network sees, what its windows are labelled with, its losses."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from configured import configured
from scipy import special, stats

from fisor.baselines import cdt, cdt_data
from fisor.baselines.baseline import Problem
from fisor.baselines.cdt_data import Labels, Outcomes
from fisor.baselines.cdt_losses import action_loss, cost_loss, entropy, temperature_loss
from fisor.baselines.cdt_network import DecisionTransformer, Window
from fisor.config.task import Prompts
from fisor.data.transitions import Transitions
from fisor.nn.transformer import gelu

STEPS = 4
NETWORK = DecisionTransformer(
    action_dim=2, horizon_steps=9, blocks=2, units=8, heads=2, dropout=0.3, reward_scale=0.5
)
PROMPTS = Prompts(target_return=5.0, frontier_degree=1, highest_return=30.0, return_decrease=4.0)


def window(there: list[bool], seed: int = 0) -> Window:
    """One window of random numbers, of whose steps some are not there."""
    draw = np.random.default_rng(seed)
    numbers = (
        draw.normal(size=(1, STEPS, *dim)).astype(np.float32) for dim in ((), (), (3,), (2,))
    )
    return Window(*numbers, np.arange(STEPS, dtype=np.int32)[None] + 2, np.array([there]))


@pytest.fixture(scope="module")
def params() -> Any:
    """Parameters with no zeros, so that nothing vanishes by chance."""
    fresh = jax.jit(NETWORK.init)(jax.random.key(0), window([True] * STEPS))
    leaves, structure = jax.tree.flatten(fresh)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [a + 0.3 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, noisy)


# The network --------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [[True, True, False, False], [False, False, True, True]])
def test_steps_that_are_not_there_change_nothing(params: Any, there: list[bool]) -> None:
    """Neither those after an episode's end nor those before its start, to the last bit."""
    one, other = window(there), window(there, seed=1)
    mixed = Window(
        *(
            np.where(np.reshape(there, (1, STEPS, *[1] * (a.ndim - 2))), a, b)
            for a, b in zip(one[:4], other[:4], strict=True)
        ),
        np.where(there, one.time, 7).astype(np.int32),
        one.there,
    )
    assert not np.array_equal(mixed.observations, one.observations)
    apply = jax.jit(NETWORK.apply)
    for expected, found in zip(apply(params, one), apply(params, mixed), strict=True):
        assert np.array_equal(expected[:, there], found[:, there])


def test_no_token_sees_what_comes_after_it(params: Any) -> None:
    """The gradient of each prediction is 0 for later tokens, and for no earlier one.

    An action is predicted from the steps before, and its own step's sums to go and observation; a
    cost from that step's action, too.
    """
    given = window([True] * STEPS)

    def outputs(returns: Any, costs: Any, observations: Any, actions: Any) -> Any:
        numbers = returns, costs, observations, actions
        predicted: Any = NETWORK.apply(params, Window(*numbers, given.time, given.there))
        means = predicted.mean + predicted.log_std
        return means[0].sum(-1), predicted.cost_logits[0, :, 0] - predicted.cost_logits[0, :, 1]

    jacobians = jax.jit(jax.jacrev(outputs, argnums=(0, 1, 2, 3)))(*given[:4])
    earlier = np.tril(np.ones((STEPS, STEPS), bool))
    for output, by_input in enumerate(jacobians):
        for token, jacobian in enumerate(by_input):
            depends = np.abs(jacobian[:, 0]).reshape(STEPS, STEPS, -1).sum(-1) > 0
            strictly = output == 0 and token == 3
            assert np.array_equal(
                depends, earlier & ~np.eye(STEPS, dtype=bool) if strictly else earlier
            )


def test_the_last_mean_is_that_of_all_predictions(params: Any) -> None:
    """Acting computes the last block for one token alone: the same numbers."""
    given = window([False, True, True, True])
    last = NETWORK.apply(params, given, method="last_mean")
    predicted: Any = NETWORK.apply(params, given)
    np.testing.assert_allclose(last, predicted.mean[:, -1], rtol=1e-5, atol=1e-6)


def test_times_beyond_the_horizon_have_the_last_embedding(params: Any) -> None:
    """Not NaN, which JAX takes from beyond an array's end."""
    given = window([True] * STEPS)
    late, last = (
        NETWORK.apply(params, given._replace(time=np.full((1, STEPS), time, np.int32)))
        for time in (100, NETWORK.horizon_steps - 1)
    )
    for one, other in zip(late, last, strict=True):
        assert np.array_equal(one, other)
        assert np.isfinite(one).all()


def test_gelu() -> None:
    """X times SciPy's normal distribution function."""
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    np.testing.assert_allclose(gelu(jnp.asarray(x)), x * special.ndtr(x), atol=1e-6)


def test_dropout_acts_in_training_alone(params: Any) -> None:
    """Two keys give two predictions in training; without training none is needed."""
    given = window([True] * STEPS)
    one, other = (
        NETWORK.apply(params, given, training=True, rngs={"dropout": jax.random.key(seed)})
        for seed in (0, 1)
    )
    assert not np.array_equal(one.mean, other.mean)
    assert np.array_equal(NETWORK.apply(params, given).mean, NETWORK.apply(params, given).mean)


# Windows and labels -------------------------------------------------------------------------------


def test_sums_to_go_end_with_their_episode() -> None:
    """Three episodes, by hand."""
    values = np.array([1, 2, 3, 10, 20, 5], np.float32)
    episode = np.array([0, 0, 0, 1, 1, 2])
    assert cdt_data.to_go(values, episode).tolist() == [6, 5, 3, 30, 20, 5]


def test_windows_are_masked_beyond_their_episode() -> None:
    """Rows 1 to 4 of episodes of three and two steps: the last two are not there. By hand."""
    episode, step = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1])
    vectors = np.arange(10, dtype=np.float32).reshape(5, 2)
    rewards, costs = np.array([[1, 2, 3, 10, 20], [0, 1, 0, 1, 1]], np.float32)
    data = Transitions(vectors, -vectors, vectors, rewards, costs, None, None)
    rows = cdt_data.rows_of(Problem(9, 1.0, episode, step), data)
    batch = jax.tree.map(lambda array: jnp.asarray(array)[jnp.array([[1, 2, 3, 4]])], rows)
    labels = Labels(
        *np.array([[100, 0], [-1, 0]], np.float32),
        np.array([1.0, 2.0]),
        *(np.array([[0, 1], [0, 1]], np.int32)),
        np.ones(2),
    )
    found = cdt_data.window_of(batch, labels, jax.random.key(0))
    assert found.there.tolist() == [[True, True, False, False]]
    assert found.time.tolist() == [[1, 2, 0, 1]]
    assert found.returns[:, :2].tolist() == [[105, 103]]
    assert found.costs[:, :2].tolist() == [[0, -1]]
    assert found.actions[0, 1].tolist() == [-4, -5]


def test_labels_are_drawn_by_weight_among_an_episodes_own() -> None:
    """Shares of a hundred thousand draws, within four standard deviations."""
    labels = Labels(
        returns=np.arange(5, dtype=np.float32),
        costs=-np.arange(5, dtype=np.float32),
        upto=np.cumsum([1, 3, 0, 4, 0]).astype(np.float32),
        first=np.array([0, 1, 4], np.int32),
        last=np.array([0, 3, 4], np.int32),
        weights=np.array([1.0, 7.0, 0.0]),
    )
    episode = jnp.repeat(jnp.array([0, 1]), 100_000)
    returns, costs = jax.jit(labels.draw)(episode, jax.random.key(0))
    assert np.array_equal(returns, -costs)
    assert (returns[:100_000] == 0).all()
    shares = np.bincount(np.asarray(returns[100_000:], int), minlength=5) / 100_000
    np.testing.assert_allclose(shares, [0, 3 / 7, 0, 4 / 7, 0], atol=4 * 0.5 / np.sqrt(1e5))


def spread_out(count: int = 400) -> Outcomes:
    """Episodes whose returns lie up to 10 below the line 10 + cost / 2."""
    draw = np.random.default_rng(0)
    costs = draw.integers(0, 20, count).astype(float)
    return Outcomes(10 + costs / 2 - draw.choice([0.0, 2.0, 5.0, 10.0], count), costs)


def test_pareto_optimal_episodes() -> None:
    """By hand; of two that are equal neither beats the other."""
    returns, costs = np.array([3.0, 5, 5, 4, 9, 9, 2]), np.array([1.0, 2, 2, 2, 7, 8, 0])
    optimal = cdt_data.pareto_optimal(returns, costs)
    assert optimal.tolist() == [True, True, True, False, True, False, True]


def test_augmented_labels_are_better_than_the_data() -> None:
    """Above the line, evenly spread over the costs, on episodes of no higher cost."""
    episodes = spread_out()
    source, targets = cdt_data.augmented(episodes, PROMPTS, 0.2, np.random.default_rng(1))
    kept = cdt_data.without_outliers(episodes, np.random.default_rng(1)).size
    assert source.size == int(0.2 * kept) > 20
    np.testing.assert_allclose(np.diff(targets.costs), 19 / (source.size - 1))
    line = 10 + targets.costs / 2
    assert (targets.returns > line + 1 - 1e-9).all()
    assert (targets.returns < PROMPTS.highest_return).all()
    assert (episodes.costs[source] <= targets.costs).all()
    assert (episodes.returns[source] >= 10 + episodes.costs[source] / 2 - 10).all()
    again, _ = cdt_data.augmented(episodes, PROMPTS, 0.2, np.random.default_rng(1))
    assert np.array_equal(source, again)


def test_outliers_are_left_out_and_crowds_are_thinned() -> None:
    """A crowd of thirty leaves ten, a cell of three stays, one of two goes. Corners by hand."""
    returns = np.concatenate([np.full(30, 0.0), np.full(3, 50.0), np.full(2, 25.0)])
    costs = np.concatenate([np.full(30, 0.0), np.full(3, 10.0), np.full(2, 5.0)])
    kept = cdt_data.without_outliers(Outcomes(returns, costs), np.random.default_rng(0))
    assert np.bincount(returns[kept].astype(int)).nonzero()[0].tolist() == [0, 50]
    assert (returns[kept] == 0).sum() == 10
    assert (returns[kept] == 50).sum() == 3


def test_an_episodes_weight_is_that_of_its_labels() -> None:
    """70 - C for its own cost, and for each cost that it is labelled with; the first label is 0."""
    episodes = spread_out()
    labels = cdt_data.labels_of(episodes, PROMPTS, 0.2, 12.0)
    source, targets = cdt_data.augmented(episodes, PROMPTS, 0.2, np.random.default_rng(0))
    expected = np.maximum(12 - episodes.costs, 0)
    np.add.at(expected, source, np.maximum(12 - targets.costs, 0))
    np.testing.assert_allclose(labels.weights, expected)
    np.testing.assert_allclose(np.diff(labels.upto, prepend=0).sum(), expected.sum(), rtol=1e-5)
    assert (labels.returns[labels.first] == 0).all()
    assert np.array_equal(labels.last - labels.first, np.bincount(source, minlength=400))
    own = cdt_data.labels_of(episodes, PROMPTS, 0.0, 12.0)
    assert own.returns.size == 400


def test_prompts_of_a_dataset() -> None:
    """By hand: returns of 0 to 10, the best within the limit 7, with the least cost 2."""
    episodes = Outcomes(np.array([0.0, 7.0, 10.0, 2.0]), np.array([1.0, 5.0, 9.0, 0.5]))
    prompts = cdt_data.from_dataset(episodes, 5.0)
    assert dataclasses.astuple(prompts) == (7.0, 1, 11.0, 2.0)
    assert cdt_data.from_dataset(episodes, 0.0).target_return == 2.0


# Losses and the optimiser -------------------------------------------------------------------------


def test_losses() -> None:
    """Against SciPy's normal density and entropy, and by hand."""
    mean, log_std, action = np.array([[0.1, -0.4], [0.3, -1.2], [0.5, -0.5]])
    given = (jnp.asarray(a, jnp.float32) for a in (mean, log_std, action))
    normal = stats.norm(mean, np.exp(log_std))
    expected = -normal.logpdf(action).mean() - 0.3 * normal.entropy().mean()
    assert float(action_loss(*given, jnp.asarray(0.3))) == pytest.approx(expected, rel=1e-5)
    found = float(entropy(jnp.asarray(log_std, jnp.float32)))
    assert found == pytest.approx(normal.entropy().mean(), rel=1e-5)
    logits = jnp.log(jnp.asarray([0.2, 0.6]))
    assert float(cost_loss(logits, jnp.asarray(0.0))) == pytest.approx(-np.log(0.25), rel=1e-5)
    assert float(cost_loss(logits, jnp.asarray(2.0))) == pytest.approx(-np.log(0.75), rel=1e-5)
    assert float(temperature_loss(jnp.log(2.0), jnp.asarray(-3.0))) == pytest.approx(-6.0)


def test_the_learning_rate_rises_and_long_gradients_are_cut() -> None:
    """By hand: with no decay, Adam's first step is the rate, a tenth of it at update 1 of 10.

    The first moment is 0.1 times the gradient, which was cut from 30 to 0.25.
    """
    config = configured("CDT", "train", cdt.Config, warmup_steps=10, weight_decay=0.0)
    adam, params = cdt.adamw(config), {"w": jnp.array([1.0, 1.0])}
    state = adam.init(params)
    for done in range(12):
        gradient = {"w": jnp.array([30.0, 0.0])}
        change, state = adam.update(gradient, state, params)
        rate = config.learning_rate * min((done + 1) / 10, 1)
        np.testing.assert_allclose(change["w"], [-rate, 0], rtol=1e-4)
        moment = optax.tree.get(state, "mu")["w"]
        np.testing.assert_allclose(moment, [0.25 * (1 - 0.9 ** (done + 1)), 0], rtol=1e-5)
    falling = cdt.adamw(dataclasses.replace(config, cosine_decay=True, training_steps=13))
    state = falling.init(params)
    for _ in range(13):
        last, state = falling.update({"w": jnp.array([30.0, 0.0])}, state, params)
    assert 0 < -float(last["w"][0]) < 0.03 * config.learning_rate
