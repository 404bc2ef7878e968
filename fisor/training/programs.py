"""The compiled programs of a training: initial states, sample indices, updates scanned in chunks.

Seeds are a vmapped axis, spread over the devices; each device computes only its own seeds.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from fisor.nn.networks import PRODUCTS_APART
from fisor.training.sampling import AliasTable, draw

Array = jax.Array
Init = Callable[[Array], Any]
Update = Callable[[Any, Any, Array], tuple[Any, dict[str, Array]]]

SEEDS, EVERYWHERE = P("seeds"), P()
CHUNK_SEEDS = P(None, "seeds")  # `[updates, seeds, ...]`

MANY_ROWS = 512  # per batch


def devices_for(seeds: int) -> list[jax.Device]:
    """The largest number of devices that divides the number of seeds."""
    devices = jax.local_devices()
    most = max(count for count in range(1, len(devices) + 1) if seeds % count == 0)
    return devices[:most]


class Programs:
    """The compiled parts of one training."""

    def __init__(
        self,
        init: Init,
        update: Update,
        rows: int,
        batch_size: int,
        devices: list[jax.Device],
        window_steps: int = 1,
    ) -> None:
        """Define the programs; each is compiled on its first call.

        Args:
            init: key -> state of one seed.
            update: (state, batch, key) -> (state, metrics), for one seed.
            rows: number of rows of the dataset.
            batch_size: rows per step.
            devices: the devices over which the seeds are spread evenly.
            window_steps: above 1, a drawn row is the first of a window of that many.
        """
        self._init, self._update = jax.vmap(init), jax.vmap(update)
        self._rows, self._batch_size = rows, batch_size
        self._window_steps = window_steps
        on_cpu = jax.default_backend() == "cpu"
        self._one_after_another = on_cpu and batch_size > MANY_ROWS
        self._mesh = jax.make_mesh((len(devices),), ("seeds",), (AxisType.Auto,), devices=devices)
        # It runs only once, so less optimisation pays: it compiles in a third of the time.
        once = {"xla_backend_optimization_level": "1"} if devices[0].platform == "cpu" else {}
        self.start = jax.jit(self._start, compiler_options=once)
        self.picked = jax.jit(self._picked, static_argnames="length")
        training = partial(
            jax.jit, donate_argnames="states", compiler_options=_options(batch_size, devices)
        )
        self.run = training(self._run, static_argnames="length")
        self.run_on = training(self._run_on)

    def put(self, tree: Any, spec: P) -> Any:
        """Arrays on the devices: copied to each, or spread along an axis of seeds."""
        return jax.device_put(tree, NamedSharding(self._mesh, spec))

    def shapes(self, keys: Array, tables: Any, data: Any, own: Any) -> tuple[Any, Any]:
        """Shapes and types of all seeds' states and of one update's metrics; computes nothing."""

        def one_update() -> tuple[Any, Any]:
            return self._run(self._start(keys), keys, tables, data, own, 0, length=1)

        return jax.eval_shape(one_update)

    def _spread(self, function: Callable, specs_in: Any, specs_out: Any) -> Callable:
        """Run `function` on each device for its own seeds, without communication."""
        return jax.shard_map(
            function, mesh=self._mesh, in_specs=specs_in, out_specs=specs_out, check_vma=False
        )

    def _pick(self, table: AliasTable | None, key: Array, step: Array) -> tuple[Array, Array]:
        """The sample indices of one seed's batch, and the key of its update."""
        batch_key, update_key = _keys_of(key, step)
        if table is None:
            picked = jax.random.randint(batch_key, (self._batch_size,), 0, self._rows)
        else:
            picked = draw(table, batch_key, self._batch_size)
        if self._window_steps > 1:
            window = picked[:, None] + jnp.arange(self._window_steps)[None, :]
            picked = jnp.minimum(window, self._rows - 1)
        return picked, update_key

    def _pick_seeds(self, tables: Any, keys: Array, step: Array) -> tuple[Array, Array]:
        return jax.vmap(self._pick, in_axes=(0, 0, None))(tables, keys, step)

    def _update_seeds(self, states: Any, batches: Any, keys: Array) -> Any:
        # The barrier keeps XLA from fusing the gathering of rows into the update, whose last bits
        # would then depend on where the data is stored.
        batches = jax.lax.optimization_barrier(batches)
        if not self._one_after_another:
            return self._update(states, batches, keys)
        done: list[tuple[Any, Any]] = []
        for seed, state in enumerate(states):
            given = jax.tree.map(lambda leaf, seed=seed: leaf[seed : seed + 1], (batches, keys))
            if done:  # begins when the seed before is done
                (state, given), _ = jax.lax.optimization_barrier(((state, given), done[-1][1]))
            done.append(self._update(state, *given))
        metrics = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(m for _, m in done))
        return [state for state, _ in done], metrics

    def _scan(self, step: Callable, states: Any, over: Any) -> Any:
        """`jax.lax.scan` over updates of all seeds' states.

        On CPUs and for many rows, seeds are updated one after another: side by side, what each
        keeps for its gradient would not fit the caches. Their states are then apart for the whole
        chunk, so that no update copies them.
        """
        if not self._one_after_another:
            return jax.lax.scan(step, states, over)
        seeds = jax.tree.leaves(states)[0].shape[0]
        apart = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], states) for i in range(seeds)]
        apart, metrics = jax.lax.scan(step, apart, over)
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *apart), metrics

    def _start(self, keys: Array) -> Any:
        """The states of all seeds from their keys."""
        return self._spread(self._init, (SEEDS,), SEEDS)(keys)

    def _run(
        self, states: Any, keys: Array, tables: Any, data: Any, own: Any, first: Any, *, length: int
    ) -> Any:
        """`length` updates from update `first` on, with all data on the device.

        The data is an argument: as a constant it would be compiled into the program.

        Args:
            states: of all seeds; donated, so that the new ones take over their memory.
            keys: `[seeds]`, keys of the updates.
            tables: alias tables of all seeds, to draw rows by, or None.
            data: pytree of `[n, ...]` arrays.
            own: pytree of `[seeds, n, ...]` arrays.
            first: number of updates done.
            length: number of updates to do.

        Returns:
            The states, and the metrics `[length, seeds]`.
        """

        def chunk(states: Any, keys: Array, tables: Any, data: Any, own: Any, first: Any) -> Any:
            def step(states: Any, index: Array) -> Any:
                picked, update_keys = self._pick_seeds(tables, keys, index)
                batches = jax.vmap(_rows_of, in_axes=(None, 0, 0))(data, own, picked)
                return self._update_seeds(states, batches, update_keys)

            return self._scan(step, states, first + jnp.arange(length))

        specs = SEEDS, SEEDS, SEEDS, EVERYWHERE, SEEDS, EVERYWHERE
        spread = self._spread(chunk, specs, (SEEDS, CHUNK_SEEDS))
        return spread(states, keys, tables, data, own, first)

    def _picked(self, keys: Array, tables: Any, first: Any, *, length: int) -> Array:
        """The sample indices of `run` for the same arguments, `[length, seeds, B]`.

        With windows, `[length, seeds, B, window_steps]`.
        """

        def chunk(keys: Array, tables: Any, first: Any) -> Array:
            pick = jax.vmap(lambda index: self._pick_seeds(tables, keys, index)[0])
            return pick(first + jnp.arange(length))

        return self._spread(chunk, (SEEDS, SEEDS, EVERYWHERE), CHUNK_SEEDS)(keys, tables, first)

    def _run_on(self, states: Any, keys: Array, batches: Any, first: Any) -> Any:
        """The same updates as `run`, on batches gathered elsewhere, `[length, seeds, B, ...]`."""

        def chunk(states: Any, keys: Array, batches: Any, first: Any) -> Any:
            def step(states: Any, index_and_batches: Any) -> Any:
                index, batches = index_and_batches
                _, update_keys = jax.vmap(_keys_of, in_axes=(0, None))(keys, index)
                return self._update_seeds(states, batches, update_keys)

            length = jax.tree.leaves(batches)[0].shape[0]
            return self._scan(step, states, (first + jnp.arange(length), batches))

        specs = SEEDS, SEEDS, CHUNK_SEEDS, EVERYWHERE
        return self._spread(chunk, specs, (SEEDS, CHUNK_SEEDS))(states, keys, batches, first)


def _options(batch_size: int, devices: list[jax.Device]) -> dict[str, str]:
    """XLA's options to compile training on batches of this size."""
    if devices[0].platform != "cpu" or batch_size <= MANY_ROWS:
        return {}
    # For many rows that is quicker.
    return PRODUCTS_APART


def _keys_of(key: Array, step: Array) -> tuple[Array, Array]:
    """The keys of one seed's update: for drawing its batch, and for the update itself."""
    batch_key, update_key = jax.random.split(jax.random.fold_in(key, step))
    return batch_key, update_key


def _rows_of(data: Any, own: Any, picked: Array) -> tuple[Any, Any]:
    return jax.tree.map(lambda array: array[picked], (data, own))
