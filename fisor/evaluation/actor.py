"""How an agent acts in an evaluation: one call for the episodes of all seeds."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisor.agents import Agent, Step


def actor(
    agent: Agent, seed: int, shape: tuple[int, int]
) -> Callable[[Step, np.ndarray], np.ndarray]:
    """How an agent acts in an evaluation.

    Args:
        agent: what acts.
        seed: `evaluation_seed`.
        shape: (seeds, in_flight), one row for each slot.

    Returns:
        A function (observed step, episodes `[seeds * in_flight]`) -> actions
        `[seeds * in_flight, action_dim]`, which keeps the memory of each row.
    """

    def of_row(
        params: Any, memory: Any, step: Step, index: jax.Array, episode: jax.Array
    ) -> tuple[jax.Array, Any]:
        key = jax.random.key(seed)
        for number in (index, episode, step.time):
            key = jax.random.fold_in(key, number)
        begins = step.time == 0
        memory = jax.tree.map(
            lambda first, now: jnp.where(begins, first, now), agent.initial_memory(), memory
        )
        return agent.act(params, memory, step, key)

    # The rows of a seed share its parameters, so that they become one product.
    of_seed = jax.vmap(of_row, in_axes=(None, 0, 0, None, 0))
    options = dict(agent.cpu_options) if jax.default_backend() == "cpu" else {}
    of_all = jax.jit(jax.vmap(of_seed), compiler_options=options or None)
    memory = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (*shape, *jnp.shape(leaf))), agent.initial_memory()
    )

    def act(step: Step, episodes: np.ndarray) -> np.ndarray:
        nonlocal memory
        step, episodes = jax.tree.map(
            lambda array: array.reshape(*shape, *array.shape[1:]), (step, episodes)
        )
        actions, memory = of_all(agent.params, memory, step, np.arange(shape[0]), episodes)
        return np.asarray(actions).reshape(shape[0] * shape[1], -1)

    return act
