"""A baseline in tests: its first update by hand, its seeds apart, its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import oracles
from configured import configured
from constrained_mdp import crossroads, trained

from fisor.agents import TRAINED, Policy, Step, load_policy
from fisor.baselines.baseline import Problem
from fisor.data.transitions import Transitions
from fisor.methods import method_module
from fisor.training.log import Curve


class Captured(NamedTuple):
    """What a method hands to the training loop.

    Attributes:
        state: fresh, of one seed.
        update: (state, batch, key) -> (state, metrics).
        batch: all rows that it learns from, as one batch.
    """

    state: Any
    update: Callable[..., Any]
    batch: Any


def captured(method: str, data: Transitions, problem: Problem, **changes: Any) -> Captured:
    """A method before its first update, on all rows at once.

    Args:
        method: its name.
        data: the dataset.
        problem: what else it may know.
        changes: parameters of training other than params.yaml's.
    """
    kept: list[Captured] = []

    def fit(init: Any, update: Any, rows: Any, **options: Any) -> tuple[Any, Curve]:
        state = jax.jit(init)(jax.random.key(0))
        kept.append(Captured(state, jax.jit(update), (rows, ())))
        return state, Curve(np.zeros(0), {})

    module = method_module(method)
    module.train(configured(method, "train", module.Config, **changes), problem, data, fit)
    return kept[0]


def action(params: Any, observations: np.ndarray) -> np.ndarray:
    """A deterministic policy's only action in NumPy, `[B, n]` -> `[B, 1]`."""
    return np.tanh(oracles.mlp(params, observations))[:, None]


def acts(policy: Policy, time: int = 0) -> np.ndarray:
    """Its actions in the three states of a process, `[3, 1]`."""
    none = np.zeros(3, np.float32)
    step = Step(np.eye(3, dtype=np.float32), none, none, np.full(3, time))
    return np.asarray(policy.step(policy.initial_memory(3), step, jax.random.key(0))[0])


def a_seed_is_the_same_among_others_and_from_its_folder(method: str, folder: Path) -> None:
    """Assert it of four updates of a method, in an empty folder.

    The same but for the rounding of matrix products: XLA multiplies one matrix by other code than
    three at once. From its folder it acts by the same bits.
    """
    data, problem = crossroads(1.0).dataset(4, 10)
    agents = {}
    for seeds in (1, 3):
        trained_in = folder / str(seeds) / TRAINED
        trained_in.mkdir(parents=True)
        agents[seeds] = trained(
            method,
            data,
            problem(cost_limit=1.0),
            trained_in,
            seeds=seeds,
            training_steps=4,
            batch_size=8,
            hidden_layers=1,
            hidden_units=8,
            learning_rate=0.01,
        )

    def assert_close(alone: jax.Array, among: jax.Array) -> None:
        np.testing.assert_allclose(alone[0], among[0], rtol=1e-4, atol=1e-6)

    jax.tree.map(assert_close, agents[1].params, agents[3].params)
    of_seeds = [acts(Policy(agents[3], seed)) for seed in range(3)]
    assert not np.array_equal(of_seeds[0], of_seeds[1])
    np.testing.assert_array_equal(acts(load_policy(folder / "3", seed=2)), of_seeds[2])
