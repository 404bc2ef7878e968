"""A training as the training loop is given it: its updates, run in chunks, and their products."""

from collections.abc import Callable
from functools import partial
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


class Training:
    """A training as `fit` runs it, on the device, that goes on by as many updates as it is asked.

    Attributes:
        states: stacked along `[seeds]`; an update donates them, so the next ones take their place.
        updates: done so far.
    """

    def __init__(self, given: Fitted, keys: jax.Array) -> None:
        """Start the seeds of these keys, each with the state that `fit` starts it with.

        Args:
            given: what `fit` is given.
            keys: `[seeds]`, some of `fisor.training.fit.seed_keys`.
        """
        seeds, rows = keys.shape[0], jax.tree.leaves(given.data)[0].shape[0]
        sizes = rows, given.batch_size, devices_for(seeds), given.window_steps
        self._programs = Programs(given.init, given.update, *sizes)
        both = tuple(jax.vmap(jax.random.split, out_axes=1)(keys))
        init_keys, self._keys = self._programs.put(both, SEEDS)
        self._data = self._programs.put(given.data, EVERYWHERE)
        self.states, self.updates = self._programs.start(init_keys), 0
        self.learn_from(given.seed_data, given.row_weights)

    def learn_from(self, seed_data: Any = (), row_weights: np.ndarray | None = None) -> None:
        """Use other data of each seed's own, and other weights to draw rows by, from now on."""
        tables = None
        if row_weights is not None:
            each = [alias_table(weights) for weights in row_weights]
            tables = jax.tree.map(lambda *arrays: jnp.stack(arrays), *each)
        self._own, self._tables = self._programs.put((seed_data, tables), SEEDS)

    def advance(self, length: int) -> Any:
        """Go on by `length` updates in one program, compiled for each length; returns metrics."""
        told = self._keys, self._tables, self._data, self._own, self.updates
        self.states, metrics = self._programs.run(self.states, *told, length=length)
        self.updates += length
        return metrics


def advancing(given: Fitted, seeds: int, length: int) -> Callable[[], Any]:
    """A function that goes on with a training by `length` updates, its data on the device."""
    return partial(Training(given, seed_keys(seeds)).advance, length)
