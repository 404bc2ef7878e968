"""What an update is given: rows, a seed's own rows, windows of an episode, keys."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisor.config.params import Params
from fisor.training.fit import fit


def test_batches_hold_the_same_rows_of_shared_and_own_data(
    small_params: Callable[..., Params],
) -> None:
    """Row i of a batch is one row of the data and the same row of that seed's own data.

    Oracle: the own data is 100 * seed + 2 * row, so what is left after taking 2 * row is the seed.
    """
    rows = np.arange(10.0, dtype=np.float32)
    own = 100 * np.arange(3, dtype=np.float32)[:, None] + 2 * rows

    def update(state: Any, batch: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        shared, of_seed = batch
        rest = of_seed - 2 * shared
        return state, {"least": rest.min(), "most": rest.max()}

    params = small_params(seeds=3, training_steps=5)
    _, curve = fit(lambda key: 0.0, update, rows, own, config=params, batch_size=8, name="")
    for name in ("least", "most"):
        np.testing.assert_array_equal(curve.metrics[name], [[0.0, 100.0, 200.0]] * 2)


def test_rows_are_drawn_evenly(small_params: Callable[..., Params]) -> None:
    """Each of 10 rows is drawn equally often, for every seed, by other draws.

    Oracle: the chi-square statistic of 9 degrees of freedom is below 27.9 for 99.9 % of draws.
    """
    rows = np.arange(10)

    def update(counts: jax.Array, batch: Any, key: jax.Array) -> tuple[jax.Array, dict]:
        return counts.at[batch[0]].add(1), {"none": jnp.zeros(())}

    params = small_params(seeds=2, training_steps=1000, log_every_updates=1000)
    fresh = lambda key: jnp.zeros(10, jnp.int32)  # noqa: E731
    counts, _ = fit(fresh, update, rows, config=params, batch_size=8, name="")
    assert (counts.sum(axis=1) == 8000).all()
    assert (counts[0] != counts[1]).any()
    for of_seed in np.asarray(counts):
        assert ((of_seed - 800.0) ** 2 / 800.0).sum() < 27.9


def test_rows_are_drawn_by_each_seeds_weights(small_params: Callable[..., Params]) -> None:
    """With `row_weights` each seed draws rows in proportion to its own, and none of weight 0.

    Oracle: chi-square of 3 and 2 degrees of freedom, below 16.3 and 13.8 for 99.9 % of draws.
    """
    weights = np.array([[1, 2, 3, 4], [6, 0, 1, 1]], np.float32)

    def update(counts: jax.Array, batch: Any, key: jax.Array) -> tuple[jax.Array, dict]:
        shared, of_seed = batch
        return counts.at[shared].add(1), {"own": (of_seed == 10 * shared).mean()}

    params = small_params(seeds=2, training_steps=1000, log_every_updates=1000)
    fresh = lambda key: jnp.zeros(4, jnp.int32)  # noqa: E731
    rows = np.arange(4)
    own = np.stack([10 * rows] * 2)
    counts, curve = fit(fresh, update, rows, own, weights, config=params, batch_size=8, name="")
    expected = 8000 * weights / weights.sum(axis=1, keepdims=True)
    assert counts[1, 1] == 0
    squares = (np.asarray(counts) - expected) ** 2 / np.maximum(expected, 1)
    assert (squares.sum(axis=1) < [16.3, 13.8]).all()
    assert (curve.metrics["own"] == 1).all()


def test_keys_of_updates_are_all_different(small_params: Callable[..., Params]) -> None:
    """No two updates of any seed get the same key."""

    def update(state: Any, batch: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        return state, {"drawn": jax.random.uniform(key)}

    params = small_params(seeds=2, training_steps=20, log_every_updates=1)
    data = np.zeros(3, np.float32)
    _, curve = fit(lambda key: 0.0, update, data, config=params, batch_size=1, name="")
    assert len(np.unique(curve.metrics["drawn"])) == 40


# Windows -----------------------------------------------------------------------------------------


def test_a_window_is_the_rows_from_the_drawn_one_on(small_params: Callable[..., Params]) -> None:
    """Rows 0 to 9 in episodes of 4, 3 and 3: consecutive rows, whose own part `step` tells.

    Past the last row it is repeated. A batch of one window of 4 per update; oracle: row numbers.
    """
    row, step = np.arange(10), np.array([0, 1, 2, 3, 0, 1, 2, 0, 1, 2])

    def update(state: float, batch: Any, key: jax.Array) -> tuple[float, dict[str, jax.Array]]:
        (rows, steps), own = batch
        assert rows.shape == steps.shape == own.shape == (1, 4)
        inside = steps == steps[:, :1] + jnp.arange(4)[None]
        seen = {f"row{k}": rows[0, k].astype(jnp.float32) for k in range(4)}
        seen |= {f"inside{k}": inside[0, k].astype(jnp.float32) for k in range(4)}
        return state, seen | {"own": own[0, 1].astype(jnp.float32)}

    params = small_params(seeds=2, training_steps=80, log_every_updates=1)
    own = np.stack([row + 100, row + 200])
    _, curve = fit(
        lambda key: 0.0, update, (row, step), own, config=params, batch_size=1, window_steps=4,
        name="",
    )  # fmt: skip
    rows = np.stack([curve.metrics[f"row{k}"] for k in range(4)], -1).reshape(-1, 4)
    inside = np.stack([curve.metrics[f"inside{k}"] for k in range(4)], -1).reshape(-1, 4)
    first = rows[:, 0].astype(int)
    assert set(first) == set(range(10))
    expected = np.minimum(first[:, None] + np.arange(4), 9)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(curve.metrics["own"][:, 1], rows.reshape(80, 2, 4)[:, 1, 1] + 200)
    ends = np.array([4, 4, 4, 4, 7, 7, 7, 10, 10, 10])[first]
    np.testing.assert_array_equal(inside, first[:, None] + np.arange(4) < ends[:, None])
