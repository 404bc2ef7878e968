"""A small world with a cliff: the feasible set that is learned is the one that is known."""

from collections.abc import Callable

import jax
import numpy as np
import pytest
from oracles import mlp

from fisor.config.params import Params
from fisor.critics import feasibility
from fisor.data.transitions import Transitions
from fisor.training.fit import fit

CELLS, SPEEDS = 10, 4
CHANGES = (-1, 0, 1)  # of the speed, as actions -1, 0, 1


def drive(cell: int, speed: int, change: int) -> tuple[int, int]:
    """A cart on a line: it moves by its speed, then changes it. The last cell is a cliff."""
    if cell == CELLS - 1:
        return cell, speed  # it stays there
    return min(cell + speed, CELLS - 1), min(max(speed + change, 0), SPEEDS - 1)


def doomed_states() -> np.ndarray:
    """`[cells, speeds]`: whether no driving keeps off the cliff. Backward iteration."""
    doomed = np.zeros((CELLS, SPEEDS), bool)
    doomed[-1] = True
    while True:
        before = doomed.copy()
        for cell, speed in np.ndindex(doomed.shape):
            doomed[cell, speed] |= all(before[drive(cell, speed, c)] for c in CHANGES)
        if (doomed == before).all():
            return doomed


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        ("reachability", "float32"),
        ("reachability", "bfloat16"),
        pytest.param("cost_value", "float32", marks=pytest.mark.slow),
    ],
)
def test_known_feasible_region_is_found(
    small_params: Callable[..., Params], kind: str, precision: str
) -> None:
    """V > 0 exactly in the states from which the cliff cannot be avoided, for every seed.

    So it is with products of bfloat16 operands in training; what is learned is read in float64.

    Oracle: backward iteration over the states. A cart of speed 3 needs six cells to stop, so ten
    of the doomed states lie before the cliff, where h itself is -1. tau is close to 1 because the
    oracle, as Eq. 7, lets the best action alone decide, which the expectile then nearly does.

    The cost value, where the cliff costs 1 a step, is 0 where it can be avoided; its threshold is
    far above the network's error and far below the least value of a doomed state, 10 * 0.9^4.
    """
    states = list(np.ndindex(CELLS, SPEEDS))
    moves = [(state, change) for state in states for change in CHANGES]
    one_hot = np.eye(len(states), dtype=np.float32)
    index = {state: number for number, state in enumerate(states)}
    data = Transitions(
        observations=np.stack([one_hot[index[state]] for state, _ in moves]),
        actions=np.array([[change] for _, change in moves], np.float32),
        next_observations=np.stack([one_hot[index[drive(*s, change)]] for s, change in moves]),
        rewards=None,
        costs=np.array([c == CELLS - 1 for (c, _), _ in moves], np.float32),
        violations=np.array([1 if c == CELLS - 1 else -1 for (c, _), _ in moves], np.float32),
        terminals=np.zeros(len(moves), bool),
    )
    params = small_params(
        feasibility=kind,
        product_precision=precision,
        cost_value_threshold=2.0,
        hidden_units=32,
        learning_rate=2e-3,
        soft_update=0.02,
        gamma=0.9,
        tau=0.98,
        value_batch_size=128,
        training_steps=2000,
        log_every_updates=2000,
    )
    trained, _ = fit(
        feasibility.init(params, data),
        feasibility.update(params),
        feasibility.learned_from(params, data),
        config=params,
        batch_size=params.value_batch_size,
        name="cliff",
    )
    trained = feasibility.finished(params, trained)
    doomed = doomed_states()
    assert doomed[:-1].sum() == 10
    for seed in range(params.seeds):
        v = mlp(jax.tree.map(lambda stacked, seed=seed: stacked[seed], trained.v), one_hot)
        np.testing.assert_array_equal(v.reshape(CELLS, SPEEDS) > 0, doomed)
