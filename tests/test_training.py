"""The training loop: seeds do not touch each other, chunks do not matter, bad numbers stop it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mixing
import numpy as np
import pytest
from oracles import drawn_params

from fisor.config.params import Params
from fisor.critics import feasibility, pair, reward, trained
from fisor.critics.pair import CriticState
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.nn.optimiser import optimiser
from fisor.training import programs
from fisor.training.fit import fit, seed_keys
from fisor.training.log import Curve, write_curve

Trained = tuple[Any, Curve]


def quick_init(params: Params, data: Transitions) -> Callable[[jax.Array], CriticState]:
    """A critic's start that depends on the key; `pair.init` takes longer to compile than to fit.

    All numbers are drawn beforehand and shifted by one that the key decides.
    """
    networks = trained.CriticNetworks.of_size(params.hidden_layers, params.hidden_units)
    sizes = data.observations.shape[1], data.actions.shape[1]
    drawn = drawn_params(lambda key: networks.init_params(key, *sizes), seed=0)
    adam = optimiser(params)

    def init(key: jax.Array) -> CriticState:
        shift = 0.1 * jax.random.normal(key)
        q, v = jax.tree.map(lambda numbers: numbers + shift, drawn)
        return CriticState(q, v, q, adam.init(q), adam.init(v))

    return init


@pytest.fixture(scope="module")
def data(random_transitions: Callable[..., Transitions]) -> Transitions:
    return random_transitions(50)


@pytest.fixture(scope="module")
def train(small_params: Callable[..., Params], data: Transitions) -> Callable[..., Trained]:
    """A function (seeds, ...) -> a small feasibility critic's states and curve."""

    def run(seeds: int, log_every_updates: int = 10, batch_size: int = 8) -> Trained:
        params = small_params(
            seeds=seeds,
            hidden_layers=1,
            training_steps=20,
            log_every_updates=log_every_updates,
        )
        step = feasibility.update(params)
        sizes = {"batch_size": batch_size, "name": ""}
        return fit(quick_init(params, data), step, data, config=params, **sizes)

    return run


@pytest.fixture(scope="module")
def three_seeds(train: Callable[..., Trained]) -> Trained:
    return train(3)


@pytest.fixture(scope="module")
def mix(small_params: Callable[..., Params]) -> Callable[..., Trained]:
    """A function (changes of the parameters) -> a number for each seed that mixes all it got."""

    def run(**changes: Any) -> Trained:
        params = small_params(**{"training_steps": 23, "log_every_updates": 10} | changes)
        return mixing.mix(params)

    return run


@pytest.fixture(scope="module")
def mixed(mix: Callable[..., Trained]) -> Trained:
    return mix(seeds=3)


# Seeds and chunks --------------------------------------------------------------------------------


def test_a_seeds_key_is_its_own() -> None:
    """Seed k's key is the key of k, whatever the number of seeds."""
    five = jax.random.key_data(seed_keys(5))
    np.testing.assert_array_equal(jax.random.key_data(seed_keys(2)), five[:2])
    np.testing.assert_array_equal(five[3], jax.random.key_data(jax.random.key(3)))


def test_seeds_differ(three_seeds: Trained) -> None:
    """Seeds start from other weights, draw other batches, and so have other curves."""
    states, curve = three_seeds
    kernels = np.asarray(states.v["params"]["Dense_0"]["kernel"])
    assert len(np.unique(kernels[:, 0, 0])) == 3
    assert len(np.unique(curve.metrics["q_loss"][0])) == 3


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_seed_is_the_same_among_others(
    mix: Callable[..., Trained], mixed: Trained, seeds: int
) -> None:
    """Seed 0 alone, and 0 and 1 by two: start, keys and rows are those that they have among three.

    To the last bit, and other than those of the other seeds.
    """
    states, curve = mix(seeds=seeds)
    np.testing.assert_array_equal(states, mixed[0][:seeds])
    np.testing.assert_array_equal(curve.metrics["low"], mixed[1].metrics["low"][:, :seeds])
    assert len(np.unique(mixed[0])) == 3


def test_a_critics_seed_is_the_same_among_others(
    train: Callable[..., Trained], three_seeds: Trained
) -> None:
    """A critic's seed 0 alone: the same as among three but for the rounding of matrix products.

    XLA multiplies one matrix by other code than three at once, so the last bit may differ.
    """
    states, curve = train(1)

    def assert_close(alone: Any, among: Any) -> None:
        np.testing.assert_allclose(alone[0], among[0], rtol=1e-4, atol=1e-6)

    jax.tree.map(assert_close, states, three_seeds[0])
    for name, values in curve.metrics.items():
        np.testing.assert_allclose(values[:, 0], three_seeds[1].metrics[name][:, 0], rtol=1e-5)


def test_seeds_with_large_batches_are_trained_one_after_another(
    train: Callable[..., Trained],
) -> None:
    """On CPUs, each with the program that it has alone: the same to the last bit."""
    run = partial(train, batch_size=2 * programs.MANY_ROWS)
    (alone, _), (among, curve) = run(1), run(3)
    jax.tree.map(lambda one, three: np.testing.assert_array_equal(one[0], three[0]), alone, among)
    assert len(np.unique(curve.metrics["q_loss"][0])) == 3


@pytest.mark.parametrize("interval", [1, 7, 1000])
def test_the_final_state_does_not_depend_on_the_curves_interval(
    mix: Callable[..., Trained], mixed: Trained, interval: int
) -> None:
    """How often the curve gets a point changes no number, and nothing is left out at the end."""
    states, curve = mix(seeds=3, log_every_updates=interval)
    np.testing.assert_array_equal(states, mixed[0])
    assert curve.updates[-1] == 23
    # The same updates are averaged, in other groups.
    lengths = np.diff(curve.updates, prepend=0)[:, None]
    total = (curve.metrics["low"] * lengths).sum(0)
    np.testing.assert_allclose(total, (mixed[1].metrics["low"] * [[10], [10], [3]]).sum(0))


def test_two_runs_write_the_same_bytes(
    train: Callable[..., Trained], three_seeds: Trained, tmp_path: Path
) -> None:
    """A critic trained again, its curve in other intervals: the same checkpoint, byte for byte.

    Of Adam's state, which is not saved, every bit is compared, too.
    """
    again, _ = train(3, log_every_updates=20)
    for name, states in (("first", three_seeds[0]), ("again", again)):
        (tmp_path / name).mkdir()
        pair.save(tmp_path / name, states, {"seeds": 3})
    for file in (checkpoint.PARAMS, checkpoint.CONFIG):
        first, second = (tmp_path / name / file for name in ("first", "again"))
        assert first.read_bytes() == second.read_bytes()
    jax.tree.map(np.testing.assert_array_equal, again, three_seeds[0])


def test_a_chunk_takes_over_the_states_memory() -> None:
    """No copy of the states is made for a chunk, whether rows come from the device or the host."""
    devices = programs.devices_for(1)
    compiled = programs.Programs(jax.random.bits, mixing.update, 50, 8, devices)
    keys = seed_keys(1)
    given = compiled.start(keys)
    between, _ = compiled.run(given, keys, None, mixing.ROWS, mixing.OWN[:1], 0, length=2)
    assert given.is_deleted()
    picked = np.asarray(compiled.picked(keys, None, 2, length=2))
    compiled.run_on(between, keys, (mixing.ROWS[picked], mixing.OWN[0][picked]), 2)
    assert between.is_deleted()


# Curves and their numbers ------------------------------------------------------------------------


def count_updates(
    bad: Callable[[jax.Array, jax.Array], dict[str, jax.Array]],
) -> Callable[[Any, Any, jax.Array], tuple[Any, dict[str, jax.Array]]]:
    """An update whose metrics are a function of how many updates are done and of the seed."""

    def update(done: Any, batch: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        return done + 1.0, bad(done + 1.0, batch[1][0])

    return update


def fit_counter(params: Params, metrics: Callable) -> Trained:
    """Run `count_updates` on data that tells each seed its own number."""
    own = np.repeat(np.arange(params.seeds, dtype=np.float32)[:, None], 3, axis=1)
    data = np.zeros(3, np.float32)
    init = lambda key: jnp.zeros(())  # noqa: E731
    update = count_updates(metrics)
    return fit(init, update, data, own, config=params, batch_size=1, name="train_x Task")


def test_curve_holds_means_over_intervals(
    small_params: Callable[..., Params], tmp_path: Path
) -> None:
    """Ten updates in intervals of four: points at 4, 8 and 10 with the mean of each interval."""
    params = small_params(seeds=2, training_steps=10, log_every_updates=4)
    _, curve = fit_counter(params, lambda done, seed: {"m": done / 3 + 100 * seed, "a": -done})
    np.testing.assert_array_equal(curve.updates, [4, 8, 10])
    # Means of 1..4, 5..8 and 9..10: 2.5, 6.5, 9.5.
    np.testing.assert_allclose(curve.metrics["a"], [[-2.5] * 2, [-6.5] * 2, [-9.5] * 2])
    thirds = np.array([2.5, 6.5, 9.5]) / 3
    expected = np.stack([thirds, thirds + 100], axis=1)
    np.testing.assert_allclose(curve.metrics["m"], expected, rtol=1e-6)
    write_curve(tmp_path / "curve.csv", curve)
    assert (tmp_path / "curve.csv").read_text() == (
        "update,seed,a,m\n"
        "4,0,-2.5,0.833333\n"
        "4,1,-2.5,100.833\n"
        "8,0,-6.5,2.16667\n"
        "8,1,-6.5,102.167\n"
        "10,0,-9.5,3.16667\n"
        "10,1,-9.5,103.167\n"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_stops_at_a_bad_number_and_names_it(
    small_params: Callable[..., Params], bad: float
) -> None:
    """A metric that is not finite in update 6 of seed 1 stops the run with all three named."""

    def metrics(done: jax.Array, seed: jax.Array) -> dict[str, jax.Array]:
        broken = (done == 6.0) & (seed == 1.0)
        return {"fine": done, "loss": jnp.where(broken, bad, done)}

    params = small_params(seeds=3, training_steps=20, log_every_updates=4)
    with pytest.raises(InputError, match=f"`loss` of seed 1 is {bad} at update 6") as raised:
        fit_counter(params, metrics)
    assert str(raised.value).startswith("train_x Task: ")


def test_names_the_first_bad_number_of_all_metrics(small_params: Callable[..., Params]) -> None:
    """Where several metrics go bad in one interval, the earliest update is the one named."""

    def metrics(done: jax.Array, seed: jax.Array) -> dict[str, jax.Array]:
        late, early = (done >= 7.0) & (seed == 0.0), (done >= 6.0) & (seed == 2.0)
        return {"a": jnp.where(late, jnp.nan, done), "b": jnp.where(early, jnp.nan, done)}

    params = small_params(seeds=3, training_steps=20, log_every_updates=10)
    with pytest.raises(InputError, match="`b` of seed 2 is nan at update 6"):
        fit_counter(params, metrics)


def test_a_bad_reward_stops_training(
    small_params: Callable[..., Params], random_transitions: Callable[..., Transitions]
) -> None:
    """One NaN among the rewards: the run stops, with the loss that shows it first."""
    data = random_transitions(20)
    data.rewards[7] = np.nan
    params = small_params(hidden_layers=1, training_steps=40, log_every_updates=20)
    step = reward.update(params)
    init = quick_init(params, data)
    with pytest.raises(InputError, match=r"^train_reward Task: `q_loss` of seed [01] is nan at"):
        fit(init, step, data, config=params, batch_size=4, name="train_reward Task")
