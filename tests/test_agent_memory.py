"""Agents with a memory: it is one episode's alone, also where a simulator fails."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_environments import make_failing
from fake_rollouts import LENGTHS, SEEDS, assert_equal, failing, rolled

from fisor.agents import Agent, Step


def remembering() -> Agent:
    """Its memory counts the steps it has acted in, and adds up what it has seen of them.

    It pushes by what it remembers, so that the observations show its memory: by hand, in the fake
    environment, an action in step t is (t, rewards of the steps before, their costs) / 1000.
    """

    def act(params: Any, memory: Any, step: Step, key: jax.Array) -> Any:
        steps, rewards, costs = memory
        rewards, costs = rewards + step.reward, costs + step.cost
        pushed = (steps + rewards + 100 * costs + step.time.astype(jnp.float32)) / 1000 + params
        return jnp.stack([pushed, pushed]), (steps + 1, rewards, costs)

    params = jnp.zeros(SEEDS)
    return Agent(params, 2, lambda: (jnp.float32(0), jnp.float32(0), jnp.float32(0)), act)


def expected_pushes(length: int) -> np.ndarray:
    """What `remembering` has pushed before each step of an episode, in NumPy."""
    rewards = length + np.arange(1, length + 1) / 8
    costs = (np.arange(1, length + 1) % 3 == 0).astype(float)
    seen_rewards = np.concatenate([[0], np.cumsum(rewards)[:-1]])
    seen_costs = np.concatenate([[0], np.cumsum(costs)[:-1]])
    actions = (2 * np.arange(length) + seen_rewards + 100 * seen_costs) / 1000
    return np.concatenate([[0], np.cumsum(actions)[:-1]])


@pytest.mark.parametrize("in_flight", [1, 3, 7])
def test_an_agent_remembers_its_episode_alone(in_flight: int) -> None:
    """Memory, last reward, last cost and time are the episode's own, and begin anew with it."""
    rows = rolled(remembering(), in_flight=in_flight, processes=2)
    assert rows.observations is not None
    for seed in range(SEEDS):
        for episode, length in enumerate(LENGTHS):
            pushed = rows.observations[:length, seed, episode, 2]
            np.testing.assert_allclose(pushed, expected_pushes(length), atol=1e-5)


def test_memory_begins_anew_after_a_failure(tmp_path: Path) -> None:
    """A process dies in an episode's middle: what it started again remembers nothing of before."""
    whole = rolled(remembering(), processes=2)
    task = failing("die", tmp_path / "failed")
    rows = rolled(remembering(), task, make=make_failing, processes=2)
    assert (tmp_path / "failed").exists()
    assert_equal(rows, whole)
