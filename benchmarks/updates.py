"""A training as the training loop is given it: its updates, run in chunks, and their products."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.products import Product, products_of
from fisor.baselines.baseline import Problem, Trained
from fisor.data.transitions import Transitions
from fisor.training.fit import seed_keys
from fisor.training.log import Curve
from fisor.training.programs import EVERYWHERE, SEEDS, Init, Programs, Update, devices_for
from fisor.training.sampling import alias_table


class Fitted(NamedTuple):
    """What `fisor.training.fit.fit` is given."""

    init: Init
    update: Update
    data: Any
    seed_data: Any = ()
    row_weights: np.ndarray | None = None
    batch_size: int = 1
    window_steps: int = 1

    def shapes(self, seeds: int) -> tuple[Any, Any, Any]:
        """Shapes and types of what one update of all seeds is given: states, batch, keys."""
        drawn: tuple[int, ...] = (seeds, self.batch_size)
        drawn += () if self.window_steps == 1 else (self.window_steps,)

        def batch(array: Any, axes: int) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((*drawn, *array.shape[axes:]), array.dtype)

        rows = jax.tree.map(lambda array: batch(array, 1), self.data)
        own = jax.tree.map(lambda array: batch(array, 2), self.seed_data)
        keys = jax.eval_shape(lambda: seed_keys(seeds))
        return jax.eval_shape(jax.vmap(self.init), keys), (rows, own), keys

    def products(self) -> list[Product]:
        """Those of one seed's update, as the training loop runs it."""
        return products_of(jax.vmap(self.update), *self.shapes(1))


def captured(
    module: ModuleType, config: Any, problem: Problem, data: Transitions
) -> tuple[list[Fitted], Trained]:
    """What a baseline's `train` gives to `fit`, once or several times, and what it returns.

    Nothing is trained: each `fit` returns the states before the first update.
    """
    found: list[Fitted] = []

    def fit(init: Init, update: Update, *given: Any, **options: Any) -> tuple[Any, Curve]:
        kept = {name: options[name] for name in options if name in Fitted._fields}
        found.append(Fitted(init, update, *given, **kept))
        shapes = found[-1].shapes(config.seeds)
        _, metrics = jax.eval_shape(jax.vmap(update), *shapes)
        states = jax.jit(jax.vmap(init))(seed_keys(config.seeds))
        return states, Curve(
            np.ones(1, int), {name: np.zeros((1, config.seeds)) for name in metrics}
        )

    trained = module.train(config, problem, data, fit)
    return found, trained


def advancing(given: Fitted, seeds: int, length: int) -> Callable[[], Any]:
    """A function that goes on with a training by `length` updates, its data on the device."""
    rows = jax.tree.leaves(given.data)[0].shape[0]
    sizes = rows, given.batch_size, devices_for(seeds), given.window_steps
    programs = Programs(given.init, given.update, *sizes)
    tables = None
    if given.row_weights is not None:
        each = [alias_table(weights) for weights in given.row_weights]
        tables = jax.tree.map(lambda *arrays: jnp.stack(arrays), *each)
    keys, own, tables = programs.put((seed_keys(seeds), given.seed_data, tables), SEEDS)
    data = programs.put(given.data, EVERYWHERE)
    kept = {"states": programs.start(keys), "first": 0}

    def advance() -> Any:
        told = keys, tables, data, own, kept["first"]
        kept["states"], metrics = programs.run(kept["states"], *told, length=length)
        kept["first"] += length
        return metrics

    return advance
