"""Drawing rows in proportion to weights: the table exactly, the draws by counting."""

import jax
import numpy as np
import pytest

from fisor.training.sampling import alias_table, draw

WEIGHTS = {
    "by hand": [1.0, 2.0, 3.0, 4.0],
    "with zeros": [0.0, 5.0, 0.0, 0.25, 0.0],
    "all alike": [7.0] * 6,
    "one alone": [0.0, 0.0, 3.0],
    "a single row": [0.5],
    "as the policy's": np.exp(np.random.default_rng(0).normal(0, 2, 1000)).clip(0, 100),
}


def probabilities(keep: np.ndarray, alias: np.ndarray) -> np.ndarray:
    """With which probability each row is drawn: it is hit and stands, or others fall to it."""
    rows = keep.size
    fallen = np.bincount(alias, weights=1 - keep.astype(np.float64), minlength=rows)
    return (keep + fallen) / rows


@pytest.mark.parametrize("name", WEIGHTS)
def test_table_gives_each_row_its_share(name: str) -> None:
    """The probabilities that the table stands for are the weights over their sum.

    Oracle: the alias method's law, summed over all rows; float32 holds them to 1e-7.
    """
    weights = np.asarray(WEIGHTS[name], np.float32)
    table = alias_table(weights)
    keep, alias = np.asarray(table.keep), np.asarray(table.alias)
    assert ((keep >= 0) & (keep <= 1)).all()
    assert ((alias >= 0) & (alias < weights.size)).all()
    expected = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    np.testing.assert_allclose(probabilities(keep, alias), expected, atol=1e-7)
    # A row of weight 0 is not drawn at all, not even by rounding.
    assert (keep[weights == 0] == 0).all()
    assert (weights[alias[keep < 1]] > 0).all()


def test_draws_have_the_shares() -> None:
    """Of 20000 draws by 1 : 2 : 3 : 4 : 0 the counts are those shares.

    Oracle: the chi-square statistic of 3 degrees of freedom is below 16.3 for 99.9 % of draws.
    """
    table = alias_table(np.array([1.0, 2.0, 3.0, 4.0, 0.0], np.float32))
    rows = np.asarray(jax.jit(draw, static_argnums=2)(table, jax.random.key(3), 20_000))
    counts = np.bincount(rows, minlength=5)
    assert counts[4] == 0
    expected = np.array([2000, 4000, 6000, 8000])
    assert ((counts[:4] - expected) ** 2 / expected).sum() < 16.3


def test_the_key_decides_the_draws() -> None:
    """The same key draws the same rows, another key others."""
    table = alias_table(np.arange(1, 9, dtype=np.float32))
    drawing = jax.jit(draw, static_argnums=2)
    first, again, other = (np.asarray(drawing(table, jax.random.key(k), 100)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
